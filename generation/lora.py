"""LoRA adapters: small changes to a model's weights, by file or by hub id.

Each is written ``PATH``, ``PATH@SCALE`` or ``hf:org/name[@COMMIT][@SCALE]``; they are added to the
weights as the model loads (Hu et al. 2021, arXiv:2106.09685), so they cost nothing at run time and
can be quantized with it.
"""

from __future__ import annotations

import hashlib
import importlib.util
import math
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from chopmark.errors import InvalidRequest, ModelLoadError, ModelNotFound
from chopmark.kit.pinned import hub_name

_COMMIT: Final = re.compile(r"[0-9a-f]{40}")


@dataclass(frozen=True, kw_only=True)
class Lora:
    """One adapter.

    Attributes:
        source: path of a safetensors file, or ``hf:org/name``.
        scale: 0 (without effect) to 4.
    """

    source: str
    scale: float = 1.0


def parse_lora(text: str) -> Lora:
    """Return the adapter that ``text`` names.

    >>> parse_lora("style.safetensors@0.8")
    Lora(source='style.safetensors', scale=0.8)

    Raises:
        InvalidRequest: the scale is no number from 0 to 4, or there is no source.
    """
    source, at, scale = text.strip().rpartition("@")
    # A commit's name is no scale, though "1e5..." might be read as a number.
    if not at or _COMMIT.fullmatch(scale):
        source, scale = text.strip(), "1"
    try:
        value = float(scale)
    except ValueError:
        value = math.nan
    if not source or not 0.0 <= value <= 4.0:
        raise InvalidRequest(
            f"{text!r} names no LoRA",
            hint="PATH, PATH@0.8 or hf:org/name@COMMIT@0.8; scales are 0 to 4",
        )
    return Lora(source=source, scale=value)


def add_loras(pipeline: Any, loras: list[Lora]) -> str:
    """Add the adapters to the weights of ``pipeline``.

    Returns:
        SHA-256 (hex) over the files and scales; empty without adapters.

    Raises:
        InvalidRequest: peft is missing, or the family takes no adapters.
        ModelNotFound: a file is not there.
        ModelLoadError: an adapter does not fit the model.
    """
    if not loras:
        return ""
    if importlib.util.find_spec("peft") is None:
        raise InvalidRequest("a LoRA needs peft", hint="pip install 'chopmark[lora]'")
    if not hasattr(pipeline, "load_lora_weights"):
        raise InvalidRequest(f"{type(pipeline).__name__} takes no LoRA")
    digest = hashlib.sha256()
    names = []
    for number, lora in enumerate(loras):
        names.append(f"lora{number}")
        _load(pipeline, lora, names[-1])
        digest.update(f"{_content(lora)}@{lora.scale}\0".encode())
    try:
        pipeline.set_adapters(names, [lora.scale for lora in loras])
        pipeline.fuse_lora(adapter_names=names, components=_adapted(pipeline))
        pipeline.unload_lora_weights()
    except Exception as error:  # whatever a foreign adapter makes the library raise
        raise ModelLoadError(
            f"the LoRA cannot be added: {type(error).__name__}: {error}"
        ) from error
    return digest.hexdigest()


def _load(pipeline: Any, lora: Lora, name: str) -> None:
    is_hub = lora.source.startswith("hf:")
    source, revision = hub_name(lora.source) if is_hub else ("", None)
    path = Path(lora.source).expanduser()
    if not is_hub and (path.suffix != ".safetensors" or not path.is_file()):
        raise ModelNotFound(
            f"{lora.source} is no safetensors file",
            hint="a LoRA is PATH.safetensors or hf:org/name",
        )
    try:
        pipeline.load_lora_weights(
            source if is_hub else str(path.parent),
            **({} if revision is None else {"revision": revision}),
            weight_name=None if is_hub else path.name,
            adapter_name=name,
            use_safetensors=True,
        )
    except Exception as error:  # whatever a foreign adapter makes the library raise
        raise ModelLoadError(
            f"the LoRA {lora.source} does not load: {type(error).__name__}: {error}",
            hint="it must be made for this family of models",
        ) from error


def _adapted(pipeline: Any) -> list[str]:
    parts = (name for name in pipeline._lora_loadable_modules)  # noqa: SLF001 - has no public name
    return [name for name in parts if getattr(getattr(pipeline, name, None), "peft_config", None)]


def _content(lora: Lora) -> str:
    if lora.source.startswith("hf:"):
        return lora.source
    with Path(lora.source).expanduser().open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()

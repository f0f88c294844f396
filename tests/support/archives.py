"""Unpacking tar archives that the tests made themselves."""

from __future__ import annotations

import tarfile
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["unpack"]

#: Nothing outside the folder; Python 3.11.0 to 3.11.3 have no such filter.
_SAFELY: dict[str, Any] = {"filter": "data"} if hasattr(tarfile, "data_filter") else {}


def unpack(file: Path, folder: Path) -> None:
    """Unpack an archive into a folder."""
    with tarfile.open(file) as archive:
        archive.extractall(folder, **_SAFELY)  # noqa: S202  our own archive

"""Where the public C2PA test files lie, which are no part of the repository."""

from __future__ import annotations

from pathlib import Path
from typing import Final

__all__ = ["PUBLIC_FILES"]

_NAME: Final = Path("shared/data/c2pa")
PUBLIC_FILES: Final = next(
    (one / _NAME for one in Path(__file__).parents if (one / _NAME).is_dir()), Path("nowhere")
)

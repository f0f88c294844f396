"""Small types that more than one room uses. No dependency, no behaviour."""

from __future__ import annotations

from typing import Literal, Protocol, TypeAlias

__all__ = ["Action", "ImageFormat", "JsonValue", "Progress"]

JsonValue: TypeAlias = "bool | int | float | str | list[JsonValue] | dict[str, JsonValue] | None"
Action = Literal["allow", "review", "block"]
ImageFormat = Literal["png", "jpeg", "webp", "avif"]


class Progress(Protocol):
    """Told about long work: ``done`` of ``total`` units, and what is being done."""

    def __call__(self, done: int, total: int, what: str, /) -> None:
        """Take one step's news; must return quickly and never raise."""

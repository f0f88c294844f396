"""Texts of strangers, fit to be shown among ours: nothing in them moves a cursor or turns a line.

A signer's name may hold what clears a terminal, or turns the letters after it around
(U+202E, so that ``gnp.exe`` reads ``exe.png``; Unicode TR 36, 3.1).
"""

from __future__ import annotations

from dataclasses import fields, is_dataclass, replace
from typing import Any, Final, TypeVar

__all__ = ["plain_text", "plain_values"]

T = TypeVar("T")

_CONTROLS: Final = (*range(0x20), *range(0x7F, 0xA0))
_TURNING: Final = (*range(0x202A, 0x202F), *range(0x2066, 0x206A))
_TABLE: Final = {
    **dict.fromkeys(_CONTROLS, "\N{REPLACEMENT CHARACTER}"),
    **dict.fromkeys(map(ord, "\t\n\r"), " "),
    **dict.fromkeys(_TURNING),
}


def plain_text(text: str) -> str:
    """Return a text on one line, without control characters and turned directions."""
    return text.translate(_TABLE)


def plain_values(value: T) -> T:
    """Return a frozen value with every text in it as :func:`plain_text`."""
    found: Any = value
    if isinstance(value, str):
        found = plain_text(value)
    elif isinstance(value, tuple):
        found = tuple(plain_values(one) for one in value)
    elif is_dataclass(value) and not isinstance(value, type):
        found = replace(
            value, **{one.name: plain_values(getattr(value, one.name)) for one in fields(value)}
        )
    plain: T = found
    return plain

"""Fields of the studio's forms, read."""

from __future__ import annotations

import re

from chopmark.errors import InvalidRequest

__all__ = ["number_in", "share_in", "size_in"]


def number_in(name: str, text: str) -> int | None:
    """Return the whole number in a field; ``None`` where it is empty.

    Raises:
        InvalidRequest: It holds anything else.
    """
    if not text.strip():
        return None
    if not re.fullmatch(r"[0-9]{1,12}", text.strip()):
        raise InvalidRequest(f"{name} is not a whole number", param=name)
    return int(text)


def share_in(name: str, text: str) -> float | None:
    """Return the number in a field; ``None`` where it is empty.

    Raises:
        InvalidRequest: It holds anything else.
    """
    if not text.strip():
        return None
    try:
        return float(text)
    except ValueError:
        raise InvalidRequest(f"{name} is not a number", param=name) from None


def size_in(text: str) -> tuple[int, int] | None:
    """Return width and height of ``WIDTHxHEIGHT``; ``None`` where the field is empty.

    Raises:
        InvalidRequest: It holds anything else.
    """
    if not text:
        return None
    found = re.fullmatch(r"([0-9]{1,5})x([0-9]{1,5})", text)
    if found is None:
        raise InvalidRequest("size is not WIDTHxHEIGHT", param="size")
    return int(found[1]), int(found[2])

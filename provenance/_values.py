"""Values of soft bindings, as they travel: base64 of bytes, or of the text of their hex digits."""

from __future__ import annotations

import base64
import binascii
from typing import Final

__all__ = ["MAX_VALUE", "from_base64", "hex_of"]

MAX_VALUE: Final = 65_536
"""Longest value that is looked at, in characters of base64."""


def from_base64(value: str) -> bytes | None:
    """Return the bytes of base64 in either alphabet, padded or not."""
    text = value.strip().replace("-", "+").replace("_", "/")
    if len(text) > MAX_VALUE:
        return None
    try:
        raw = base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except (binascii.Error, ValueError):
        return None
    return raw or None


def hex_of(raw: bytes, size: int) -> str | None:
    """Return a value as hex digits, be it given as bytes or as the text of its hex digits."""
    if len(raw) == size:
        return raw.hex()
    if len(raw) == 2 * size:
        try:
            return bytes.fromhex(raw.decode("ascii")).hex()
        except ValueError:
            return None
    return None

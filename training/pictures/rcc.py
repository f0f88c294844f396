"""Reads the WebP and JPEG pictures out of Qt's resource files, as GCompris is packed.

A resource file (``qres``, Qt's rcc) holds each file after its length as four bytes, big end first.
What was compressed already, as pictures are, lies there as it is: so pictures are found by how they
begin, and kept where the length before them agrees.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["pictures"]

_BEGINS: Final = re.compile(rb"RIFF....WEBP|\xff\xd8\xff", re.DOTALL)


def pictures(file: Path) -> Iterator[tuple[int, bytes]]:
    """Yield the place and the bytes of each WebP and JPEG file in a resource file."""
    data = file.read_bytes()
    for match in _BEGINS.finditer(data):
        at = match.start()
        length = int.from_bytes(data[at - 4 : at], "big")
        if data[at : at + 4] == b"RIFF":
            fits = length in {
                (said := 8 + int.from_bytes(data[at + 4 : at + 8], "little")),
                said + 1,
            }
        else:
            fits = data[at + length - 2 : at + length] == b"\xff\xd9"
        if fits:
            yield at, data[at : at + length]

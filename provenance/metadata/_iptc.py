"""The texts of IPTC's older binary records (IIM 4.2, section 1.5) that may name a generator."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["iptc_texts"]

_NAMES: Final = {
    (2, 65): "OriginatingProgram", (2, 80): "By-line", (2, 110): "Credit", (2, 115): "Source",
    (2, 120): "Caption", (2, 40): "SpecialInstructions",
}  # fmt: skip


def iptc_texts(data: bytes) -> Iterator[tuple[str, str]]:
    """Yield the name and value of each text that is looked at; stops at what is broken."""
    at = 0
    while at + 5 <= len(data) and data[at] == 0x1C:
        length = int.from_bytes(data[at + 3 : at + 5], "big")
        if length & 0x8000:  # an extended length: longer than any text that is looked at
            return
        name = _NAMES.get((data[at + 1], data[at + 2]))
        if name is not None:
            yield name, data[at + 5 : at + 5 + length].decode("utf-8", "replace").strip("\0 \n")
        at += 5 + length

"""An XMP packet as a tree: what is said of the picture itself, apart from what is said of others.

A property of the picture is a child or an attribute of a description right below ``rdf:RDF`` (ISO
16684-1, 7.4). What stands deeper belongs to a structure: an ingredient, a version, a work shown.
Entities are never expanded, and a packet that breaks off says what stood before the break.
"""

from __future__ import annotations

import contextlib
import re
from typing import TYPE_CHECKING, Final
from xml.parsers import expat

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Packet", "parse_packet"]

_RDF: Final = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"
# Names that only arrange values (ISO 16684-1, 7.7 and 7.8).
_ARRANGING: Final = frozenset({"Description", "Alt", "Bag", "Seq", "li", "value"})
_MOST_ELEMENTS: Final = 50_000
_MOST_DEPTH: Final = 64
_MOST_VALUE: Final = 64 * 1024
_ENTITY: Final = re.compile(r"&(?!(?:amp|lt|gt|quot|apos|#\d{1,7}|#x[0-9A-Fa-f]{1,6});)")
# What XML 1.0 cannot hold (section 2.2); padding is sometimes of zero bytes.
_FORBIDDEN: Final = re.compile("[\0-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")
_DECLARATION: Final = re.compile(r"\s{0,64}<\?xml\s[^>]{0,256}\?>")
_DOCTYPE: Final = re.compile(r"\s{0,64}<!DOCTYPE[^\[>]{0,256}(?:\[(?:[^\]]{0,65536})\]\s{0,64})?>")


class Packet:
    """What a packet says; texts as they stand, without white space around them."""

    def __init__(self) -> None:
        self._own: list[tuple[str, str, str]] = []
        self._inner: list[tuple[str, str, str]] = []

    def values(self, name: str, *, space: str | None = None) -> Iterator[str]:
        """Yield the values of one of the picture's own properties.

        Args:
            name: Without its prefix.
            space: Its namespace; one that the packet does not declare fits any.
        """
        for where, own, value in self._own:
            if own == name and (space is None or where in {space, ""}) and value:
                yield value

    def value(self, name: str, *, space: str | None = None) -> str | None:
        """Return the first of `values`."""
        return next(self.values(name, space=space), None)

    def fields(self, name: str) -> dict[str, str]:
        """Return the fields of a structure that is one of the picture's own properties."""
        return {field: value for prop, field, value in self._inner if prop == name}

    def add(self, space: str, path: list[str], value: str) -> None:
        """Take a value in; ``path`` leads from the picture's own property to where it stands."""
        if len(path) == 1:
            self._own.append((space, path[0], value))
        elif path:
            self._inner.append((path[0], path[-1], value))


def parse_packet(data: bytes) -> Packet:
    """Return what a packet says, in UTF-8, UTF-16 or UTF-32; never raises."""
    reader = _Reader()
    parser = expat.ParserCreate()
    parser.buffer_text = True
    parser.StartElementHandler = reader.start
    parser.EndElementHandler = reader.end
    parser.CharacterDataHandler = reader.text
    # Packets hold processing instructions around their root, and files several roots.
    with contextlib.suppress(expat.ExpatError, _TooMuch):
        parser.Parse(f"<all>{_plain(data)}</all>".encode(), True)
    return reader.packet


def _plain(data: bytes) -> str:
    text = _FORBIDDEN.sub("", data.decode(_encoding(data), "replace").lstrip("\ufeff"))
    for prologue in (_DECLARATION, _DOCTYPE):
        found = prologue.match(text)
        text = text[found.end() :] if found else text
    return _ENTITY.sub("&amp;", text)


def _encoding(data: bytes) -> str:
    if data[:4] in {b"\xff\xfe\0\0", b"\0\0\xfe\xff"}:
        return "utf-32"
    if data[:2] in {b"\xff\xfe", b"\xfe\xff"}:
        return "utf-16"
    # Without a byte order mark the zeros of the first characters, which are ASCII, tell.
    head = [data[place:256:4].count(0) for place in range(4)]
    most = len(data[:256]) // 4 // 2
    low = [count > most for count in head]
    return {
        (True, True, True, False): "utf-32-be",
        (False, True, True, True): "utf-32-le",
        (True, False, True, False): "utf-16-be",
        (False, True, False, True): "utf-16-le",
    }.get((low[0], low[1], low[2], low[3]), "utf-8")


class _TooMuch(Exception):
    pass


class _Reader:
    """Follows the tree; ``_root`` is the depth of ``rdf:RDF`` while within it."""

    def __init__(self) -> None:
        self.packet = Packet()
        self._spaces: list[dict[str, str]] = [{"rdf": _RDF}]
        self._open: list[tuple[str, str]] = []
        self._text: list[str] = []
        self._root: int | None = None
        self._left = _MOST_ELEMENTS

    def start(self, name: str, attributes: dict[str, str]) -> None:
        self._left -= 1
        if self._left < 0 or len(self._open) >= _MOST_DEPTH:
            raise _TooMuch
        declared = {
            key.partition(":")[2]: value
            for key, value in attributes.items()
            if key == "xmlns" or key.startswith("xmlns:")
        }
        self._spaces.append({**self._spaces[-1], **declared} if declared else self._spaces[-1])
        self._open.append(self._named(name))
        self._text = []
        if self._root is None:
            if self._open[-1][1] == "RDF":
                self._root = len(self._open)
            return
        for key, value in attributes.items():
            space, own = self._named(key)
            if own == "resource" and space == _RDF:
                self._add(value)
            elif key != "xmlns" and not key.startswith(("xmlns:", "xml:")) and space != _RDF:
                self._add(value, (space, own))

    def end(self, _name: str) -> None:
        if self._root is not None and len(self._open) > self._root and self._text:
            self._add("".join(self._text))
        self._text = []
        if self._root == len(self._open):
            self._root = None
        self._open.pop()
        self._spaces.pop()

    def text(self, text: str) -> None:
        self._text.append(text)

    def _add(self, value: str, *attribute: tuple[str, str]) -> None:
        inside = [*self._open[self._root :], *attribute]
        path = [one for one in inside if one[1] not in _ARRANGING]
        if value.strip() and path:
            space = path[-1][0]
            self.packet.add(space, [own for _, own in path], value.strip()[:_MOST_VALUE])

    def _named(self, name: str) -> tuple[str, str]:
        """Return namespace and local name; the namespace is empty where it is not declared."""
        prefix, colon, local = name.rpartition(":")
        return (self._spaces[-1].get(prefix, "") if colon else "", local)

"""Word lists and gazetteers: whole words of a normalised text, with the roles that they play.

The lists are ours (``data/*.txt``); each file says its version, each list its role and languages. A
role is no judgement: :mod:`chopmark.safety.text.rules` says which roles together are harm.
"""

from __future__ import annotations

import functools
import hashlib
import re
import unicodedata
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from chopmark.errors import GuardFailed
from chopmark.safety.text._unicode import script

__all__ = ["Lexicon", "TermHit", "fold", "lexicon"]

_FILES: Final[tuple[str, ...]] = ("terms.txt", "figures.txt", "marks.txt")
_WORD: Final = re.compile(r"[^\W_]+(?:[\u0900-\u0dff][^\W_]*)*")
#: Scripts that write without spaces: their terms are looked for anywhere.
_UNSPACED: Final[frozenset[str]] = frozenset({"han", "kana", "thai"})
_SHORTEST_STEM: Final[int] = 3


@dataclass(frozen=True, slots=True)
class TermHit:
    """A term of a role in a text.

    Attributes:
        role: The list's role.
        start: First character in the normalised text; ``end`` is one past the last.
        first: Number of the first word; ``last`` of the last.
    """

    role: str
    start: int
    end: int
    first: int
    last: int


def fold(text: str) -> str:
    """Lower the case and take accents off Latin, Greek and Cyrillic letters."""
    if text.isascii():
        return text.lower()
    shown = []
    for char in unicodedata.normalize("NFC", text.lower()):
        if char.isascii() or script(char) not in {"latin", "greek", "cyrillic"}:
            shown.append(char)
        else:
            plain = unicodedata.normalize("NFD", char)
            shown.append("".join(c for c in plain if unicodedata.category(c) != "Mn"))
    return "".join(shown)


_Term = tuple[tuple[str, ...], bool, str]  # the words after the first, open-ended?, role


class Lexicon:
    """All lists, ready to be looked up; build it once with :func:`lexicon`."""

    def __init__(self, files: dict[str, str]) -> None:
        """Read lists from their texts.

        Raises:
            GuardFailed: A file has a term outside of any list.
        """
        self._by_first: dict[str, list[_Term]] = {}
        self._stems: dict[str, list[str]] = {}
        self._anywhere: list[tuple[str, str]] = []
        for name, text in files.items():
            self._read(name, text)
        self._longest_stem = max(map(len, self._stems), default=0)
        digest = hashlib.sha256("\0".join(files.values()).encode("utf-8")).hexdigest()
        self.model = f"lexicon@{digest[:16]}"

    def _read(self, name: str, text: str) -> None:
        role = ""
        for line in text.splitlines():
            if line.startswith("#") or not line.strip():
                continue
            if line.startswith("["):
                role = line.strip("[] ").split()[0]
                continue
            if not role:
                raise GuardFailed(f"{name}: a term stands before the first [role]")
            for term in line.split(","):
                if term.strip():
                    self._add(role, fold(term.strip()))

    def _add(self, role: str, term: str) -> None:
        open_end = term.endswith("*")
        words = _WORD.findall(term)
        if not words:
            return
        if script(words[0][0]) in _UNSPACED:
            self._anywhere.append(("".join(words), role))
        elif open_end and len(words) == 1:
            self._stems.setdefault(words[0], []).append(role)
        else:
            self._by_first.setdefault(words[0], []).append((tuple(words[1:]), open_end, role))

    def find(self, text: str) -> tuple[list[TermHit], int]:
        """Return every hit in a normalised text, in order, and how many words the text has."""
        folded = fold(text)
        if len(folded) != len(text):  # a letter that lowers to two; rare, and offsets must hold
            folded = "".join(fold(char)[:1] or char for char in text)
        words = [(found.group(), found.start(), found.end()) for found in _WORD.finditer(folded)]
        hits: list[TermHit] = []
        for at, (word, start, end) in enumerate(words):
            for form in _forms(word):
                hits += [
                    TermHit(role, start, end, at, at)
                    for size in range(_SHORTEST_STEM, min(len(form), self._longest_stem) + 1)
                    for role in self._stems.get(form[:size], ())
                ]
                for rest, open_end, role in self._by_first.get(form, ()):
                    if rest and form != word:
                        continue  # "straps on" is no "strap on"
                    last = at + len(rest)
                    if last < len(words) and _follows(words[at + 1 : last + 1], rest, open_end):
                        hits.append(TermHit(role, start, words[last][2], at, last))
        for term, role in self._anywhere:
            begin = folded.find(term)
            if begin >= 0:
                hits.append(TermHit(role, begin, begin + len(term), 0, 0))
        return sorted(set(hits), key=lambda hit: (hit.start, hit.end, hit.role)), len(words)


def _forms(word: str) -> tuple[str, ...]:
    """Return a word and its singular: ``s`` off, so that lists need one form of most nouns."""
    return (word, word[:-1]) if len(word) > 3 and word[-1] == "s" and word[-2] != "s" else (word,)


def _follows(words: list[tuple[str, int, int]], rest: tuple[str, ...], open_end: bool) -> bool:  # noqa: FBT001
    for place, wanted in enumerate(rest):
        have = words[place][0]
        if have == wanted or have == wanted + "s":
            continue
        if not (open_end and place == len(rest) - 1 and have.startswith(wanted)):
            return False
    return True


@functools.cache
def lexicon() -> Lexicon:
    """Return the committed lists.

    Raises:
        GuardFailed: A file is missing.
    """
    folder = Path(__file__).parent / "data"
    try:
        return Lexicon({name: (folder / name).read_text("utf-8") for name in _FILES})
    except OSError as error:
        raise GuardFailed(
            f"a word list cannot be read: {error}", hint="reinstall chopmark"
        ) from error

"""Undo disguises of spelling: spaced letters, marks inside words, leetspeak, repeats, joins."""

from __future__ import annotations

import itertools
import math
import re
from typing import TYPE_CHECKING, Final

from chopmark.safety.text._unicode import LEET
from chopmark.safety.text.words import LONGEST_WORD, is_word, rank, readings, segment

if TYPE_CHECKING:
    from chopmark.safety.text._marked import Marked

__all__ = ["respell"]

#: A letter or digit, or a sign that is drawn like one.
_LETTER: Final = r"(?:[^\W_]|[@$!|])"
#: What is neither: ``\w`` holds the underscore, which is a sign between letters here.
_NO_LETTER: Final = r"[^\w@$!|]|_"
#: What people put between the letters of a word to hide it.
_BETWEEN: Final = r"[ ._\-*~/|,·•]"
#: ``n u d e``, ``n.u.d.e``, ``k . i . l . l   h . i . m``: at least three letters, each alone.
_SPACED: Final = re.compile(
    rf"""
    (?<![^\s])                              # at the beginning of a word
    {_LETTER}
    (?:({_BETWEEN})\1{{0,1}}                # the sign between, once or twice the same
       {_LETTER}(?![^\W_])){{2,}}           # the next letter, and no other at its side
    (?:                                     # further words of the same kind:
       (?:\s{{2,}}+|{_BETWEEN}{{2,3}})      # behind a wider gap
       {_LETTER}(?![^\W_])
       (?:{_BETWEEN}{_LETTER}(?![^\W_]))*
    )*
    """,
    re.VERBOSE,
)
#: Marks inside a word, any number at a place: ``n.u.d.e``, ``na-ked``, ``po^^rn``. It begins at the first
#: letter only, and its runs are never given back (``++``): each character is read once.
_INNER: Final = re.compile(r"(?<![A-Za-z])[A-Za-z]++(?:[.\-_*~/|,·•'`^+=:;\\]++[A-Za-z]++)++")
#: What stands between spaces and punctuation that leetspeak does not use.
_TOKEN: Final = re.compile(r"[^\s,;:?\"“”()\[\]{}]+")
#: Three or more of one letter: no English word has them.
_REPEAT: Final = re.compile(r"([A-Za-z])\1{2,}")
#: ``NakedWomanPhoto``, ``#nakedWoman``: a capital after a small letter, at least once.
_CAMEL: Final = re.compile(r"(?<![A-Za-z])[#@]?[A-Z]?[a-z]++(?:[A-Z][a-z]*+)++")
#: Letters of a word that is joined from pieces, at least and at most.
_JOIN: Final = (4, 18)
#: Digits that mean digits, whatever word they could spell; matched against a whole lower-case token.
_PLAIN: Final = re.compile(
    r"""
    (?:
        # A number with its unit or ending: 85mm, 4k, 1920s, 3rd, 16bit.
        \d++(?:st|nd|rd|th|s|x|d|k|p|mm|cm|m|km|ml|px|fps|am|pm|kg|g|gb|mb
             |ft|in|yo|hp|hz|v|w|c|f|bit|k?)
      | [a-z]{1,2}\d++              # b2, mk4: letters and any number
      | f/?\d[\d.]*+                # apertures: f/1.8
      | \d++x\d++                   # 512x512
      | [a-z]++\d{1,4}              # a name with a number: sdxl10
      | \d++(?:[.,:/%-]\d*+)?       # 3.5, 16:9, 50%
      | [a-z]\d[a-z]\d              # r2d2
      | mp[34]
      | \$\d++k?                    # $50k
      | \#\d++                      # #1
    )
    !*\.?                           # and the end of a sentence
    """,
    re.VERBOSE,
)


def respell(marked: Marked) -> None:
    """Bring words back to their spelling; each step acts only where the result is a known word."""
    _spaced(marked)
    _leet(marked)
    _inner(marked)
    _camel(marked)
    _repeats(marked)
    _split_words(marked)


def _spaced(marked: Marked) -> None:
    """Join letters that are written apart; a wider gap ends a word."""
    text = marked.text
    wide = (
        "  " in text
    )  # the writer marks the ends of words: letters behind one another are one word
    edits: list[tuple[int, int, str]] = []
    for found in _SPACED.finditer(text):
        part = found.group()
        letters = re.sub(_NO_LETTER, "", part)
        # Fewer are initials or signs; digits alone are put together to one number.
        if sum(char.isalpha() for char in letters) < 3 and not letters.isdigit():
            continue
        if (
            "." in part
            and sum(char.islower() for char in letters) <= 1 < len(letters)
            and (sum(char.isupper() for char in letters) >= 2)
        ):
            continue  # U.S.A., also after "a"
        # Inside a word stands one sign (or one space); two, or a space among signs, end it.
        gap = r"\s+|[._\-*~/|,·•]{2,3}" if re.search(r"\w[^\w\s]\w", part) else r"\s{2,}"
        words = [re.sub(_NO_LETTER, "", word) for word in re.split(gap, part)]
        if len(words) == 1 or max(map(len, words)) < 2:
            # The gaps are no ends of words: the letters say where to cut ("nakedwoman").
            plain = unleet(letters.lower(), eager=True) or letters.lower()
            cut = segment(plain) if plain.isascii() and plain.isalpha() else None
            if cut is None and not letters.isdigit() and len(letters) < 4:
                continue
            if cut and (len(plain) < 8 or wide) and min(map(len, cut)) < 3:
                cut = None
            words = cut or [letters]
        if "*" in part and not all(rank(word.lower()) is not None for word in words if word):
            continue  # the stars stand for letters
        shown = " ".join(word for word in words if word)
        edits += _aligned(part, found.start(), shown)
        if not letters.isdigit():
            marked.note("spacing")
    marked.replace(edits)


def _aligned(part: str, start: int, shown: str) -> list[tuple[int, int, str]]:
    """Return edits that turn ``part`` into ``shown``, letter by letter where the letters agree."""
    at = 0
    edits: list[tuple[int, int, str]] = []
    signs = [(index, char) for index, char in enumerate(part) if char.isalnum() or char in "@$!|"]
    plain = shown.replace(" ", "")
    if len(plain) != len(signs):
        return [(start, start + len(part), shown)]
    last = 0
    for (index, _), char in zip(signs, plain, strict=True):
        gap = " " if shown[at : at + 1] == " " else ""
        at += len(gap)
        if index > last:
            edits.append((start + last, start + index, gap))
        edits.append((start + index, start + index + 1, char))
        last, at = index + 1, at + 1
    return edits


#: Most readings of one token that are looked up.
_READINGS: Final[int] = 700


def unleet(token: str, *, eager: bool = False) -> str | None:
    """Return the word that a lower-case token spells with digits and signs, if it is a known one.

    Args:
        token: Lower-case; letters, digits and signs.
        eager: Also where the digits stand at the ends only (``7he``), and for any length.
    """
    # What is longer is no word, however it is read.
    if len(token) > LONGEST_WORD or not any(char in LEET for char in token):
        return None
    options = [LEET.get(char, char) for char in token]
    # A long word of many signs has more readings than can be looked up: the most usual one alone.
    if math.prod(map(len, options)) > _READINGS:
        options = [option[0] for option in options]
    best = min(readings(options), default=None, key=lambda reading: reading[0])
    if best is None or (len(best[1]) < 3 and not eager):
        return None
    return best[1]


def _leet(marked: Marked) -> None:
    """Two passes: what is clear (a sign between letters) shows whether to try the rest.

    A token is clear where a digit or sign stands inside it, or ``@`` or ``$`` at an end, and its word
    has three letters or more. ``7he`` alone may be a typing slip; beside ``n4ked`` it is leetspeak.
    """
    text = marked.text
    lower = text.lower()
    clear: list[tuple[int, int, str]] = []
    vague: list[tuple[int, int, str]] = []
    if not any(char in LEET for char in text):
        return
    for found in _TOKEN.finditer(lower):
        token = found.group()
        core = token.strip(".,'’-_/").rstrip("!+*#|")
        start = found.start() + token.find(core) if core else found.start()
        # Punctuation at the ends is the sentence's; "!", "+", "*", "#" and "|" at the end are not taken
        # for letters either.
        if not core or not any(char in LEET for char in core) or _PLAIN.fullmatch(core):
            continue
        if not any(char.isalpha() for char in core) and len(core) < 4:
            continue
        if core.isdigit():
            continue
        for part_start, part in _parts(core):
            here = start + part_start
            bare = part.rstrip("!+*#") if rank(part.rstrip("!+*#")) is not None else part
            if bare.isalpha() or not bare or not any(char in LEET for char in bare):
                continue
            word = unleet(bare, eager=True)
            # Short codes in capitals (B2B, X1Z) are names, and not guessed at.
            capitals = text[here : here + len(bare)]
            if word is None and not (capitals.isupper() and len(bare) < 6):
                word = _guess(bare)
            if word is None or (len(word) == 1 and word not in {"a", "i"}):
                continue
            inside = any(char in LEET for char in bare[1:-1]) and any(c.isalpha() for c in bare)
            edge = bare[0] in "@$" or bare[-1] in "@$"
            (clear if (inside or edge) and len(word) > 2 else vague).append(
                (here, here + len(bare), word)
            )
    edits = sorted(clear + vague) if clear else []
    if not edits:
        return
    marked.note("leet")
    marked.replace(edits)


def _parts(core: str) -> list[tuple[int, str]]:
    """Split a token at hyphens, slashes and full stops that stand between its words."""
    return [(found.start(), found.group()) for found in re.finditer(r"[^\-/_.]+", core)]


def _guess(token: str) -> str | None:
    """Read an unknown word with several signs between letters as leet (names, rare words)."""
    letters = sum(char.isalpha() for char in token)
    signs = sum(char in LEET for char in token)
    if letters + signs != len(token) or letters < 2 or signs < 1 or len(token) < 4:
        return None
    inner = [at for at, char in enumerate(token) if char in LEET and 0 < at < len(token) - 1]
    if not inner or (not token[0].isalpha() and token[0] not in "@$!|0123457"):
        return None
    if re.fullmatch(r"[a-z]+\d+|\d+[a-z]+", token):
        return None  # a name with a number before or behind it
    return "".join(LEET.get(char, char)[:1] for char in token)


def _inner(marked: Marked) -> None:
    """Take marks out of a word (``n.u.d.e``, ``na-ked``) where the parts are no words."""
    edits: list[tuple[int, int, str]] = []
    for found in _INNER.finditer(marked.text):
        part = found.group()
        pieces = re.split(r"[^A-Za-z]+", part.lower())
        joined = "".join(pieces)
        # Two letters with a full stop are an abbreviation ("e.g", "a.m").
        if len(joined) < 3 or (
            re.fullmatch(r"(?:[a-z]\.)+[a-z]", part.lower()) and len(pieces) < 3
        ):
            continue
        if max(map(len, pieces)) == 1 and part.isupper():
            continue  # U.S.A.
        if "*" in part and not is_word(joined):
            continue  # the stars stand for letters
        known = [rank(piece) is not None for piece in pieces]
        if all(known) or (len(pieces) == 2 and "'" in part):
            continue  # words that a mark joins ("long-haired"), or an elision ("o'clock")
        cut = [joined] if rank(joined) is not None else None
        # Where most pieces are words, the marks join them and hide none.
        if cut is None and sum(known) * 2 <= len(pieces):
            cut = segment(joined)
        if cut is not None and len(cut) < len(pieces):
            edits += _aligned_letters(part, found.start(), " ".join(cut))
            marked.note("inner marks")
    marked.replace(edits)


def _aligned_letters(part: str, start: int, shown: str) -> list[tuple[int, int, str]]:
    edits: list[tuple[int, int, str]] = []
    at = last = 0
    for index, char in enumerate(part):
        if not char.isalpha():
            continue
        gap = " " if shown[at : at + 1] == " " else ""
        at += len(gap)
        if index > last or gap:
            edits.append((start + last, start + index, gap))
        last, at = index + 1, at + 1
    return edits


def _camel(marked: Marked) -> None:
    """Cut ``NakedWomanPhoto`` into words where each part is one."""
    edits: list[tuple[int, int, str]] = []
    for found in _CAMEL.finditer(marked.text):
        start = found.start() + (found.group()[0] in "#@")
        word = found.group().lstrip("#@")
        if rank(word.lower()) is not None:
            continue
        cuts = [at for at, char in enumerate(word) if char.isupper() and at]
        parts = [word[a:b].lower() for a, b in itertools.pairwise([0, *cuts, len(word)])]
        if sum(rank(part) is not None for part in parts) * 2 > len(parts):
            edits += [(start + at, start + at, " ") for at in cuts]
    if edits:
        marked.note("camel case")
        marked.replace(edits)


def _repeats(marked: Marked) -> None:
    """``nuuuude`` → ``nude``: three and more of a letter are two or one, whichever is a word."""
    edits: list[tuple[int, int, str]] = []
    for found in re.finditer(r"[A-Za-z]+", marked.text):
        word = found.group()
        low = word.lower()
        # Roman numerals, "www", "xxx", "aaa", "mmm" and "hmm" are spelt with repeats.
        if not _REPEAT.search(low) or re.fullmatch(r"[ivxlcm]+|www|x+|a+|h?m+", low):
            continue
        # At most six runs: each is tried with one letter and with two, 64 readings in all.
        runs = [(m.start(), m.end()) for m in re.finditer(r"([a-z])\1+", low)][:6]
        best: tuple[int, list[int]] | None = None
        # Even with one letter for each run it would be longer than any word.
        hopeless = len(word) - sum(end - start - 1 for start, end in runs) > LONGEST_WORD
        for keep in () if hopeless else itertools.product((1, 2), repeat=len(runs)):
            shown, last = "", 0
            for (start, end), count in zip(runs, keep, strict=True):
                shown += low[last:start] + low[start] * count
                last = end
            place = rank(shown + low[last:])
            if place is not None and (best is None or place < best[0]):
                best = (place, list(keep))
        keep_counts = best[1] if best else [1] * len(runs)
        for (start, end), count in zip(runs, keep_counts, strict=True):
            if end - start > count:
                edits.append((found.start() + start + count, found.start() + end, ""))
    if edits:
        marked.note("repeats")
        marked.replace(edits)


def _split_words(marked: Marked) -> None:
    """Join pieces that only together are a word (``nak ed wom an``)."""
    text = marked.text
    words = list(re.finditer(r"[A-Za-z]+", text))
    pieces = [found.group().lower() for found in words]
    unknown = [rank(piece) is None for piece in pieces]
    # Whether one space and nothing else stands between a word and the next.
    near = [text[a.end() : b.start()] == " " for a, b in itertools.pairwise(words)]
    edits: list[tuple[int, int, str]] = []
    at = 0
    while at + 1 < len(words):
        found = 1
        whole = pieces[at]
        for size in (2, 3, 4):
            if at + size > len(words) or not near[at + size - 2]:
                break
            whole += pieces[at + size - 1]
            if len(whole) > _JOIN[1]:
                break
            # Half of the pieces must be no words ("can not" is left alone), and what they make long
            # enough to be no word by chance.
            if len(whole) >= _JOIN[0] and is_word(whole):
                part = words[at : at + size]
                possible = sum(unknown[at : at + size]) * 2 >= size
                if possible and not _name(part) and not _elided(text, part):
                    found = size
        part = words[at : at + found]
        edits += [(a.end(), b.start(), "") for a, b in itertools.pairwise(part)]
        at += found
    if edits:
        marked.note("split words")
        marked.replace(edits)


def _elided(text: str, part: list[re.Match[str]]) -> bool:
    """An apostrophe beside the pieces (``don't end``): they are parts of other words."""
    return text[part[0].start() - 1 : part[0].start()] in {"'", "’"} or text[
        part[-1].end() : part[-1].end() + 1
    ] in {"'", "’"}


def _name(part: list[re.Match[str]]) -> bool:
    """Capitals inside: two names stand side by side, no split word."""
    return any(found.group()[0].isupper() for found in part[1:])

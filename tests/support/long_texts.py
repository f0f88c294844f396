"""Long texts in every disguise that there is, for tests and benchmarks of what they cost.

Each kind is a function from a length to a text of that many characters (or some few less), always
the same one. What a disguise hides is harmless: costs do not depend on it.
"""

from __future__ import annotations

import base64
import functools
import itertools
import random
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["KINDS", "long_text"]

_WORDS: Final = (
    "a red apple lies on the wooden table near a window while two children play with kites in the"
    " garden and an old man paints the mountains under bright clouds of late summer"
).split()
_RUSSIAN: Final = "красное яблоко лежит на деревянном столе возле окна и дети играют в саду".split()
_ARABIC: Final = "تفاحة حمراء على طاولة خشبية بجانب النافذة والسماء زرقاء صافية اليوم".split()
_HINDI: Final = "हरी घास पर एक सफेद घोड़ा दौड़ रहा है और आकाश नीला साफ है".split()
_CHINESE: Final = "桌子上有一个红色的苹果窗外是蓝天和白云孩子们在花园里放风筝老人画着远山"
_JAPANESE: Final = "木のテーブルの上に赤いりんごがあり窓の外には青い空と白い雲が見えます"
_THAI: Final = "แอปเปิลสีแดงวางอยู่บนโต๊ะไม้ใกล้หน้าต่างเด็กๆเล่นว่าวในสวน"
_LEET: Final = str.maketrans("aeiost", "4310$7")
_LOOK_ALIKE: Final = str.maketrans("aceiopsxy", "асеіорѕху")  # noqa: RUF001


def _prose(size: int, words: list[str] = _WORDS, *, gap: str = " ") -> str:
    """Return words in an order of no period, so that no part of the text repeats another."""
    dice = random.Random(1)  # noqa: S311
    made: list[str] = []
    length = 0
    while length <= size:
        made.append(dice.choice(words))
        length += len(made[-1]) + len(gap)
    return gap.join(made)[:size]


def _shuffled(signs: str, size: int) -> str:
    return "".join(random.Random(2).choices(signs, k=size))  # noqa: S311


def _mapped(change: Callable[[str], str], *, share: float = 1.0) -> Callable[[int], str]:
    """Return a kind that changes prose letter by letter, a share of the letters."""

    def make(size: int) -> str:
        dice = random.Random(3)  # noqa: S311
        return "".join(
            change(char) if char != " " and dice.random() < share else char for char in _prose(size)
        )[:size]

    return make


def _repeated(part: str) -> Callable[[int], str]:
    return lambda size: (part * (size // len(part) + 1))[:size]


def _of(signs: str) -> Callable[[int], str]:
    return lambda size: _shuffled(signs, size)


def _coded(change: Callable[[bytes], str], *, growth: float) -> Callable[[int], str]:
    return lambda size: change(_prose(int(size / growth) + 8).encode())[:size]


def _joined(join: Callable[[str], str]) -> Callable[[int], str]:
    return lambda size: " ".join(map(join, _prose(size).split()))[:size]


def _many(groups: Callable[[int], str], gap: str = " ") -> Callable[[int], str]:
    """Return a kind that is made of numbered groups."""

    def make(size: int) -> str:
        parts: list[str] = []
        length = 0
        for at in itertools.count():
            parts.append(groups(at))
            length += len(parts[-1]) + len(gap)
            if length > size:
                return gap.join(parts)[:size]
        raise AssertionError

    return make


def _pig(word: str) -> str:
    return word[1:] + word[0] + "ay" if len(word) > 2 else word


_LETTERS: Final = "abcdefghijklmnopqrstuvwxyz"
#: Name to maker. Alphabetical within a group; a new disguise in the guard wants its line here.
KINDS: Final[dict[str, Callable[[int], str]]] = {
    # What people write.
    "english": _prose,
    "russian": lambda size: _prose(size, _RUSSIAN),
    "arabic": lambda size: _prose(size, _ARABIC),
    "hindi": lambda size: _prose(size, _HINDI),
    "chinese": _of(_CHINESE),
    "japanese": _of(_JAPANESE),
    "thai": _of(_THAI),
    "emoji": _of("😀🔥🍎👩🎨⭐☂"),
    "flags": _many(lambda at: "🇺🇸🇫🇷🇩🇪"[at % 3 * 2 : at % 3 * 2 + 2], gap=""),
    # One character, or a few, for ever.
    "one letter": _repeated("a"),
    "one capital": _repeated("A"),
    "one digit": _repeated("1"),
    "one star": _repeated("*"),
    "one dot": _repeated("."),
    "one dash": _repeated("-"),
    "one apostrophe": _repeated("a'"),
    "one percent": _repeated("%"),
    "one ampersand": _repeated("&"),
    "one backslash": _repeated("\\"),
    "one space": _repeated(" "),
    "one space at the end": lambda size: " " * (size - 1) + "a",
    "line ends": _repeated("\n"),
    "controls": _repeated("\x00\x01"),
    "surrogates": _repeated("\ud800a"),
    "two letters": _repeated("ab"),
    "two letters, spaced": _repeated("a  b "),
    "letter and dot": _repeated("a."),
    "letter and dash": _repeated("a-"),
    "letter and underscore": _repeated("a_"),
    "letter and star": _repeated("a*"),
    "letter and digit": _repeated("a1"),
    "letter and at": _repeated("a@"),
    "letters then stars": lambda size: "ab" * (size // 4) + "*" * (size // 2),
    "punctuation": _of("!?.,:;-_#+*/|\\()[]{}<>\"'`~^=&%$@"),
    "digits": _of("0123456789"),
    "digit pairs": _many(lambda at: f"{at * 7 % 27:02d}"),
    "digit pairs, comma": _many(lambda at: f"{at * 7 % 27:d}", gap=", "),
    "numbers with slips": _many(lambda at: f"{at * 7 % 27:d}" if at % 40 else "1234"),
    "brackets": lambda size: "(" * (size // 2) + ")" * (size // 2),
    # Disguises of characters.
    "zero-width": _mapped(lambda c: c + "\u200b"),
    "tags": lambda size: "".join(chr(0xE0000 + ord(c)) for c in _prose(size)),
    "tags and letters": _mapped(lambda c: c + chr(0xE0000 + ord(c))),
    "overrides": _repeated("\u202eba\u202c"),
    "overrides, open": _repeated("\u202eba"),
    "overrides alone": _repeated("\u202e"),
    "stacked marks": _mapped(lambda c: c + "\u0301\u0302\u0303"),
    "marks alone": _repeated("\u0301"),
    "look-alikes": lambda size: _prose(size).translate(_LOOK_ALIKE),
    "look-alikes, some": _mapped(lambda c: c.translate(_LOOK_ALIKE), share=0.4),
    "look-alikes, no gaps": lambda size: _prose(size, gap="").translate(_LOOK_ALIKE),
    "wide letters": _mapped(lambda c: chr(ord(c) + 0xFEE0)),
    "script letters": _mapped(lambda c: chr(0x1D4EA + ord(c) - 97)),
    "circled letters": _mapped(lambda c: chr(0x1F150 + ord(c) - 97)),
    "regional letters": _mapped(lambda c: chr(0x1F1E6 + ord(c) - 97)),
    "regional, spaced": _many(lambda at: chr(0x1F1E6 + at % 26)),
    "letters that grow": _repeated("\ufdfa"),
    "letters that grow, mixed": _repeated("a\u3300\u33ff"),
    "pictures between": _mapped(lambda c: c + "🔥"),
    "pictures after": lambda size: "a" + "🔥" * (size - 1),
    # Codes.
    "percent": _coded(lambda b: "".join(f"%{x:02x}" for x in b), growth=3),
    "percent twice": _coded(lambda b: "".join(f"%25{x:02x}" for x in b), growth=5),
    "entities": _coded(lambda b: "".join(f"&#{x};" for x in b), growth=6),
    "entities, cut": _repeated("&#"),
    "escapes": _coded(lambda b: "".join(f"\\x{x:02x}" for x in b), growth=4),
    "hexadecimal": _coded(lambda b: b.hex(), growth=2),
    "hexadecimal, spaced": _coded(lambda b: b.hex(" "), growth=3),
    "hexadecimal, prefixed": _coded(lambda b: " ".join(f"0x{x:02x}" for x in b), growth=5),
    "hexadecimal, slip": lambda size: "6e" * (size // 2 - 1) + "x",
    "hexadecimal, spaced, slip": lambda size: ("6e " * (size // 3))[:-2] + "g",
    "hexadecimal words": _many(lambda at: f"{at % 250:02x}" * 4 + ("z" if at % 2 else "")),
    "base64": _coded(lambda b: base64.b64encode(b).decode(), growth=1.34),
    "base64 words": _many(lambda at: base64.b64encode(f"{at} apples".encode()).decode()),
    "base64 of base64": _coded(
        lambda b: base64.b64encode(base64.b64encode(b)).decode(), growth=1.78
    ),
    "base64, no text": _of("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"),
    "base32": _coded(lambda b: base64.b32encode(b).decode(), growth=1.6),
    "binary": _coded(lambda b: " ".join(f"{x:08b}" for x in b), growth=9),
    "binary, no gaps": _coded(lambda b: "".join(f"{x:08b}" for x in b), growth=8),
    "binary, slip": lambda size: "01101110" * (size // 8 - 1) + "2",
    "decimal": _coded(lambda b: " ".join(map(str, b)), growth=4),
    "morse": _many(lambda at: (".-", "-...", "-.-.", "-..", ".")[at % 5]),
    "morse, slip": lambda size: "-. " * (size // 3 - 1) + "a",
    "rot13": lambda size: _prose(size).translate(
        str.maketrans(_LETTERS, _LETTERS[13:] + _LETTERS[:13])
    ),
    "reversed": lambda size: _prose(size)[::-1],
    # Disguises of spelling.
    "spaced letters": lambda size: " ".join(_prose(size).replace(" ", " "))[:size],
    "spaced letters, wider": lambda size: "  ".join(" ".join(w) for w in _prose(size).split())[
        :size
    ],
    "dots between": _joined(".".join),
    "dots between all": lambda size: ".".join(_prose(size, gap=""))[:size],
    "dashes between all": lambda size: "-".join(_prose(size, gap=""))[:size],
    "many marks between": lambda size: "^^^^".join(_prose(size, gap=""))[:size],
    "words of dots": lambda size: _prose(size, gap="."),
    "leet": lambda size: _prose(size).translate(_LEET),
    "leet, no gaps": lambda size: _prose(size, gap="").translate(_LEET),
    "leet, many readings": _many(lambda at: "a1*1#6!7|*1"[at % 5 :]),
    "leet, most readings": _many(lambda at: f"****{_LETTERS[at % 26]}{_LETTERS[at // 26 % 26]}"),
    "leet, long readings": _many(lambda at: f"c*nt*st*{_LETTERS[at % 26]}1"),
    "stars": _mapped(lambda c: "*" if c in "aeiou" else c),
    "stars, no gaps": lambda size: _prose(size, gap="").replace("a", "*").replace("e", "*"),
    "camel": lambda size: "".join(word.title() for word in _prose(size).split()),
    "mixed case": lambda size: "".join(
        c.upper() if at % 2 else c for at, c in enumerate(_prose(size, gap=""))
    ),
    "mixed case, spaced": lambda size: "".join(
        c.upper() if at % 2 else c for at, c in enumerate(_prose(size))
    ),
    "hashtags": lambda size: "".join(f"#{word.title()}" for word in _prose(size).split()),
    "repeats": _joined(lambda w: w[:2] + w[1:2] * 5 + w[2:]),
    "repeats, no gaps": _mapped(lambda c: c * 3),
    "doubled": _mapped(lambda c: c * 2),
    "run together": lambda size: _prose(size, gap=""),
    "letters, no word": _of("bcdfghjklmnpqrstvwxz"),
    "letters, no word, spaced": lambda size: " ".join(
        _shuffled("bcdfghjklmnpqrstvwxz", size)[at : at + 7] for at in range(0, size, 8)
    ),
    "split words": _joined(lambda w: f"{w[:3]} {w[3:]}" if len(w) > 4 else w),
    "pig latin": _joined(_pig),
    "no vowels": lambda size: "".join(c for c in _prose(size * 2) if c not in "aeiou")[:size],
    "swapped": _joined(lambda w: w[0] + w[2] + w[1] + w[3:] if len(w) > 4 else w),
    "a word of a letter": lambda size: ("x" + "a" * 40 + " ") * (size // 42),
    # What rules and lists look for.
    "terms": _repeated("gore, a puma with a knife, blood, a child, "),
    "terms, pairs": _repeated("nude man gore blood attack him "),
    "terms, apart": lambda size: "nude " * (size // 11) + "x " * 20 + "man " * (size // 11),
    "terms, rare": _repeated("the president of a country in handcuffs and a fake newspaper, "),
    "ages": _repeated("aged 15 aged  of 15 years  old "),
    "ages, spaces": lambda size: "aged" + " " * (size - 5) + "x",
    "age, many spaces": _repeated("age of          "),
    "small and spaces": lambda size: ("little" + " " * 500) * (size // 506 + 1),
    "question": lambda size: "?" * (size - 5) + "what ",
    "quotes": _repeated('"a" '),
    "dotted capitals": _repeated("U.S.A. "),
    "urls": _repeated("https://example.org/a/b?c=d "),
}


@functools.cache
def long_text(kind: str, size: int) -> str:
    """Return a text of a kind, at most ``size`` characters."""
    return KINDS[kind](size)[:size]

"""Undo encodings: percent, entities, escapes, hexadecimal, base64, binary, Morse, rot-n, reversal."""

from __future__ import annotations

import base64
import binascii
import html
import re
import string
from typing import TYPE_CHECKING, Final

from chopmark.safety.text._unicode import script
from chopmark.safety.text._wordplay import letters_of_numbers
from chopmark.safety.text.words import known_share, rank

if TYPE_CHECKING:
    from collections.abc import Callable

    from chopmark.safety.text._marked import Marked

__all__ = ["decode", "shift"]

# How each encoding looks. A pattern only nominates: `decode` keeps what its decoder can read, and of
# bytes what a person could have written (`_reads`). The least lengths keep out the short strings that
# ordinary prompts hold by chance. Each pattern reads a text once: it begins where its kind begins (a
# look-behind), and takes whole runs that it never gives back (``++``) or parts of a bounded length.

#: RFC 3986, 2.1: ``%6e%75``.
_PERCENT: Final = re.compile(r"(?:%[0-9A-Fa-f]{2})++")
#: HTML: decimal, hexadecimal and named character references, ``&#110;``, ``&#x6e;``, ``&amp;``.
_ENTITY: Final = re.compile(r"&(?:#\d{1,7}|#[xX][0-9A-Fa-f]{1,6}|[A-Za-z]{2,20});")
#: Escapes of C, JSON and JavaScript: ``\x6e``, ``\u006e``, ``\u{6e}``.
_ESCAPE: Final = re.compile(r"(?:\\x[0-9A-Fa-f]{2}|\\u[0-9A-Fa-f]{4}|\\u\{[0-9A-Fa-f]{1,6}\})")
#: Four bytes or more, with or without ``0x`` and what separates them: ``6e756465``, ``6e:75:64:65``.
_HEX: Final = re.compile(
    r"""
    (?<![0-9A-Za-z])
    (?:0x)?[0-9A-Fa-f]{2}
    (?:[ :,-]{0,2}(?:0x)?[0-9A-Fa-f]{2}){3,}
    (?![0-9A-Za-z])
    """,
    re.VERBOSE,
)
#: RFC 4648, 4 and 5 (the URL's alphabet), from eight signs (six bytes) on, nothing of its kind beside.
_BASE64: Final = re.compile(r"(?<![A-Za-z0-9+/=_-])[A-Za-z0-9+/_-]{8,}+={0,2}+(?![A-Za-z0-9+/=_-])")
#: Three bytes or more of seven or eight bits: ``01101110 01110101 01100100``.
_BINARY: Final = re.compile(r"(?<![01])[01]{7,8}(?:[ ,]?[01]{7,8}){2,}(?![01])")
#: Five or more character codes of ASCII: ``110 117 100 101 115``.
_DECIMAL: Final = re.compile(r"(?<!\d)\d{2,3}(?:[ ,;]{1,2}\d{2,3}){4,}(?!\d)")
#: Six or more numbers of one or two digits, places in the alphabet: ``14-21-4-5-19-19``.
_PLACES: Final = re.compile(r"(?<![\d.,])(?:\d{1,2}[ ,;/-]{1,2}){5,}\d{1,2}(?![\d])")
#: Four or more groups of dots and dashes, typographic ones too; "/" or "|" stands between words.
_MORSE: Final = re.compile(r"(?<![\w.])[.\-·−–]{1,6}(?:[ /|]++[.\-·−–]{1,6}){3,}(?![\w])")
#: RFC 4648, 6, from ten bytes on: capitals alone are also how people shout.
_BASE32: Final = re.compile(r"(?<![A-Z2-7=])[A-Z2-7]{16,}+={0,6}+(?![A-Z2-7=])")


def decode(marked: Marked) -> bool:
    """Decode what stands in a known encoding and reads as text; tell whether anything did."""
    changed = False
    text = marked.text
    for name, pattern, decoder in _DECODERS:
        edits = []
        for found in pattern.finditer(text):
            shown = decoder(found.group())
            if shown is not None and shown != found.group():
                edits.append((found.start(), found.end(), shown))
        if edits:
            marked.replace(edits)
            marked.note(name)
            changed = True
            text = marked.text
    return changed


def _reads(text: str) -> bool:
    """Tell whether decoded bytes are text that a person could have written."""
    if len(text) < 3 or any(not char.isprintable() and char not in "\n\t\r" for char in text):
        return False
    if text.isascii() and (_BASE64.fullmatch(text) or _HEX.fullmatch(text)) and len(text) >= 16:
        inner = _base64(text) if not _HEX.fullmatch(text) else _hex(text)
        if inner is not None:
            return True  # an encoding inside: the next round undoes it
    letters = sum(char.isalpha() or char.isspace() for char in text)
    if letters < 0.7 * len(text):
        return False
    # Random bytes are seldom UTF-8, and then of many scripts; for English there are words to look up.
    if not text.isascii():
        scripts = {script(char) for char in text} - {""}
        return len(text) >= 8 and letters > 0.85 * len(text) and len(scripts) <= 2
    return known_share(re.findall(r"[a-z]+", text.lower())) >= 0.4


def _bytes_as_text(data: bytes) -> str | None:
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        return None
    return text if _reads(text) else None


def _percent(part: str) -> str | None:
    data = bytes.fromhex(part.replace("%", ""))
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return data.decode("latin-1")


def _entity(part: str) -> str | None:
    shown = html.unescape(part)
    return shown if len(shown) == 1 else None


def _escape(part: str) -> str | None:
    code = int(part[2:].strip("{}"), 16)
    return chr(code) if code < 0xD800 or 0xE000 <= code < 0x110000 else None


def _hex(part: str) -> str | None:
    return _bytes_as_text(bytes.fromhex(re.sub(r"0x|[ :,-]", "", part)))


def _base64(part: str) -> str | None:
    plain = part.rstrip("=").replace("-", "+").replace("_", "/")
    if plain.isdigit() or (plain.islower() and rank(plain) is not None):
        return None  # a number, or a word that happens to be written in this alphabet
    try:
        data = base64.b64decode(plain + "=" * (-len(plain) % 4), validate=True)
    except (binascii.Error, ValueError):
        return None
    return _bytes_as_text(data)


def _base32(part: str) -> str | None:
    plain = part.rstrip("=")
    try:
        return _bytes_as_text(base64.b32decode(plain + "=" * (-len(plain) % 8)))
    except (binascii.Error, ValueError):
        return None


def _binary(part: str) -> str | None:
    groups = re.findall(r"[01]{7,8}", part) if " " in part or "," in part else None
    if groups is None:
        bits = part
        groups = [bits[at : at + 8] for at in range(0, len(bits) - len(bits) % 8, 8)]
    return _bytes_as_text(bytes(int(group, 2) for group in groups))


def _decimal(part: str) -> str | None:
    codes = [int(code) for code in re.findall(r"\d+", part)]
    if any(code > 126 or code < 9 for code in codes):
        return None  # from the tabulator to the tilde
    return _bytes_as_text(bytes(codes))


#: ITU-R M.1677-1: letters, then digits.
_MORSE_CODE: Final[dict[str, str]] = dict(
    zip(
        ".- -... -.-. -.. . ..-. --. .... .. .--- -.- .-.. -- -. --- .--. --.- .-. ... - ..- ...- .--"
        " -..- -.-- --.. ----- .---- ..--- ...-- ....- ..... -.... --... ---.. ----.".split(),
        string.ascii_lowercase + string.digits,
        strict=True,
    )
)


def _morse(part: str) -> str | None:
    plain = re.sub("[−–]", "-", part.replace("·", "."))
    words = []
    for word in re.split(r"\s*[/|]\s*|\s{3,}", plain.strip()):
        letters = [_MORSE_CODE.get(sign) for sign in word.split()]
        if None in letters:
            return None
        words.append("".join(letter for letter in letters if letter))
    shown = " ".join(words)
    return shown if known_share(shown.split()) >= 0.4 else None


_DECODERS: Final[tuple[tuple[str, re.Pattern[str], Callable[[str], str | None]], ...]] = (
    ("percent", _PERCENT, _percent),
    ("entities", _ENTITY, _entity),
    ("escapes", _ESCAPE, _escape),
    ("binary", _BINARY, _binary),
    ("decimal codes", _DECIMAL, _decimal),
    ("letters as numbers", _PLACES, letters_of_numbers),
    ("hexadecimal", _HEX, _hex),
    ("base32", _BASE32, _base32),
    ("base64", _BASE64, _base64),
    ("morse", _MORSE, _morse),
)

_ALPHABET: Final[str] = string.ascii_lowercase
_ATBASH: Final[dict[int, int]] = str.maketrans(
    _ALPHABET + _ALPHABET.upper(), _ALPHABET[::-1] + _ALPHABET[::-1].upper()
)


def _rotation(by: int) -> dict[int, int]:
    turned = _ALPHABET[by:] + _ALPHABET[:by]
    return str.maketrans(_ALPHABET + _ALPHABET.upper(), turned + turned.upper())


_ROTATIONS: Final = tuple(_rotation(by) for by in range(1, 26))


#: Words by which the alphabet of a text is found.
_ENOUGH: Final[int] = 500


def shift(marked: Marked) -> bool:
    """Undo rot-n, atbash and reversal of a text that is no language as it stands.

    Only where the reading is far better than the text: three letters in four belong to known words,
    and the text itself has less than half of that.
    """
    text = marked.text
    words = re.findall(r"[a-z]+", text.lower())
    every = words
    # Of a very long text as many words as tell, from all of its parts: each is looked up 28 times.
    words = words[:: max(1, len(words) // _ENOUGH)]
    letters = sum(map(len, words))
    if letters < 6 or not any(len(word) > 2 for word in words):
        return False
    as_is = known_share(words)
    if as_is > 0.55:
        return False  # it reads as language
    best, name, table = _best_rotation(words)
    mirrored = known_share([word.translate(_ATBASH) for word in words])
    backwards = known_share([word[::-1] for word in words])
    # With 25 rotations one of a short text's hits a word or two by chance, so it must read better.
    needed = max(0.75 if letters < 24 else 0.55, as_is + 0.3)
    if max(best, mirrored, backwards) < needed:
        return False
    if backwards >= best and backwards >= mirrored:
        _reverse(marked, every)
        marked.note("reversal")
        return True
    if mirrored > best:
        name, table = "atbash", _ATBASH
    marked.chars = list(text.translate(table))
    marked.note(name)
    return True


def _best_rotation(words: list[str]) -> tuple[float, str, dict[int, int]]:
    best = (0.0, "", _ROTATIONS[0])
    for by, turn in enumerate(_ROTATIONS, start=1):
        share = known_share([word.translate(turn) for word in words])
        if share > best[0]:
            best = (share, f"rot{26 - by}", turn)
    return best


def _reverse(marked: Marked, words: list[str]) -> None:
    """Turn the whole text around, or each word where the words stand in their right order."""
    whole = _order([word[::-1] for word in reversed(words)])
    single = _order([word[::-1] for word in words])
    if whole >= single:
        marked.chars.reverse()
        marked.spans.reverse()
        return
    for found in re.finditer(r"[^\W\d_]+", marked.text):
        part = slice(found.start(), found.end())
        marked.chars[part] = marked.chars[part][::-1]
        marked.spans[part] = marked.spans[part][::-1]


_BEFORE: Final[frozenset[str]] = frozenset(
    "a an the of in on with and to at by for from is".split()
)


def _order(words: list[str]) -> int:
    """Count small words that stand before another word: never at the end of an English phrase."""
    return -1 if words and words[-1] in _BEFORE else sum(word in _BEFORE for word in words[:1])

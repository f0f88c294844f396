"""Tables of characters that look like others.

Written by hand from the shapes, after the idea of Unicode TR 39 ("confusable" skeletons); only what
people use to write one Latin word with another script's letters is here.
"""

from __future__ import annotations

import unicodedata
from functools import lru_cache
from typing import Final

__all__ = ["CONFUSABLES", "INVISIBLE", "LEET", "SMALL_CAPS", "is_invisible", "script"]

_PAIRS: Final[str] = (
    # Cyrillic
    "аa вb сc ԁd еe ѐe ёe һh нh іi їi ӏl јj кk ԛq мm пn оo рp гr ѕs тt уy ѵv ԝw шw щw хx ӽx ƶz зz "
    "бb иn йn лn фo яr чy ьb ъb ыb эe ѳo ѯe Ԍg ԍg ӧo ӓa ҝk ҡk ғf ҽe ҿe қk ҳx үy ұy "
    # Greek
    "αa βb ϲc ςc δd εe ϝf γy ηn ιi κk λl μu νv οo πn ρp σo τt υu φo χx ψw ωw ϳj ξe ζz θo ϐb ϵe ϱp "
    # Armenian, Georgian, Cherokee, Coptic, Hebrew shapes
    "ոn ցg հh օo սu զq ѡw յj ռn տs րp ւl եt էt մu վy ꭺa ꮟb ꮯc ꭰd ꭼe ꮐg ꮋh ꭵi ꭻj ꮶk ꮮl ꮇm ꮲp ꮢr "
    "ꮪs ꭲt ꮩv ꮃw ꮍy ꮓz ⲁa ⲃb ⲥc ⲉe ⲏh ⲓi ⲕk ⲙm ⲛn ⲟo ⲣp ⲧt ⲩy ⲭx סo ոn оo "
    # Latin letters with strokes, hooks, turned and phonetic forms
    "ɑa ɐa æa ƀb ɓb ƈc ȼc đd ɖd ɗd ðd ǝe ɛe ɘe əe ɇe ƒf ɡg ɠg ǥg ħh ɦh ɨi ıi ɩi ɪi ʝj ɉj ƙk łl ƚl ɫl "
    "ɭl ⅼl ɱm ɯm ɲn ŋn ƞn ɳn øo ɵo ɔo ƥp ɋq ʠq ɍr ɾr ɽr ʂs ʃs ŧt ƭt ʈt ʉu ʊu ʋv ʌv ɏy ƴy ʏy ƶz ʐz ʒz ƨs "
    "ʍw ɥh ʇt ʞk ʎy ɹr ꓮa ꓐb ꓚc ꓓd ꓰe ꓝf ꓖg ꓧh ꓲi ꓙj ꓗk ꓡl ꓟm ꓠn ꓳo ꓑp ꓣr ꓢs ꓔt ꓴu ꓦv ꓪw ꓫx ꓬy ꓜz "
    # symbols and currency that stand for letters
    "¢c €e £l ¥y ₳a ฿b ₵c ₫d ₣f ₲g ₭k ₥m ₦n ₱p ₴s ₮t ₩w ∂d ∑e ∩n ∪u √v ×x ℓl ℮e ∅o ⊘o †t ‡t "
    # Canadian syllabics, runes and others that the fancy-text pages use
    "ᗩa ᗷb ᑕc ᗪd ᗴe ᖴf ᘜg ᕼh ᒍj ᒪl ᗰm ᑎn ᑭp ᑫq ᖇr ᔕs ᑌu ᐯv ᗯw ᙭x ᘔz 卂a 乃b 匚c 刀d 乇e 千f 卄h 丨i "
    "丂s 丅t 尺r 爪m 几n 口o 卩p 凵u 山w 乂x 丫y 乙z ค a"
)


def _table() -> dict[str, str]:
    table: dict[str, str] = {}
    for pair in _PAIRS.split():
        if len(pair) == 2 and pair[1].isascii():
            table[pair[0]] = pair[1]
            upper = pair[0].upper()
            if len(upper) == 1 and upper != pair[0]:
                table.setdefault(upper, pair[1])
    # Capitals that look like another letter than their small form does.
    table.update(
        dict(
            zip(
                "АВСЕНІЈКМОРЅТУХΑΒΕΖΗΙΚΜΝΟΡΤΥΧԌԜЗ",
                "abcehijkmopstyxabezhikmnoptyxgwz",
                strict=True,
            )
        )
    )
    return table


CONFUSABLES: Final[dict[str, str]] = _table()
SMALL_CAPS: Final[dict[str, str]] = dict(
    zip("ᴀʙᴄᴅᴇꜰɢʜɪᴊᴋʟᴍɴᴏᴘꞯʀꜱᴛᴜᴠᴡʏᴢᴐ", "abcdefghijklmnopqrstuvwyzc", strict=True)
)
SMALL_CAPS["ǫ"] = "q"

#: Signs that stand for letters inside a word; the first letter is the most usual reading.
LEET: Final[dict[str, str]] = {
    "0": "o",
    "1": "il",
    "2": "z",
    "3": "e",
    "4": "a",
    "5": "s",
    "6": "gb",
    "7": "tl",
    "8": "b",
    "9": "g",
    "@": "a",
    "$": "s",
    "!": "il",
    "|": "li",
    "+": "t",
    "(": "c",
    "<": "c",
    "*": "aeiou",
    "#": "aeiou",
    "€": "e",
    "£": "l",
}

INVISIBLE: Final[frozenset[str]] = frozenset(
    "\u115f\u1160\u3164\uffa0\u2800\u034f\u17b4\u17b5\u180e"
)


@lru_cache(maxsize=4096)
def is_invisible(char: str) -> bool:
    """Tell whether a character takes no room: format controls, fillers, variation selectors."""
    code = ord(char)
    return (
        char in INVISIBLE
        # A lone half of a surrogate pair is no character: JSON can carry one, no encoder takes it.
        or unicodedata.category(char) in {"Cf", "Cs"}
        or 0xFE00 <= code <= 0xFE0F
        or 0xE0100 <= code <= 0xE01EF
        or (unicodedata.category(char) == "Cc" and char not in "\t\n\r\x0b\x0c\x1c\x1d\x1e\x1f\x85")
    )


_SCRIPTS: Final[tuple[tuple[int, int, str], ...]] = (
    (0x41, 0x24F, "latin"),
    (0x250, 0x2AF, "latin"),
    (0x370, 0x3FF, "greek"),
    (0x400, 0x52F, "cyrillic"),
    (0x530, 0x58F, "armenian"),
    (0x590, 0x5FF, "hebrew"),
    (0x600, 0x77F, "arabic"),
    (0x900, 0x97F, "devanagari"),
    (0x980, 0xDFF, "indic"),
    (0xE00, 0xE7F, "thai"),
    (0x10A0, 0x10FF, "georgian"),
    (0x1100, 0x11FF, "hangul"),
    (0x13A0, 0x13FF, "cherokee"),
    (0x1E00, 0x1EFF, "latin"),
    (0x1F00, 0x1FFF, "greek"),
    (0x2C80, 0x2CFF, "coptic"),
    (0x3040, 0x30FF, "kana"),
    (0x3400, 0x9FFF, "han"),
    (0xAB70, 0xABBF, "cherokee"),
    (0xAC00, 0xD7AF, "hangul"),
    (0xFB50, 0xFEFF, "arabic"),
)


@lru_cache(maxsize=8192)
def script(char: str) -> str:
    """Return the script of a letter, ``""`` for what is no letter, ``"other"`` for the rest."""
    if not char.isalpha():
        return ""
    code = ord(char)
    for first, last, name in _SCRIPTS:
        if first <= code <= last:
            return name
    return "other"

"""Harmless prompts of a word or three: single words, people, what is asked of an edit.

A model of sentences guesses on these: to it "woman" alone is a word of sexual prompts, and "boss"
one of bullying. Half of the single words are for training, the other half only fixes the operating points.
"""

# ruff: noqa: E501 - tables of words are wide

from __future__ import annotations

import zlib
from typing import Final

from chopmark.safety.text.lexicon import lexicon
from chopmark.safety.text.words import all_words
from training.safety.data import Row

__all__ = ["short_rows"]

_MOST: Final[int] = 5000
#: Roles that are no harm by themselves.
_PLAIN: Final[frozenset[str]] = frozenset(
    {"person", "group", "office", "target", "figure", "brand"}
)
_PEOPLE: Final[str] = (
    "woman|man|girl|boy|lady|couple|family|friends|people|crowd|child|children|grandmother|grandfather|mother|father|sister"
    "|brother|boss|coworker|neighbor|teacher|student|doctor|nurse|soldier|police officer|farmer|dancer|singer|actor|model"
    "|athlete|king|queen|bride|groom|baker|chef|pilot|clown|old man|young woman|tourist|bishop|imam|rabbi|monk"
)
_KINDS: Final[str] = (
    "muslim|jewish|christian|hindu|buddhist|black|white|asian|african|arab|mexican|indian|chinese|japanese|german"
    "|french|turkish|polish|russian|american|native american|latino|gay|lesbian|trans|queer|blind|deaf|disabled|elderly|homeless"
    "|immigrant|refugee|pregnant|fat|thin|tall|blonde|bald|tattooed|rich|poor"
)
_THINGS: Final[str] = (
    "bakery|wedding|restaurant|festival|market|music|dance|school|temple|kitchen|street|shop|holiday|art"
)
_EDITS: Final[str] = (
    "make it blue|make it darker|remove the background|add a hat|higher resolution|turn it into a painting|as a pencil sketch|in the"
    " style of van gogh|make him smile|make her older|change the shirt to red|add snow|at night|zoom out|upscale|remove the text|crop it"
    "|blur the background|black and white|add a dog|replace the sky|fix the eyes|more contrast|as a cartoon|as anime|put her on a beach"
    "|make the man taller|give the boy a kite|remove the people|colourise|make it look old|shorter hair|bigger windows|no glasses"
)


def short_rows(*, check: bool) -> list[Row]:
    """Return harmless short prompts; with ``check`` the half that is never trained on."""
    named = set(_PEOPLE.split("|"))
    words = [
        word for word in all_words()[:_MOST] if len(word) > 2 and word not in named and _plain(word)
    ]
    texts = [word for word in words if _half(word) == check]
    if not check:
        # Nothing is asked for more often, so each counts as four.
        texts += 4 * _PEOPLE.split("|")
    for person in _PEOPLE.split("|"):
        made = [f"a {person}", f"portrait of a {person}"]
        made += [f"{kind} {person}" for kind in _KINDS.split("|")]
        texts += [text for text in made if _half(text) == check and (check or _some(text))]
    for thing in _THINGS.split("|"):
        made = [f"{kind} {thing}" for kind in _KINDS.split("|")]
        texts += [text for text in made if _half(text) == check]
    texts += [text for text in _EDITS.split("|") if _half(text) == check]
    return [
        Row(
            text=text,
            categories=frozenset(),
            unknown=frozenset(),
            source="authored_here",
            kind="short_safe",
            lang="en",
            benign=True,
            weak=False,
            variant=None,
        )
        for text in texts
    ]


def _plain(word: str) -> bool:
    hits, _ = lexicon().find(word)
    return all(hit.role in _PLAIN for hit in hits)


def _half(text: str) -> bool:
    return bool(zlib.crc32(text.encode()) & 1)


def _some(text: str) -> bool:
    """Half of the many pairs of kind and person are enough to learn from."""
    return bool(zlib.crc32(text.encode()) & 2)

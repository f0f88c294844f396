"""Scenes with further things, on grounds that are pictures, in relation, and with words.

A scene is a row of five numbers, as :class:`..canvas.Canvas` draws it, and sentences that ask for
it. As with the first 400 things a sentence is to mean one picture, so each thing has one drawing in
a style, and each ground is the same every time.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

from training.generation.canvas import number_of
from training.generation.captions import article, held_out, in_style, on_colour, plural
from training.generation.vocabulary import BACKGROUNDS, CONCEPTS, PAINTS, STYLE_SETS
from training.generation.wide.grounds import GROUNDS
from training.generation.wide.lettering import WRITTEN, ask_for
from training.generation.wide.things import sprites

if TYPE_CHECKING:
    import random
    from collections.abc import Sequence

    from training.generation.captions import Layout
    from training.generation.vocabulary import Style

__all__ = ["FURTHER", "SORTS", "WideScene", "noun_phrase", "sample_wide"]

Sort = Literal["alone", "ground", "several", "beside", "above", "front", "written", "empty"]
#: How often each sort is drawn.
SORTS: Final[dict[Sort, float]] = {
    "alone": 0.36, "ground": 0.26, "several": 0.08, "beside": 0.08, "above": 0.06, "front": 0.07,
    "written": 0.05, "empty": 0.04,
}  # fmt: skip
_STYLES: Final = tuple(STYLE_SETS)
_COLOURS: Final = tuple(BACKGROUNDS)
#: Number of the first drawing that is not the vocabulary's, and of the first written word.
FURTHER: Final = len(CONCEPTS) * len(_STYLES)
_WRITTEN: Final = FURTHER + len(sprites())
_RELATIONS: Final[dict[str, tuple[str, ...]]] = {
    "beside": ("and", "next to", "beside", "with"),
    "above": ("on", "on top of", "above"),
    "front": ("in front of",),
}
_PLACES: Final[tuple[Layout, ...]] = ("centre", "left", "right", "top", "bottom")
_COUNTS: Final[tuple[Layout, ...]] = ("two", "three", "four")
#: Further names that take no article, besides those that are plurals.
_BARE: Final = frozenset(
    """rain|construction|camping in the mountains|mahjong|curry|curry with rice|custard|rice|dna|fog
    |golf|field hockey|ice hockey|lacrosse|ginger|lettuce|lavender|cutlery|mate tea|meat|money|salt
    |mount fuji|milky way|night|nail polish|oden|paella|toilet paper|wheat|yoga|wind blowing|whisky
    |firewood|sushi|chinese food|bread and wine|garlic bread|toast|coral|butter|champagne|snowfall
    |bamboo|sticky tape|toothpaste|knitting|sunshine|jupiter|venus|gardening|chess|lemonade|lasagna
    |chocolate ice cream|soft ice cream|vanilla ice cream|apple juice|orange juice|ice water|space
    |pierogi|soup|salami|toothbrush and toothpaste|flying money|two beers|yin and yang|sake|tempura
    |sun and rain|spaghetti|cherry flower|sakura|bamboo plant|smoke|stew""".replace(
        "\n    ", ""
    ).split("|")
)
_SINGULAR: Final = ("ss", "us", "mantis")


@dataclass(frozen=True)
class WideScene:
    """One scene and what asks for it."""

    row: tuple[int, int, int, int, int]
    words: tuple[str, ...]


@dataclass(frozen=True)
class _Drawing:
    number: int
    names: tuple[str, ...]
    style: Style | None


def noun_phrase(name: str) -> str:
    """Return a further name with its article, if it takes one."""
    if name.startswith(("two ", "four ", "the ", "half a")) or name in _BARE:
        return name
    head = (
        name.split(" with ", maxsplit=1)[0]
        .split(" in ", maxsplit=1)[0]
        .split(" of ", maxsplit=1)[0]
        .split(" at ", maxsplit=1)[0]
    )
    if head.endswith("s") and not head.endswith(_SINGULAR):
        return name
    return article(name)


def _pick(rng: random.Random, only: Sequence[int] | None, known: float) -> _Drawing:
    """Return a drawing, of the vocabulary or a further one."""
    if rng.random() >= known:
        number = rng.randrange(len(sprites())) if only is None else rng.choice(only)
        sprite = sprites()[number]
        return _Drawing(FURTHER + number, sprite.thing.names, sprite.style)
    concept, style = rng.randrange(len(CONCEPTS)), rng.randrange(len(_STYLES))
    return _Drawing(concept * len(_STYLES) + style, CONCEPTS[concept].names, _STYLES[style])


def sample_wide(
    rng: random.Random,
    *,
    sentences: int = 1,
    sorts: dict[Sort, float] = SORTS,
    only: Sequence[int] | None = None,
    known: float = 0.33,
) -> WideScene:
    """Draw a scene at random, never of a combination that is held out.

    Args:
        rng: source of chance.
        sentences: how many to write for it.
        sorts: how often each sort of scene is drawn.
        only: numbers of :func:`.things.sprites` to draw from, instead of all.
        known: share of things that are of the vocabulary, which a course on grounds alone wants.
    """
    (sort,) = rng.choices(tuple(sorts), tuple(sorts.values()))
    if sort == "written":
        return _written(rng, sentences)
    if sort == "empty":
        number = rng.randrange(len(GROUNDS))
        words = tuple(rng.choice(GROUNDS[number].alone) for _ in range(sentences))
        return WideScene((0, 0, number_of("empty"), len(_COLOURS) + number, 0), words)
    while True:
        first, second = _pick(rng, only, known), _pick(rng, only, known)
        # Where two things stand together they are of one look, if they have one.
        if sort in _RELATIONS and (first.style != second.style or first.number == second.number):
            continue
        scenery = sort == "ground" or (sort in _RELATIONS and rng.random() < 0.4)
        if scenery:
            ground = len(_COLOURS) + rng.randrange(len(GROUNDS))
            on = GROUNDS[ground - len(_COLOURS)].name
        else:
            ground = 0 if rng.random() < 0.5 else rng.randrange(len(_COLOURS))
            on = _COLOURS[ground]
        things = (first, second) if sort in _RELATIONS else (first,)
        if not any(held_out(one.names[0], one.style or "clipart", on) for one in things):
            break
    layout: Layout = "large"
    if sort == "several":
        plain = " " not in first.names[0] and noun_phrase(first.names[0]) != first.names[0]
        layout = rng.choice((*_PLACES, *_COUNTS) if plain else _PLACES)
    elif sort == "ground" and rng.random() < 0.35:
        layout = rng.choice(("centre", "bottom"))
    elif sort in _RELATIONS:
        layout = {"beside": "pair", "above": "above", "front": "front"}[sort]  # type: ignore[assignment]
    paint = rng.randrange(1, 1 + len(PAINTS)) if sort == "alone" and rng.random() < 0.15 else 0
    words = tuple(_sentence(rng, things, sort, layout, ground, paint) for _ in range(sentences))
    return WideScene((first.number, things[-1].number, number_of(layout), ground, paint), words)


def _sentence(
    rng: random.Random,
    things: tuple[_Drawing, ...],
    sort: Sort,
    layout: Layout,
    ground: int,
    paint: int,
) -> str:
    names = [one.names[0] if rng.random() < 0.6 else rng.choice(one.names) for one in things]
    subject = noun_phrase(names[0])
    if layout in _COUNTS:
        subject = f"{layout} {plural(names[0])}"
    elif paint:
        colour = tuple(PAINTS)[paint - 1]
        subject = article(f"{colour} {names[0]}")
    elif sort == "several":
        place = "in the middle" if layout == "centre" else f"on the {layout}"
        place = f"at the {layout}" if layout in {"top", "bottom"} else place
        subject = f"{article('small ' + names[0])} {place}"
    if sort in _RELATIONS:
        subject = f"{subject} {rng.choice(_RELATIONS[sort])} {noun_phrase(names[1])}"
    if ground >= len(_COLOURS):
        on = " " + rng.choice(GROUNDS[ground - len(_COLOURS)].under)
    else:
        on = on_colour(_COLOURS[ground], rng) if ground or rng.random() < 0.2 else ""
    style = things[0].style
    if style is None:
        return rng.choice(("", "", "", "", "a picture of ", "clip art of ")) + subject + on
    return in_style(subject, on, style, rng)


def _written(rng: random.Random, sentences: int) -> WideScene:
    number = rng.randrange(len(WRITTEN))
    ground = 0 if rng.random() < 0.6 else rng.choice((4, 5, 9, 11))  # where dark letters are seen
    on = on_colour(_COLOURS[ground], rng) if ground else ""
    words = tuple(ask_for(WRITTEN[number], rng) + on for _ in range(sentences))
    row = (_WRITTEN + number, _WRITTEN + number, number_of("large"), ground, 0)
    return WideScene(row, words)

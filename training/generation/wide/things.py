"""The index of further things: their names and the drawings that show them.

Two lists stand beside this module and were read by eye, line by line: ``emoji.txt`` names drawings
of the icon sets that the first 400 things come from, each of them in all three styles;
``clipart.txt`` names files of Debian's openclipart-svg, one drawing in a style of its own. Neither
has children, weapons, brands or symbols of hate. What is held out is held out by file: of a thing
in ``clipart.txt`` the first drawing is trained on and the others measure, of an emoji Twemoji's
drawing measures, which nothing is trained on.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal

if TYPE_CHECKING:
    from training.generation.vocabulary import Style

__all__ = ["SPRITE_STYLES", "Sprite", "Thing", "further_things", "sprites"]

Source = Literal["emoji", "clipart"]

_FOLDER: Final = Path(__file__).parent
#: Styles that a source draws in; clip art has its own look, which no word asks for.
SPRITE_STYLES: Final[dict[Source, tuple[Style | None, ...]]] = {
    "emoji": ("3d", "flat", "cartoon"),
    "clipart": (None,),
}


@dataclass(frozen=True, kw_only=True)
class Thing:
    """One thing beyond the vocabulary.

    Attributes:
        names: nouns that ask for it, the first of them its name; no other thing has one of them.
        source: where its drawings are.
        drawings: names of drawings there; the first one is trained on.
    """

    names: tuple[str, ...]
    source: Source
    drawings: tuple[str, ...]

    @property
    def name(self) -> str:
        """First noun, unique among all things."""
        return self.names[0]


@dataclass(frozen=True, kw_only=True)
class Sprite:
    """One drawing to train on."""

    thing: Thing
    style: Style | None

    @property
    def file(self) -> str:
        """Name in the zip file of sprites."""
        return f"more/{self.style or 'clipart'}/{self.thing.name}.webp"


@functools.cache
def further_things() -> tuple[Thing, ...]:
    """Return every thing of both lists, in their order."""
    return (*read_list("emoji"), *read_list("clipart"))


@functools.cache
def sprites() -> tuple[Sprite, ...]:
    """Return every drawing to train on; its place is its number after the vocabulary's."""
    return tuple(
        Sprite(thing=thing, style=style)
        for thing in further_things()
        for style in SPRITE_STYLES[thing.source]
    )


def read_list(source: Source, text: str | None = None) -> tuple[Thing, ...]:
    """Return the things of one list.

    Args:
        source: which list; its file is ``SOURCE.txt`` beside this module.
        text: the list itself, instead of the file's.

    Raises:
        ValueError: a line names no drawing.
    """
    if text is None:
        text = (_FOLDER / f"{source}.txt").read_text("utf-8")
    things = []
    for line in text.splitlines():
        if not line.strip() or line.startswith("#"):
            continue
        files, _, nouns = line.partition(": ")
        drawings = tuple(files.split())
        if not drawings:
            message = f"no drawing in {line!r}"
            raise ValueError(message)
        names = tuple(noun.strip() for noun in nouns.split(",")) if nouns else ()
        names = names or (drawings[0].replace("-", " "),)
        things.append(Thing(names=names, source=source, drawings=drawings))
    return tuple(things)

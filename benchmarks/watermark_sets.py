"""What the product itself makes, and flat graphics, for the watermark benchmark.

*Own* pictures come from the embedded model at 512 pixels; they are kept as PNG beside the other
pictures. *Flat* ones are clip art on white (Debian's ``openclipart-png``, public domain, 125 MB,
fetched like the other packages) and shapes drawn on plain ground. No decision about the method was
taken with them: it was taken with other prompts, and with other clip art, which is left out here.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Literal

from PIL import Image

from benchmarks.pictures import FOLDER, HELD_OUT, Source, drawn, fetch, load, pictures

if TYPE_CHECKING:
    from pathlib import Path

    from benchmarks.pictures import Named

__all__ = ["FLAT", "FLATS", "OWN", "Subject", "subjects"]

FLAT = Source(package="openclipart-png", kind="drawn", licence="public domain")
OWN = (
    "a red apple on a table",
    "a brown dog in a garden",
    "a green tree on a hill",
    "two blue fish in the sea",
    "a yellow sun over mountains",
    "a white rabbit in the grass",
    "a black car on a road",
    "a purple flower in a pot",
    "an orange cat on a chair",
    "a wooden boat on a lake",
    "a slice of cake on a plate",
    "a red house in the snow",
    "a pink pig on a farm",
    "a camera and a book",
    "an elephant in the desert",
    "a train under a rainbow",
    "a strawberry and a banana",
    "a penguin on the ice",
    "a rocket between stars",
    "a lion in the sunset",
    "a mushroom in a forest",
    "a bee on a sunflower",
    "a glass of juice",
    "a horse on a meadow",
)
FLATS = 24
_FIRST_SEED = 7000
_SIDE = 512
# One flat picture in three is drawn; seeds of `drawn` that give shapes and not gradients.
_SHAPES = tuple(seed for seed in range(301, 340) if seed % 3)
# The order in which clip art was taken for decisions, and how many of it.
_SEEN_SEED, _SEEN = 4, 60


@dataclass(frozen=True, kw_only=True)
class Subject:
    """One picture that is to be marked and attacked.

    Attributes:
        name: Unique.
        kind: Own, flat or natural (photographs, paintings, screenshots, textures, gradients).
        number: Its place among those of its kind.
        named: Of a natural one.
    """

    name: str
    kind: Literal["own", "flat", "natural"]
    number: int
    named: Named | None = None

    def load(self) -> Image.Image:
        """Return the picture, RGB."""
        if self.kind == "own":
            return _own(self.number)
        if self.kind == "flat":
            third, rest = divmod(self.number, 3)
            return drawn(_SHAPES[third]) if rest == 2 else _clip_art(2 * third + rest)
        assert self.named is not None
        return load(self.named)


def subjects(own: int, flat: int, natural: int) -> list[Subject]:
    """Return the first pictures of each kind, at most so many."""
    found = [Subject(name=f"own {at}", kind="own", number=at) for at in range(min(own, len(OWN)))]
    flats = min(flat, FLATS)
    found += [Subject(name=f"flat {at}", kind="flat", number=at) for at in range(flats)]
    found += [
        Subject(name=named.name, kind="natural", number=at, named=named)
        for at, named in enumerate(pictures(HELD_OUT)[:natural])
    ]
    return found


def _own(number: int) -> Image.Image:
    file = FOLDER.parent / "own" / f"{number:02d}.png"
    if not file.exists():
        from benchmarks.regeneration import generated

        file.parent.mkdir(parents=True, exist_ok=True)
        picture = generated(OWN[number], seed=_FIRST_SEED + number)
        picture.save(file.with_suffix(".part"), "PNG")
        file.with_suffix(".part").replace(file)
    with Image.open(file) as opened:
        return opened.convert("RGB")


def _clip_art(number: int) -> Image.Image:
    with Image.open(_clips()[number]) as opened:
        picture = opened.convert("RGBA")
    picture.thumbnail((460, 460), Image.Resampling.LANCZOS)
    page = Image.new("RGBA", (_SIDE, _SIDE), "white")
    page.alpha_composite(picture, ((_SIDE - picture.width) // 2, (_SIDE - picture.height) // 2))
    return page.convert("RGB")


@cache
def _clips() -> list[Path]:
    """Clip art of at least 200 pixels, in an order of chance that is always the same."""
    fetch((FLAT,))
    files = sorted((FOLDER / FLAT.package).rglob("*.png"))
    seen = files.copy()
    random.Random(_SEEN_SEED).shuffle(seen)
    left = sorted(set(files) - set(seen[:_SEEN]))
    random.Random(11).shuffle(left)
    found: list[Path] = []
    for file in left:
        with Image.open(file) as opened:
            if min(opened.size) >= 60 and max(opened.size) >= 200:
                found.append(file)
        if len(found) == FLATS:
            break
    return found

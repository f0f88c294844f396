"""A stranger's picture, opened: every frame, and a list of what could not be looked at."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from chopmark.kit.pictures._colour import PLAIN, Colour, in_srgb
from chopmark.kit.pictures._still import eight_bit, on_ground, without_alpha

if TYPE_CHECKING:
    from collections.abc import Iterator

    from PIL import Image

__all__ = ["PictureFile"]

# Modes whose values are those that a screen is given, through a palette or without.
_EXACT: Final = frozenset({"1", "L", "LA", "P", "PA", "RGB", "RGBA", "RGBX"})
# Side of the further views of a picture: models look at a few hundred pixels, hashes at 512.
_VIEW_SIDE: Final = 2048


@dataclass(frozen=True, slots=True, kw_only=True)
class PictureFile:
    """A stranger's picture, opened.

    Attributes:
        kind: As `chopmark.kit.pictures.sniff` tells it.
        frames: Decoded, upright, in the mode in which the file has them; the first is what a
            viewer shows that knows no further ones.
        shown: Whether a viewer that knows them shows each: the default picture of an animated PNG
            may be none of its frames, and a camera's previews stay in the file.
        in_file: How many frames and further pictures there are.
        colour: What the file says of its colours.
        damage: What is wrong with the file, though it was decoded.
        share: Of the first frame's rows, how many are there, 0..1.
        missed: What of its pixels could not be looked at, in words; empty where all was.
        exif: As it stands, from the byte order on; empty where there is none.
        dpi: Of the print, where the file says it.
        deep: The file has more than 8 bits a channel, of which less is looked at.
        behind: Bytes that stand behind the picture's end, or -- of a camera's file -- behind the
            last of its pictures.
    """

    kind: str
    frames: tuple[Image.Image, ...] = field(repr=False)
    shown: tuple[bool, ...]
    in_file: int
    colour: Colour = PLAIN
    damage: tuple[str, ...] = ()
    share: float = 1.0
    missed: tuple[str, ...] = ()
    exif: bytes = field(default=b"", repr=False)
    dpi: tuple[float, float] | None = None
    deep: bool = False
    behind: int = 0

    @property
    def only_picture(self) -> bool:
        """Whether it is one frame, shown, whole, and in colours that say nothing of their own."""
        return (
            self.in_file == 1
            and self.shown == (True,)
            and self.share >= 1
            and not self.missed
            and not self.deep
            and self.frames[0].mode in _EXACT
            and self.colour.is_plain(self.frames[0].mode)
        )

    def plain(self) -> Iterator[Image.Image]:
        """Yield each frame as RGB or RGBA, 8 bits, its values as they stand in the file."""
        for frame in self.frames:
            flat = eight_bit(frame)
            yield flat.convert("RGB") if flat.mode == "CMYK" else flat

    def seen(self) -> tuple[Image.Image, ...]:
        """Return each frame in sRGB: RGB, or RGBA where it has alpha."""
        return tuple(in_srgb(eight_bit(frame), self.colour)[0] for frame in self.frames)

    def front(self) -> Image.Image:
        """Return what a viewer shows first, on white, in sRGB: RGB."""
        number = self.shown.index(True) if True in self.shown else 0
        seen, _ = in_srgb(eight_bit(self.frames[number]), self.colour)
        return seen if seen.mode == "RGB" else on_ground(seen, 255)

    @property
    def colours_missed(self) -> str:
        """What of the first frame's colours could not be followed; empty where all was."""
        if not self.frames:
            return ""
        corner = self.frames[0].crop((0, 0, 1, 1))  # one pixel tells
        return in_srgb(eight_bit(corner), self.colour)[1]

    def views(self) -> Iterator[Image.Image]:
        """Yield what people can see of it, in RGB: each frame on white, on black, without alpha.

        The first is the first frame on white in full size; the others are at most 2,048 pixels a
        side, and those that look like the first one are left out.
        """
        for number, frame in enumerate(self.seen()):
            for turn, view in enumerate(_views(frame)):
                yield view if number == turn == 0 else _small(view)


def _views(frame: Image.Image) -> Iterator[Image.Image]:
    if frame.mode != "RGBA":
        yield frame
        return
    least, _ = frame.getchannel("A").getextrema()
    yield on_ground(frame, 255)
    if int(least) < 255:  # type: ignore[arg-type]
        yield on_ground(frame, 0)
        yield without_alpha(frame)


def _small(view: Image.Image) -> Image.Image:
    from PIL import ImageOps

    if max(view.size) <= _VIEW_SIDE:
        return view
    return ImageOps.contain(view, (_VIEW_SIDE, _VIEW_SIDE))

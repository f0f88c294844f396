"""A picture between processes: mode, size and raw pixels. Nothing of it is parsed.

Whoever only hands it on makes no picture of it: Pillow holds four bytes a pixel, so that one of 64
megapixels would cost a quarter of a gigabyte in each process that it passes.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Self, TypeAlias

from chopmark.errors import WorkerLost

if TYPE_CHECKING:
    from collections.abc import Sequence

    from PIL import Image

__all__ = ["RawPicture", "Shown", "as_image", "received"]

#: Bytes a pixel.
_MODES: Final = {"L": 1, "RGB": 3, "RGBA": 4}


@dataclass(frozen=True, slots=True)
class RawPicture:
    """Pixels, row by row.

    Attributes:
        mode: ``L``, ``RGB`` or ``RGBA``, 8 bits a channel.
        size: Width and height.
        data: The pixels.
    """

    mode: str
    size: tuple[int, int]
    data: bytes = field(repr=False)

    @property
    def width(self) -> int:
        """In pixels."""
        return self.size[0]

    @property
    def height(self) -> int:
        """In pixels."""
        return self.size[1]

    @property
    def head(self) -> dict[str, Any]:
        """What is to be known beside the pixels, as plain values."""
        return {"mode": self.mode, "size": list(self.size)}

    @property
    def hides(self) -> bool:
        """Whether alpha hides any of its colours."""
        # A byte that is not 255 remains where those that are have been taken out.
        return self.mode == "RGBA" and bool(self.data[3::4].strip(b"\xff"))

    def without_alpha(self) -> RawPicture:
        """Return its colours alone, as a program sees them that ignores alpha."""
        import numpy as np

        if self.mode != "RGBA":
            return self
        colours = np.frombuffer(self.data, np.uint8).reshape(-1, 4)[:, :3]
        return RawPicture("RGB", self.size, colours.tobytes())

    @classmethod
    def of(cls, picture: Shown) -> Self | RawPicture:
        """Return a picture as raw pixels; what is raw already comes back as it is."""
        if isinstance(picture, RawPicture):
            return picture
        if picture.mode not in _MODES:
            picture = picture.convert("RGBA" if picture.has_transparency_data else "RGB")
        return cls(picture.mode, picture.size, picture.tobytes())

    @classmethod
    def received(cls, head: Any, data: bytes) -> Self:
        """Return what another process sent.

        Raises:
            WorkerLost: The pixels are not what was said of them.
        """
        try:
            mode, (width, height) = str(head["mode"]), map(int, head["size"])
            fits = width > 0 and height > 0 and len(data) == _MODES[mode] * width * height
        except (KeyError, TypeError, ValueError):
            fits = False
        if not fits:
            raise WorkerLost("a worker's answer is no picture")
        return cls(mode, (width, height), data)


Shown: TypeAlias = "Image.Image | RawPicture"


def as_image(picture: Shown) -> Image.Image:
    """Return a picture that can be worked with."""
    if not isinstance(picture, RawPicture):
        return picture
    from PIL import Image

    return Image.frombuffer(picture.mode, picture.size, picture.data, "raw", picture.mode, 0, 1)


def received(heads: Any, buffers: Sequence[bytes]) -> tuple[RawPicture, ...]:
    """Return the pictures that another process sent, one in each buffer.

    Raises:
        WorkerLost: They are not what was said of them.
    """
    if not isinstance(heads, (list, tuple)) or len(heads) != len(buffers):
        raise WorkerLost("a worker's answer has not the pictures that it names")
    return tuple(map(RawPicture.received, heads, buffers))

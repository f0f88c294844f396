"""What a file says of its colours, and the same colours in sRGB.

Sources: PNG (W3C 3rd ed., 11.3.2: ``cICP`` before ``iCCP`` before ``sRGB`` before ``gAMA`` and
``cHRM``); ICC.1:2022; IEC 61966-2-1 (sRGB); ITU-T H.273, tables 2 and 3 (code points).
"""

from __future__ import annotations

import io
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from PIL import Image

__all__ = ["PLAIN", "Colour", "in_srgb"]

Primaries = tuple[float, float, float, float, float, float, float, float]
_SRGB: Final[Primaries] = (0.3127, 0.3290, 0.64, 0.33, 0.30, 0.60, 0.15, 0.06)
_CODED: Final[dict[int, Primaries]] = {
    1: _SRGB,
    9: (0.3127, 0.3290, 0.708, 0.292, 0.170, 0.797, 0.131, 0.046),
    12: (0.3127, 0.3290, 0.680, 0.320, 0.265, 0.690, 0.150, 0.060),
}
# Transfers that differ from sRGB's by less than an eye sees.
_USUAL_TRANSFERS: Final = frozenset({1, 6, 13, 14, 15})
_DISPLAY: Final = 2.2
_SAME: Final = 3
_STRIP: Final = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Colour:
    """What a file says of its colours.

    Attributes:
        profile: ICC.
        gamma: Of a PNG's ``gAMA``: what samples are to the power of, to become them from light.
        primaries: White, red, green and blue, x and y each (CIE 1931).
        unknown: What is said of them in a way that is not followed here; empty where all is.
    """

    profile: bytes | None = field(default=None, repr=False)
    gamma: float | None = None
    primaries: Primaries | None = None
    unknown: str = ""

    @classmethod
    def coded(cls, primaries: int, transfer: int) -> Colour:
        """Return what code points say (``cICP``)."""
        if primaries in _CODED and transfer in _USUAL_TRANSFERS:
            return cls(primaries=_CODED[primaries])
        return cls(unknown="its colours are for screens of high dynamic range")

    def is_plain(self, mode: str = "RGB") -> bool:
        """Whether samples are shown as they are: nothing is said, or sRGB in other words."""
        if self.unknown:
            return False
        if self.profile is not None:
            moves = _probe(self.profile, mode)
            return moves is not None and moves <= _SAME
        steep = self.gamma is not None and abs(self.gamma * _DISPLAY - 1) > 0.05
        return not steep and not _moves(self.primaries)


PLAIN: Final = Colour()


def in_srgb(image: Image.Image, colour: Colour) -> tuple[Image.Image, str]:
    """Return a picture as a screen shows it, and what of its colours could not be followed.

    Args:
        image: L, RGB, RGBA or CMYK, 8 bits a channel.
        colour: What its file says.

    Returns:
        RGB, or RGBA where it has alpha; and a sentence's part, empty where all was followed.
    """
    if colour.profile is not None:
        return _by_profile(image, colour.profile)
    plain = image if image.mode in {"RGB", "RGBA"} else image.convert("RGB")
    if colour.is_plain() or colour.unknown:
        return plain, colour.unknown
    return _by_numbers(plain, colour), ""


def _by_profile(image: Image.Image, profile: bytes) -> tuple[Image.Image, str]:
    from PIL import Image as Pillow
    from PIL import ImageCms

    alpha = image.getchannel("A") if image.mode == "RGBA" else None
    colours = image.convert("RGB") if alpha else image
    moves = _probe(profile, colours.mode)
    if moves is None and colours.mode == "RGB":
        # A grey picture of ours is RGB by now; its profile is one for grey.
        moves = _probe(profile, "L")
        colours = colours.convert("L") if moves is not None else colours
    if moves is None:
        return _plain(image), "its colour profile cannot be applied"
    if moves <= _SAME:
        return _plain(image), ""
    try:
        shown = ImageCms.profileToProfile(
            colours, _opened(profile), ImageCms.createProfile("sRGB"), outputMode="RGB"
        )
    except (ImageCms.PyCMSError, OSError, ValueError):
        return _plain(image), "its colour profile cannot be applied"
    if shown is None:  # pragma: no cover - only for work in place
        return _plain(image), "its colour profile cannot be applied"
    if alpha is not None:
        return Pillow.merge("RGBA", (*shown.split(), alpha)), ""
    return shown, ""


def _plain(image: Image.Image) -> Image.Image:
    return image if image.mode in {"RGB", "RGBA"} else image.convert("RGB")


def _opened(profile: bytes) -> Any:
    from PIL import ImageCms

    return ImageCms.ImageCmsProfile(io.BytesIO(profile))


def _probe(profile: bytes, mode: str) -> int | None:
    """Return how far a profile moves colours at most, in 8-bit steps; None if it does not fit."""
    import numpy as np
    from PIL import Image as Pillow
    from PIL import ImageCms

    if mode == "CMYK":
        return 255
    steps = np.linspace(0, 255, 6).astype(np.uint8)
    if mode == "L":
        cube = steps[None, :]
    else:
        cube = np.stack(np.meshgrid(steps, steps, steps), axis=-1).reshape(1, -1, 3)
    asked = Pillow.fromarray(np.ascontiguousarray(cube))
    try:
        shown = ImageCms.profileToProfile(
            asked, _opened(profile), ImageCms.createProfile("sRGB"), outputMode="RGB"
        )
    except (ImageCms.PyCMSError, OSError, ValueError):
        return None
    before = np.asarray(asked.convert("RGB"), np.int16)
    return int(np.abs(np.asarray(shown, np.int16) - before).max())


def _moves(primaries: Primaries | None) -> bool:
    return primaries is not None and max(
        abs(one - other) for one, other in zip(primaries, _SRGB, strict=True)
    ) > 0.01  # fmt: skip


def _by_numbers(image: Image.Image, colour: Colour) -> Image.Image:
    """Follow ``gAMA`` and ``cHRM``: samples to light, to sRGB's primaries, to sRGB's samples."""
    import numpy as np
    from PIL import Image as Pillow

    ramp = np.linspace(0, 1, 256)
    if colour.gamma is None:
        light = np.where(ramp <= 0.04045, ramp / 12.92, ((ramp + 0.055) / 1.055) ** 2.4)
    else:
        light = ramp ** (1 / max(colour.gamma, 0.01))
    matrix = _matrix(colour.primaries) if _moves(colour.primaries) else np.eye(3)
    rgb = np.array(image.convert("RGB"))
    flat = rgb.reshape(-1, 3)
    for start in range(0, len(flat), _STRIP):
        seen = light.astype(np.float32)[flat[start : start + _STRIP]] @ matrix.T.astype(np.float32)
        seen = np.clip(seen, 0, 1)
        samples = np.where(seen <= 0.0031308, seen * 12.92, 1.055 * seen ** (1 / 2.4) - 0.055)
        flat[start : start + _STRIP] = np.rint(samples * 255)
    shown = Pillow.fromarray(rgb)
    if image.mode == "RGBA":
        shown.putalpha(image.getchannel("A"))
    return shown


def _matrix(primaries: Primaries | None) -> NDArray[np.float64]:
    """Return what takes light in these primaries to light in sRGB's."""
    import numpy as np

    try:
        return np.linalg.inv(_to_xyz(_SRGB)) @ _to_xyz(primaries or _SRGB)
    except np.linalg.LinAlgError:
        return np.eye(3)


def _to_xyz(primaries: Primaries) -> NDArray[np.float64]:
    import numpy as np

    white, *three = [
        np.array([x / y, 1.0, (1 - x - y) / y])
        for x, y in zip(primaries[::2], (max(y, 1e-6) for y in primaries[1::2]), strict=True)
    ]
    columns = np.stack(three, axis=1)
    return np.asarray(columns * np.linalg.solve(columns, white))

"""Whatever mode a decoder gives, as 8 bits a channel; and what different viewers see of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from PIL import Image

__all__ = ["eight_bit", "from_numbers", "on_ground", "without_alpha"]


def eight_bit(image: Image.Image) -> Image.Image:
    """Return a picture as RGB, RGBA or CMYK with 8 bits a channel, its values as in the file.

    16-bit values are divided by 257. Numbers without a range of their own (float, 32 bits) are
    taken as 0..1, 0..255 or 0..65535, whichever is the first that holds them all.
    """
    if image.mode == "F" or image.mode.startswith("I"):
        return _grey(image).convert("RGB")
    if image.mode == "LAB":
        return _from_lab(image)
    if image.mode == "CMYK":
        return image
    mode = "RGBA" if image.has_transparency_data else "RGB"
    return image if image.mode == mode else image.convert(mode)


def on_ground(image: Image.Image, shade: int) -> Image.Image:
    """Return an RGBA picture laid on a grey, 0 (black) to 255 (white), as RGB."""
    from PIL import Image as Pillow

    ground = Pillow.new("RGBA", image.size, (shade, shade, shade, 255))
    ground.alpha_composite(image)
    return ground.convert("RGB")


def without_alpha(image: Image.Image) -> Image.Image:
    """Return an RGBA picture's colours, as a program sees it that ignores alpha."""
    return image.convert("RGB")


def _grey(image: Image.Image) -> Image.Image:
    import numpy as np
    from PIL import Image as Pillow

    values: NDArray[np.float32]
    if image.mode.startswith("I;16"):
        values = np.asarray(image).astype(np.float32) / np.float32(257)
    else:
        values = _to_bytes(np.nan_to_num(np.asarray(image, np.float32), posinf=0, neginf=0))
    return Pillow.fromarray(np.rint(values).clip(0, 255).astype(np.uint8))


def _to_bytes(values: NDArray[np.float32]) -> NDArray[np.float32]:
    import numpy as np

    most = float(values.max(initial=0))
    for whole in (1, 255, 65_535):
        if most <= whole:
            return values * np.float32(255 / whole)
    return values * np.float32(255 / most)


def from_numbers(pixels: NDArray[np.generic]) -> Image.Image:
    """Return a picture from what OpenCV decodes: blue first, of any depth."""
    import numpy as np
    from PIL import Image as Pillow

    values: NDArray[np.float32]
    if pixels.dtype == np.uint16:
        values = pixels.astype(np.float32) / np.float32(257)
    elif pixels.dtype == np.uint8:
        values = pixels.astype(np.float32)
    else:
        values = _to_bytes(np.nan_to_num(pixels.astype(np.float32), posinf=0, neginf=0))
    plain = np.rint(values).clip(0, 255).astype(np.uint8)
    if plain.ndim == 3:
        order = [2, 1, 0, 3][: plain.shape[2]]
        plain = np.ascontiguousarray(plain[..., order])
    return Pillow.fromarray(plain)


def _from_lab(image: Image.Image) -> Image.Image:
    from PIL import ImageCms

    shown = ImageCms.profileToProfile(
        image, ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB"), outputMode="RGB"
    )
    assert shown is not None  # noqa: S101  only for work in place
    return shown

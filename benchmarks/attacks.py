"""What happens to pictures on the internet: attacks and chains, each a function of a picture.

Every attack takes and returns an RGB picture and is deterministic. They are what ordinary software
does (Pillow and OpenCV), at the strengths that issue texts and papers on watermarks ask about.
Not here, because no such model was at hand: regeneration by a diffusion model or VAE.
"""

from __future__ import annotations

import io
from collections.abc import Callable

import cv2
import numpy as np
from PIL import Image, ImageEnhance, ImageFilter, ImageOps

__all__ = ["ATTACKS", "EASY", "HARD", "Attack"]

Picture = Image.Image
Attack = Callable[[Picture], Picture]

_BICUBIC = Image.Resampling.BICUBIC


def coded(format_: str, quality: int) -> Attack:
    """Through a lossy file."""

    def attack(picture: Picture) -> Picture:
        file = io.BytesIO()
        picture.save(file, format_, quality=quality)
        file.seek(0)
        return Image.open(file).convert("RGB")

    return attack


def resized(across: float, down: float | None = None) -> Attack:
    """To another size; the two factors may differ."""

    def attack(picture: Picture) -> Picture:
        size = round(picture.width * across), round(picture.height * (down or across))
        return picture.resize((max(size[0], 1), max(size[1], 1)), _BICUBIC)

    return attack


def there_and_back(factor: float) -> Attack:
    """To another size and back to the old one."""
    return lambda picture: resized(factor)(picture).resize(picture.size, _BICUBIC)


def cropped(part: float, x: float = 0.5, y: float = 0.5) -> Attack:
    """To ``part`` of each side, at a place given by 0..1 across and down."""

    def attack(picture: Picture) -> Picture:
        width, height = round(picture.width * part), round(picture.height * part)
        left, top = round((picture.width - width) * x), round((picture.height - height) * y)
        return picture.crop((left, top, left + width, top + height))

    return attack


def turned(degrees: float, *, grown: bool = False) -> Attack:
    """By an angle; corners black, the size kept or grown to hold all."""
    return lambda picture: picture.rotate(degrees, _BICUBIC, expand=grown)


def transposed(how: Image.Transpose) -> Attack:
    """By quarters of a turn, or mirrored."""
    return lambda picture: picture.transpose(how)


def noisy(sigma: float) -> Attack:
    """With Gaussian noise in every channel."""

    def attack(picture: Picture) -> Picture:
        values = np.asarray(picture, np.float32)
        noise = np.random.default_rng(1).normal(0, sigma, values.shape)
        return Image.fromarray(np.clip(np.rint(values + noise), 0, 255).astype(np.uint8))

    return attack


def blurred(sigma: float) -> Attack:
    """By a Gaussian."""
    return lambda picture: Image.fromarray(cv2.GaussianBlur(np.asarray(picture), (0, 0), sigma))


def median(side: int) -> Attack:
    """Each pixel the median of a square around it."""
    return lambda picture: Image.fromarray(cv2.medianBlur(np.asarray(picture), side))


def denoised(strength: float) -> Attack:
    """By non-local means."""
    return lambda picture: Image.fromarray(
        cv2.fastNlMeansDenoisingColored(np.asarray(picture), None, strength, strength, 7, 21)
    )


def gamma(exponent: float) -> Attack:
    """With another tone curve."""
    table = [round(255 * (level / 255) ** exponent) for level in range(256)] * 3
    return lambda picture: picture.point(table)


def screenshot(picture: Picture) -> Picture:
    """Shown at 80 % in a page with margins, on a slightly darker screen, saved as WebP 80."""
    shown = gamma(1.05)(resized(0.8)(picture))
    page = Image.new("RGB", (shown.width + 80, shown.height + 60), (245, 245, 245))
    page.paste(shown, (33, 40))
    return coded("WEBP", 80)(page)


def social(picture: Picture) -> Picture:
    """Scaled to a width of 1080 with a sharper filter, JPEG 80 with halved chroma."""
    size = 1080, round(picture.height * 1080 / picture.width)
    return coded("JPEG", 80)(picture.resize(size, Image.Resampling.LANCZOS))


def messenger(picture: Picture) -> Picture:
    """The longer side at most 800, JPEG 70, and once more JPEG 60 when it is passed on."""
    factor = min(1.0, 800 / max(picture.size))
    return chain(resized(factor), coded("JPEG", 70), coded("JPEG", 60))(picture)


def chain(*steps: Attack) -> Attack:
    """One attack after another."""

    def attack(picture: Picture) -> Picture:
        for step in steps:
            picture = step(picture)
        return picture

    return attack


def brighter(factor: float) -> Attack:
    """Every value times a factor."""
    return lambda picture: ImageEnhance.Brightness(picture).enhance(factor)


def contrasted(factor: float) -> Attack:
    """Every value's distance from the mean times a factor."""
    return lambda picture: ImageEnhance.Contrast(picture).enhance(factor)


ATTACKS: dict[str, Attack] = {
    "none": lambda picture: picture,
    "jpeg 75": coded("JPEG", 75),
    "jpeg 50": coded("JPEG", 50),
    "jpeg 30": coded("JPEG", 30),
    "jpeg 10": coded("JPEG", 10),
    "webp 75": coded("WEBP", 75),
    "webp 50": coded("WEBP", 50),
    "avif 50": coded("AVIF", 50),
    "resize 0.33": resized(0.33),
    "resize 0.5": resized(0.5),
    "resize 0.75": resized(0.75),
    "resize 2": resized(2),
    "resize 3": resized(3),
    "resize 0.33 and back": there_and_back(0.33),
    "resize 0.5 and back": there_and_back(0.5),
    "crop 90 %": cropped(0.9),
    "crop 75 %": cropped(0.75, 0.1, 0.7),
    "crop 50 %": cropped(0.5, 0.3, 0.4),
    "crop 35 %": cropped(0.35, 0.6, 0.5),
    "rotate 1": turned(1),
    "rotate -5": turned(-5),
    "rotate 10 grown": turned(10, grown=True),
    "rotate 15": turned(15),
    "rotate 90": transposed(Image.Transpose.ROTATE_90),
    "rotate 180": transposed(Image.Transpose.ROTATE_180),
    "flip": transposed(Image.Transpose.FLIP_LEFT_RIGHT),
    "flip down": transposed(Image.Transpose.FLIP_TOP_BOTTOM),
    "aspect 0.9": resized(0.9, 1),
    "aspect 1.1": resized(1.1, 1),
    "brightness 1.3": brighter(1.3),
    "contrast 1.3": contrasted(1.3),
    "gamma 0.7": gamma(0.7),
    "grey": lambda picture: ImageOps.grayscale(picture).convert("RGB"),
    "sharpen": lambda picture: picture.filter(ImageFilter.SHARPEN),
    "noise 5": noisy(5),
    "noise 15": noisy(15),
    "noise 30": noisy(30),
    "blur 1": blurred(1),
    "blur 2": blurred(2),
    "median 5": median(5),
    "non-local means 10": denoised(10),
    "screenshot": screenshot,
    "social media": social,
    "messenger": messenger,
    "crop 75 %, resize 0.75, jpeg 60": chain(
        cropped(0.75, 0.3, 0.6), resized(0.75), coded("JPEG", 60)
    ),
    "rotate 3, crop 85 %, jpeg 70": chain(turned(3), cropped(0.85), coded("JPEG", 70)),
    "flip, resize 0.5, webp 75": chain(
        transposed(Image.Transpose.FLIP_LEFT_RIGHT), resized(0.5), coded("WEBP", 75)
    ),
    "crop 50 %, jpeg 50": chain(cropped(0.5, 0.2, 0.3), coded("JPEG", 50)),
}

# The attacks that the project's aims name: 99 % of ids survive each of the first list, 90 % each of
# the second. The others are reported without an aim.
HARD = ("jpeg 10", "crop 35 %")
_NO_AIM = {"avif 50", "noise 30", "median 5", "non-local means 10", "brightness 1.3"}
_NO_AIM |= {"contrast 1.3", "gamma 0.7", "grey", "sharpen"}
EASY = tuple(name for name in ATTACKS if name not in {*HARD, *_NO_AIM})

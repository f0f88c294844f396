"""Pictures in: one luma plane out of every mode we take. Pictures out: the same mode again."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias, TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from chopmark.errors import ImageTooLarge, ImageTooSmall, UnreadableImage, UnsupportedImage
from chopmark.kit.limits import MARKED_SIDE

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["MAX_SIDE", "MIN_SIDE", "Plane", "add_to_luma", "luma_of", "opened"]

MIN_SIDE = MARKED_SIDE.least
MAX_SIDE = MARKED_SIDE.most
Plane: TypeAlias = NDArray[np.float32]
_T = TypeVar("_T")

_DIRECT = {"L", "LA", "RGB", "RGBA", "CMYK", "YCbCr", "I;16"}
_SIXTEEN = {"I", "I;16", "I;16L", "I;16B", "I;16N"}


def opened(image: Image.Image, *, min_side: int = MIN_SIDE) -> Image.Image:
    """Return ``image`` decoded and in a mode that :func:`add_to_luma` keeps.

    Palettes and bitmaps cannot hold a mark and become RGB(A) or grey; every other mode stays.

    Raises:
        UnsupportedImage: Animated, or a mode without a luma (float, Lab, HSV).
        ImageTooSmall: A side is under ``min_side``.
        ImageTooLarge: A side is over 8192 pixels.
        UnreadableImage: The file behind the picture is broken.
    """
    frames = _decoded(lambda: int(getattr(image, "n_frames", 1)))
    # A camera's MPO is a still picture with previews or a second eye behind it.
    if frames > 1 and image.format != "MPO":
        raise UnsupportedImage(
            f"the picture has {frames} frames; only still pictures are marked",
            hint="save one frame as a picture of its own",
        )
    if min(image.size) < min_side:
        raise ImageTooSmall(
            f"{image.width}x{image.height} pixels are too few for a mark",
            hint=f"each side must have at least {min_side} pixels",
        )
    if max(image.size) > MAX_SIDE:
        raise ImageTooLarge(
            f"{image.width}x{image.height} pixels are too many for a mark",
            hint=f"each side may have at most {MAX_SIDE} pixels",
        )
    _decoded(image.load)
    return _in_kept_mode(image)


def _decoded(step: Callable[[], _T]) -> _T:
    try:
        return step()
    except Exception as error:  # decoders of foreign bytes raise whatever they like
        raise UnreadableImage(f"the picture cannot be decoded: {error}") from error


def _in_kept_mode(image: Image.Image) -> Image.Image:
    mode = image.mode
    if mode in _DIRECT:
        return image
    if mode in {"P", "PA"}:
        clear = mode == "PA" or "transparency" in image.info
        return _informed(image.convert("RGBA" if clear else "RGB"), image)
    if mode == "1":
        return _informed(image.convert("L"), image)
    if mode in {"RGBX", "RGBa", "La"}:
        return _informed(image.convert({"RGBX": "RGB", "RGBa": "RGBA", "La": "LA"}[mode]), image)
    if mode in _SIXTEEN:
        grey = np.asarray(image).astype(np.int64)
        if grey.min() < 0 or grey.max() > 0xFFFF:
            raise UnsupportedImage(
                "the picture has grey values outside 0..65535",
                hint="convert it to 8 or 16 bits a channel",
            )
        return _informed(Image.fromarray(grey.astype(np.uint16)), image)
    raise UnsupportedImage(
        f"pictures of mode {mode!r} cannot be marked",
        hint="convert it to RGB, RGBA, grey or CMYK",
    )


def _informed(converted: Image.Image, source: Image.Image) -> Image.Image:
    converted.info = {k: v for k, v in source.info.items() if k != "transparency"}
    return converted


def luma_of(image: Image.Image) -> Plane:
    """Return the luma of a picture from :func:`opened`, float32 of shape (H, W), range 0..255.

    The weights are those of ITU-R BT.601, as JPEG (JFIF) has them.
    Transparent pixels count as seen on white.
    """
    values = np.asarray(image)
    match image.mode:
        case "L":
            return values.astype(np.float32)
        case "I;16":
            return (values / np.float32(257)).astype(np.float32)
        case "YCbCr":
            return values[..., 0].astype(np.float32)
        case "LA":
            return _on_white(values[..., 0].astype(np.float32), values[..., 1])
        case "RGBA":
            return _on_white(_grey(values[..., :3]), values[..., 3])
        case "CMYK":
            return _grey(np.asarray(image.convert("RGB")))
        case _:
            return _grey(values)


def _grey(rgb: NDArray[np.uint8]) -> Plane:
    # OpenCV's weights are these too, and it takes a third of the time of a product with them.
    return np.asarray(cv2.cvtColor(rgb.astype(np.float32), cv2.COLOR_RGB2GRAY))


def _on_white(luma: Plane, alpha: NDArray[np.uint8]) -> Plane:
    return np.asarray(255 + (luma - 255) * (alpha / np.float32(255)), np.float32)


def add_to_luma(image: Image.Image, delta: Plane) -> Image.Image:
    """Return a copy of a picture from :func:`opened` with ``delta`` added to its luma.

    Colour differences, alpha and metadata stay.

    Args:
        image: The picture.
        delta: Shape (H, W), in 8-bit grey levels.
    """
    values = np.asarray(image)
    if image.mode == "I;16":
        grey = np.clip(np.rint(values + delta * 257), 0, 0xFFFF)
        return _informed(Image.fromarray(grey.astype(np.uint16)), image)
    step = np.rint(delta).astype(np.int16)
    match image.mode:
        case "L":
            return _informed(_image(values + step, "L"), image)
        case "CMYK":
            return _informed(_add_to_cmyk(values, delta), image)
        case "RGB":
            # Saturates at 0 and 255 as it adds.
            moved = cv2.add(values, cv2.merge((step, step, step)), dtype=cv2.CV_8U)
            return _informed(Image.fromarray(moved), image)
        case mode:
            coloured = 1 if mode in {"LA", "YCbCr"} else 3
            result = values.copy()
            result[..., :coloured] = np.clip(values[..., :coloured] + step[..., None], 0, 255)
            return _informed(_image(result, mode), image)


def _add_to_cmyk(values: NDArray[np.uint8], delta: Plane) -> Image.Image:
    # Pillow shows ink c under black k as (255 - c) * (255 - k) / 255; the black stays as it is.
    room = (255 - values[..., 3:].astype(np.float32)) / 255
    ink = values[..., :3] - np.where(room > 0, delta[..., None] / np.maximum(room, 1 / 255), 0)
    return _image(np.concatenate([np.rint(ink), values[..., 3:]], axis=-1), "CMYK")


def _image(values: NDArray[np.generic], mode: str) -> Image.Image:
    data = np.clip(values, 0, 255).astype(np.uint8)
    height, width = data.shape[:2]
    return Image.frombuffer(mode, (width, height), data.tobytes(), "raw", mode, 0, 1)

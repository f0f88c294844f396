"""Transparency: a plain ground left out of a picture, and what a sealed one had given back."""

from __future__ import annotations

from typing import Final

import numpy as np
from PIL import Image

from chopmark.errors import InvalidRequest

__all__ = ["cut_out", "with_alpha"]

_RIM: Final = 3  # pixels of the edge that tell what the ground is
_SPREAD: Final = 40.0  # of 441: what a plain ground may stray by, at its 90th percentile
_LEAST: Final = 24.0
_ROWS: Final = 256  # at once: floats take four times the room of the picture


def cut_out(picture: Image.Image) -> Image.Image:
    """Return a picture in RGBA whose ground is transparent.

    The ground is what has the colour of the rim and is joined to it; what has that colour inside
    of a thing stays. Nothing of the picture is left below full transparency.

    Args:
        picture: RGB, 8 bits a channel.

    Raises:
        InvalidRequest: Its rim is not of one colour, so that nobody can tell what is ground.
    """
    import cv2

    pixels = np.asarray(picture.convert("RGB"), np.float32)
    inner = np.zeros(pixels.shape[:2], bool)
    inner[_RIM:-_RIM, _RIM:-_RIM] = True
    rim = pixels[~inner]
    ground = np.median(rim, axis=0)
    spread = float(np.percentile(np.linalg.norm(rim - ground, axis=1), 90))
    if spread > _SPREAD:
        raise InvalidRequest(
            "the picture that was made has no plain ground that could be left out",
            hint='say so in the prompt ("on a plain white background"), or ask for opaque ones',
            param="background",
        )
    away = np.linalg.norm(pixels - ground, axis=2)
    near = (away < max(_LEAST, 2 * spread)).astype(np.uint8)
    # A frame of ground joins whatever touches the edge.
    framed = cv2.copyMakeBorder(near, 1, 1, 1, 1, cv2.BORDER_CONSTANT, value=1)
    _, labels = cv2.connectedComponents(framed, connectivity=4)
    outside = (labels == labels[0, 0])[1:-1, 1:-1]
    # Half a pixel of softness, so that the edge has no steps.
    alpha = cv2.GaussianBlur(np.where(outside, 0.0, 1.0).astype(np.float32), (0, 0), 0.8)
    alpha[alpha < 1 / 255] = 0
    # What shines through at the edge is taken out of its colour.
    solid = (pixels - (1 - alpha[..., None]) * ground) / np.maximum(alpha[..., None], 0.25)
    colours = np.where(alpha[..., None] > 0, np.clip(solid, 0, 255), 0)
    whole = np.dstack([colours, alpha * 255]) + 0.5
    cut = Image.fromarray(whole.astype(np.uint8), "RGBA")
    cut.info.update(picture.info)
    return cut


def with_alpha(picture: Image.Image, alpha: Image.Image) -> Image.Image:
    """Return a picture that was seen on white in RGBA, with its transparency back.

    What shines through is taken out of the colours; nothing is left below full transparency.

    Args:
        picture: RGB, on white.
        alpha: Grey, of the same size: 0 is transparent.
    """
    seen, opacity = np.asarray(picture.convert("RGB")), np.asarray(alpha.convert("L"))
    whole = np.empty((*opacity.shape, 4), np.uint8)
    whole[..., 3] = opacity
    for top in range(0, len(seen), _ROWS):
        rows = slice(top, top + _ROWS)
        part = opacity[rows, :, None].astype(np.float32) / 255
        solid = (seen[rows] - (1 - part) * 255) / np.maximum(part, 1 / 255)
        whole[rows, :, :3] = np.where(part > 0, np.clip(solid, 0, 255) + 0.5, 0)
    back = Image.fromarray(whole, "RGBA")
    back.info.update(picture.info)
    return back

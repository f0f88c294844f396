"""Twice the pixels of a drawing, learned: what a small model renders is given out larger.

A network of four convolutions at the picture's own size says what a bicubic enlargement lacks; its
last layer gives four values a pixel and channel, which are laid out as two by two (Shi et al. 2016,
sub-pixel convolution, arXiv:1609.05158). It was trained on drawings alone, as they are and as the
embedded model's decoder blurs them (``training/generation/upscaling.py``): it sharpens lines and
edges, and knows nothing of skin or leaves. A folder whose model draws may hold one under
``upscaler/``; any other is scaled by Lanczos as before.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from chopmark.errors import ModelLoadError

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["FOLDER", "WEIGHTS_NAME", "DrawingNet", "Upscaler", "load_upscaler"]

FOLDER: Final = "upscaler"
WEIGHTS_NAME: Final = "upscaler.safetensors"
WIDTH: Final = 32
_LAYERS: Final = 4
#: Less than this is not worth a network: Lanczos does it.
_LEAST: Final = 1.25
#: Rows that are enlarged at once; a few more are seen above and below.
_ROWS: Final = 256
_SEEN: Final = _LAYERS + 2


class DrawingNet(nn.Module):
    """(n, 3, height, width) in 0..1 to (n, 3, 2 height, 2 width), not clipped.

    Args:
        width: channels inside.
        layers: convolutions inside.
    """

    def __init__(self, width: int = WIDTH, layers: int = _LAYERS) -> None:
        super().__init__()
        self.head = nn.Conv2d(3, width, 3, padding=1)
        self.body = nn.ModuleList(nn.Conv2d(width, width, 3, padding=1) for _ in range(layers))
        self.tail = nn.Conv2d(width, 12, 3, padding=1)
        # What is added to the plain enlargement begins as nothing.
        nn.init.zeros_(self.tail.weight)
        if self.tail.bias is not None:
            nn.init.zeros_(self.tail.bias)

    def forward(self, pixels: Tensor) -> Tensor:
        """Return the enlarged picture."""
        plain = nn.functional.interpolate(
            pixels, scale_factor=2, mode="bicubic", align_corners=False
        )
        inner = nn.functional.leaky_relu(self.head(pixels), 0.1)
        for layer in self.body:
            inner = inner + nn.functional.leaky_relu(layer(inner), 0.1)
        added: Tensor = nn.functional.pixel_shuffle(self.tail(inner), 2)
        return plain + added


class Upscaler:
    """Enlarges pictures; safe to call from several threads.

    Args:
        net: with its weights.
    """

    def __init__(self, net: DrawingNet) -> None:
        self._net = net.eval().requires_grad_(requires_grad=False)
        self._net.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def enlarge(self, picture: Image.Image, scale: float) -> Image.Image:
        """Double an RGB picture until what is left of ``scale`` is a small step, or none.

        Args:
            picture: as rendered.
            scale: how many times larger it is wanted in the end, along a side.
        """
        while scale >= _LEAST:
            picture, scale = self.double(picture), scale / 2.0
        return picture

    def double(self, picture: Image.Image) -> Image.Image:
        """Return an RGB picture of twice the sides."""
        pixels = np.asarray(picture.convert("RGB"))
        height = len(pixels)
        bands = []
        with torch.inference_mode():
            for top in range(0, height, _ROWS):
                bottom = min(height, top + _ROWS)
                first, last = max(0, top - _SEEN), min(height, bottom + _SEEN)
                band = torch.from_numpy(pixels[first:last].astype(np.float32) / 255.0)
                large = self._net(band.permute(2, 0, 1)[None])[0]
                kept = large[:, 2 * (top - first) : 2 * (bottom - first)]
                bands.append(kept.clamp(0.0, 1.0).mul(255.0).round().byte().permute(1, 2, 0))
        return Image.fromarray(torch.cat(bands).contiguous().numpy())


def load_upscaler(folder: Path) -> Upscaler | None:
    """Return the upscaler of a model's folder; ``None`` where it has none.

    Raises:
        ModelLoadError: the file is there and holds no such network.
    """
    file = folder / FOLDER / WEIGHTS_NAME
    if not file.is_file():
        return None
    from safetensors.torch import load_file

    try:
        weights = {name: value.float() for name, value in load_file(file).items()}
        net = DrawingNet()
        net.load_state_dict(weights)
    except Exception as error:  # whatever a foreign file makes the reader raise
        raise ModelLoadError(
            f"{file} holds no upscaler of ours: {type(error).__name__}",
            hint="take the folder's upscaler away: pictures are then scaled by Lanczos",
        ) from error
    return Upscaler(net)

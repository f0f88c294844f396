"""Twice as many pixels a side by a small network that was trained on drawings.

A model that renders at 256 pixels and gives out 512 has to be scaled up, and a filter leaves the
edges of a drawing soft. The network adds what a bilinear doubling lacks: a few convolutions at the
small size, whose last channels are the four pixels of each (sub-pixel convolution, Shi et al. 2016,
arXiv:1609.05158). It lies in the model's folder as ``upscaler/x2.safetensors``; folders without it
are scaled by a filter. ``python -m training.generation.upscale`` trains it; none is shipped, since
what was trained came no nearer than a filter to pictures that an autoencoder had decoded.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
import torch
from PIL import Image
from safetensors.torch import load_file
from torch import Tensor, nn

from chopmark.errors import ModelLoadError

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["FILE_NAME", "WIDTH", "Doubler", "read_doubler"]

FILE_NAME: Final = "upscaler/x2.safetensors"
#: Channels between the convolutions, and how many of these there are beside the first and last.
WIDTH: Final = 24
_DEPTH: Final = 4


class Doubler(nn.Module):
    """The network: (n, 3, h, w) in 0..1 to (n, 3, 2h, 2w), on the CPU in float32."""

    def __init__(self, width: int = WIDTH) -> None:
        super().__init__()
        layers: list[nn.Module] = [nn.Conv2d(3, width, 3, padding=1, padding_mode="replicate")]
        for _ in range(_DEPTH):
            layers += [nn.PReLU(width), nn.Conv2d(width, width, 3, padding=1)]
        layers += [nn.PReLU(width), nn.Conv2d(width, 12, 3, padding=1)]
        self.layers = nn.Sequential(*layers)

    def forward(self, pixels: Tensor) -> Tensor:
        """Return the doubled picture; it may leave 0..1 by a little."""
        base = nn.functional.interpolate(
            pixels, scale_factor=2, mode="bilinear", align_corners=False
        )
        return base + nn.functional.pixel_shuffle(self.layers(pixels), 2)

    def doubled(self, picture: Image.Image) -> Image.Image:
        """Return an RGB picture at twice its size."""
        array = np.asarray(picture, dtype=np.float32) / 255.0
        with torch.inference_mode():
            pixels = torch.from_numpy(array).permute(2, 0, 1)[None]
            doubled = self(pixels.contiguous(memory_format=torch.channels_last))[0]
            whole = doubled.clamp(0.0, 1.0).mul(255.0).round().byte().permute(1, 2, 0)
        return Image.fromarray(np.ascontiguousarray(whole.numpy()))


def read_doubler(folder: Path) -> Doubler | None:
    """Return the network of a model's folder; ``None`` where it has none.

    Raises:
        ModelLoadError: there is a file, and it is not this network.
    """
    file = folder / FILE_NAME
    if not file.is_file():
        return None
    network = Doubler()
    try:
        network.load_state_dict(load_file(file))
    except Exception as error:
        raise ModelLoadError(
            f"{file} is no upscaler that is known: {type(error).__name__}"
        ) from error
    return network.eval().requires_grad_(False)

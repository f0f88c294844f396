"""An experiment: can a second mark be struck that the embedded autoencoder keeps, and at what cost?

Two ways, both of one keyed bit only (is the mark there?), so that 64 bits would be harder still:

* *linear*: a random pattern of wavelengths from 12 to 32 pixels, the only ones of which facts say
  that an autoencoder leaves a part, read by a blind whitened correlation;
* *optimised*: a change of the pixels found for this picture by gradient through encoder, decoder
  and encoder, so that the latents carry keyed signs, read by encoding the picture once more.

The statistic z has a tail of exp(-z^2 / 2) under random signs, so that 12.3 is what 64 bits need at
p = 1e-9. Pictures have 256 pixels a side, at which the model itself works.
"""

from __future__ import annotations

import io
import math
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from PIL import Image
from torch.nn import functional

from benchmarks.regeneration import autoencoder, from_pixels, to_pixels
from benchmarks.watermark_rates import table
from benchmarks.watermark_sets import Subject

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ["curve", "text"]

NEEDED = 12.3
_SIDE = 256
_DECIBELS = (42.0, 39.0, 36.0)
_STEPS = 10


def curve(number: int) -> dict[str, Any]:
    """Both ways on one picture of our own, at each cost; about a minute of CPU."""
    torch.set_num_threads(1)
    autoencoder().requires_grad_(requires_grad=False)
    picture = Subject(name="own", kind="own", number=number).load()
    pixels = from_pixels(picture.resize((_SIDE, _SIDE), Image.Resampling.LANCZOS))
    ways: dict[str, tuple[Callable[[float], torch.Tensor], Callable[[torch.Tensor], float]]] = {
        "linear": _linear(pixels, number),
        "optimised": _optimised(pixels, number),
    }
    points = []
    for name, (strike, read) in ways.items():
        for decibels in _DECIBELS:
            marked = _whole(strike(decibels))
            reached = float(-10 * torch.log10(((marked - pixels) ** 2).mean() / 4))
            points.append(
                {
                    "way": name,
                    "wanted_db": decibels,
                    "db": round(reached, 2),
                    "unharmed": round(read(marked), 2),
                    "autoencoder": round(read(_through(marked)), 2),
                    "jpeg 75": round(read(_jpeg(marked)), 2),
                    "unmarked": round(read(pixels), 2),
                }
            )
    return {"picture": number, "points": points}


def _linear(pixels: torch.Tensor, seed: int) -> tuple[Any, Any]:
    random = np.random.default_rng([3, seed])
    y, x = np.meshgrid(np.fft.fftfreq(_SIDE), np.fft.fftfreq(_SIDE), indexing="ij")
    band = (np.hypot(x, y) > 1 / 32) & (np.hypot(x, y) < 1 / 12)
    # Signs of the independent half of the band's cosines and sines.
    phases = np.sign(random.normal(size=(2, _SIDE, _SIDE)))
    half = band & ((x > 0) | ((x == 0) & (y > 0)))
    spectrum = half * (phases[0] + 1j * phases[1])
    pattern = np.fft.ifft2(spectrum).real
    pattern /= pattern.std()

    def strike(decibels: float) -> torch.Tensor:
        size = 2 * 10 ** (-decibels / 20)
        return pixels + torch.from_numpy(size * pattern).float()

    def read(picture: torch.Tensor) -> float:
        luma = picture.mean(dim=1)[0]
        mean = functional.avg_pool2d(luma[None], 33, 1, 16, count_include_pad=False)[0]
        detail = luma - mean
        spread = functional.avg_pool2d(detail[None] ** 2, 17, 1, 8, count_include_pad=False)[0]
        seen = np.fft.fft2((detail / (spread.sqrt() + 0.03)).numpy())
        sizes = functional.avg_pool2d(torch.from_numpy(np.abs(seen))[None], 5, 1, 2)[0].numpy()
        values = (seen / sizes)[half]
        signs = (phases[0] + 1j * phases[1])[half]
        product = values.real * signs.real + values.imag * signs.imag
        return float(product.sum() / np.linalg.norm(values))

    return strike, read


def _optimised(pixels: torch.Tensor, seed: int) -> tuple[Any, Any]:
    with torch.no_grad():
        spread = _encoded(pixels).std(dim=(0, 2, 3), keepdim=True)
    generator = torch.Generator().manual_seed(1000 + seed)
    cells = _SIDE // 8
    signs = torch.randint(0, 2, (1, spread.shape[1], cells, cells), generator=generator) * 2.0 - 1

    def statistic(latents: torch.Tensor) -> torch.Tensor:
        # What neighbours have in common is content; what is loud counts for no more than the rest.
        values = latents / spread
        values = values - functional.avg_pool2d(values, 3, 1, 1, count_include_pad=False)
        loud = functional.avg_pool2d(values.abs(), 3, 1, 1, count_include_pad=False).detach()
        values = (values / (loud + 0.02)).clamp(-2, 2)
        found: torch.Tensor = (values * signs).sum() / values.norm()
        return found

    def strike(decibels: float) -> torch.Tensor:
        size = 2 * 10 ** (-decibels / 20) * math.sqrt(pixels.numel())
        change = torch.zeros_like(pixels)
        best, found = -math.inf, change
        for step in range(_STEPS):
            change.requires_grad = True
            direct = _encoded(pixels + change)
            later = _encoded(autoencoder().decode(direct).sample.clamp(-1, 1))
            gain = statistic(direct) + 2 * statistic(later)
            (slope,) = torch.autograd.grad(gain, change)
            if float(gain) > best and step:
                best, found = float(gain), change.detach()
            rate = size * (0.5 if step < _STEPS // 2 else 0.2)
            change = change.detach() + rate * slope / slope.norm()
            change = change * min(1.0, size / float(change.norm()))
        return pixels + found

    def read(picture: torch.Tensor) -> float:
        with torch.no_grad():
            return float(statistic(_encoded(picture)))

    return strike, read


def _encoded(pixels: torch.Tensor) -> torch.Tensor:
    latents: torch.Tensor = autoencoder().encode(pixels).latent_dist.mode()
    return latents


def _through(pixels: torch.Tensor) -> torch.Tensor:
    with torch.no_grad():
        return _whole(autoencoder().decode(_encoded(pixels)).sample)


def _whole(pixels: torch.Tensor) -> torch.Tensor:
    """In steps of grey levels, as a file has them."""
    return from_pixels(to_pixels(pixels.detach()))


def _jpeg(pixels: torch.Tensor) -> torch.Tensor:
    file = io.BytesIO()
    to_pixels(pixels).save(file, "JPEG", quality=75)
    with Image.open(file) as opened:
        return from_pixels(opened.convert("RGB"))


def text(rows: Sequence[dict[str, Any]]) -> str:
    """The curve of rate against cost, as a part of the page."""
    lines = []
    for way in ("linear", "optimised"):
        for decibels in _DECIBELS:
            points = [
                point
                for row in rows
                for point in row["points"]
                if (point["way"], point["wanted_db"]) == (way, decibels)
            ]
            cells = (
                f"{np.mean([p[name] for p in points]):.1f} "
                f"({sum(p[name] >= NEEDED for p in points)} of {len(points)})"
                for name in ("unharmed", "autoencoder", "jpeg 75", "unmarked")
            )
            lines.append([way, f"{np.mean([p['db'] for p in points]):.1f}", *cells])
    head = ["way", "PSNR, dB", "unharmed", "embedded autoencoder", "JPEG 75", "unmarked"]
    return (
        "### A second mark for autoencoders (an experiment, not in the product)\n\n"
        f"Mean z of one keyed bit, and how many of {len(rows)} pictures of our own reach the "
        f"{NEEDED} that 64 bits need. *Linear*: wavelengths of 12 to 32 pixels. *Optimised*: "
        f"pixels changed by {_STEPS} steps along the gradient through encoder, decoder and "
        "encoder; a reader needs the encoder.\n\n" + table(head, lines)
    )

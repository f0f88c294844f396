"""Regeneration as an attack: the embedded model's autoencoder, and its denoiser from some noise.

Both run on what comes in the package; nothing is downloaded. Each takes one to three seconds of CPU
for a picture of 512 pixels.
"""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from PIL import Image

from chopmark.generation import GenerationJob, LoadOptions
from chopmark.generation.diffusers_engine import DiffusersGenerator
from chopmark.generation.embedded import materialize
from chopmark.generation.folders import FACTS_NAME

if TYPE_CHECKING:
    from benchmarks.attacks import Attack

__all__ = ["HOME", "REGENERATIONS", "autoencoder", "from_pixels", "generated", "to_pixels"]

HOME = Path.home() / ".cache" / "chopmark" / "benchmark" / "home"
_LANCZOS = Image.Resampling.LANCZOS
# Sides of pictures that the autoencoder takes are multiples of this.
_CELL = 16
_SIDE = 512


@cache
def _engine() -> DiffusersGenerator:
    torch.set_num_threads(1)
    options = LoadOptions(quantization="none")
    return DiffusersGenerator.load(materialize(HOME), name="embedded", options=options)


@cache
def _arguments() -> dict[str, Any]:
    """What the pipeline has to be told about the text encoder of this model."""
    facts = json.loads((materialize(HOME) / FACTS_NAME).read_text(encoding="utf-8"))
    return {**facts["arguments"], "guidance_scale": facts["default_guidance"]}


def _pipeline() -> Any:
    return _engine().variants.all[0]


def autoencoder() -> Any:
    """Return the embedded model's autoencoder, which takes (N, 3, H, W) in -1 to 1."""
    return _pipeline().vae


def generated(prompt: str, *, seed: int) -> Image.Image:
    """Return a picture of the embedded model, 512 pixels a side."""
    job = GenerationJob(prompt=prompt, seed=seed, width=_SIDE, height=_SIDE)
    return _engine().generate(job)[0]


def to_pixels(values: torch.Tensor) -> Image.Image:
    """Return the picture of (1, 3, H, W) in -1 to 1."""
    pixels = (values[0].clamp(-1, 1).permute(1, 2, 0).numpy() + 1) * 127.5
    return Image.fromarray(np.rint(pixels).astype(np.uint8))


def from_pixels(picture: Image.Image) -> torch.Tensor:
    """Return a picture as (1, 3, H, W) in -1 to 1."""
    values = np.asarray(picture, np.float32) / 127.5 - 1
    return torch.from_numpy(values).permute(2, 0, 1)[None].contiguous()


def _fitted(picture: Image.Image, side: int) -> Image.Image:
    """The picture with its longer side at ``side``, both sides multiples of a latent cell."""
    factor = side / max(picture.size)
    size = [max(_CELL, round(length * factor / _CELL) * _CELL) for length in picture.size]
    return picture.resize((size[0], size[1]), _LANCZOS)


def _decoded(side: int) -> Attack:
    """Encoded and decoded at ``side`` pixels, back at the old size; no noise, no prompt."""

    @torch.no_grad()
    def attack(picture: Image.Image) -> Image.Image:
        pixels = from_pixels(_fitted(picture, side))
        latents = autoencoder().encode(pixels).latent_dist.mode()
        decoded = to_pixels(autoencoder().decode(latents).sample)
        return decoded.resize(picture.size, _LANCZOS)

    return attack


def _redrawn(strength: float) -> Attack:
    """Image to image: noise of this share laid on the latents, taken off in two steps."""

    @torch.no_grad()
    def attack(picture: Image.Image) -> Image.Image:
        pipeline, small = _pipeline(), _fitted(picture, _SIDE)
        # The pipeline's own encoding has no public name.
        latents = pipeline._encode_vae_image(  # noqa: SLF001
            from_pixels(small), torch.Generator()
        )
        noise = torch.randn(latents.shape, generator=torch.Generator().manual_seed(1))
        shift = float(pipeline.scheduler.config.shift)
        # The scheduler shifts s to f s / (1 + (f - 1) s); these are what it takes to these levels.
        steps = [level / (shift - (shift - 1) * level) for level in (strength, strength / 2)]
        redrawn: Image.Image = pipeline(
            prompt="a picture",
            width=small.width,
            height=small.height,
            latents=(1 - strength) * latents + strength * noise,
            sigmas=steps,
            num_inference_steps=len(steps),
            **_arguments(),
        ).images[0]
        return redrawn.resize(picture.size, _LANCZOS)

    return attack


REGENERATIONS: dict[str, Attack] = {
    "own autoencoder, 512": _decoded(512),
    "own autoencoder, 256 and back": _decoded(256),
    "image to image 0.05": _redrawn(0.05),
    "image to image 0.15": _redrawn(0.15),
    "image to image 0.3": _redrawn(0.3),
}

"""Inpainting with a pipeline that can only edit: what the mask keeps is put back after every step.

diffusers' inpainting pipelines insist on four latent channels; for other latents the same is done
here from outside, on the edit pipeline: after each step the latents outside the mask become those
of the picture at the noise level just reached, so that what is drawn inside grows out of its
surroundings (Avrahami et al. 2022, Blended Latent Diffusion, arXiv:2206.02779).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from PIL import Image


class KeepOutside:
    """The picture's latents and the mask of one call."""

    def __init__(
        self, pipeline: Any, picture: Image.Image, mask: Image.Image, *, seed: int
    ) -> None:
        """Encode ``picture``; ``mask`` has its size and is white where the picture may change."""
        import torch

        part = pipeline.vae
        pixels = pipeline.image_processor.preprocess(picture)
        device = pipeline._execution_device  # noqa: SLF001 - where an offloaded part works
        encoded = part.encode(pixels.to(device=device, dtype=part.dtype))
        latents = encoded.latents if hasattr(encoded, "latents") else encoded.latent_dist.mode()
        self._picture = latents * part.config.scaling_factor
        generator = torch.Generator("cpu").manual_seed(seed)
        noise = torch.randn(latents.shape, generator=generator)
        self._noise = noise.to(device=latents.device, dtype=latents.dtype)
        change = torch.from_numpy(np.array(mask.convert("L"), dtype=np.float32) / 255.0)
        self._change = torch.nn.functional.interpolate(
            change[None, None], size=latents.shape[-2:], mode="area"
        ).to(latents)

    def __call__(self, pipeline: Any, time: Any, latents: Any) -> Any:
        """Return ``latents``, as they are after the step at ``time``, with the outside put back."""
        if latents.shape != self._picture.shape:
            # A family that packs its latents: the pixels outside are put back at the end anyway.
            return latents
        times = pipeline.scheduler.timesteps
        after = int((times == time).nonzero()[0]) + 1
        kept = self._picture
        if after < len(times):
            kept = pipeline.scheduler.add_noise(kept, self._noise, times[after : after + 1])
        return self._change * latents + (1.0 - self._change) * kept

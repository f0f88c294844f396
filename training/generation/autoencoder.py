"""Training of the picture autoencoder: 8 pixels in a latent cell, 16 in a token of the denoiser.

Besides drawing back what it saw, it is asked to decode latents that were made half as large into
the picture made half as large (Kouzelis et al. 2025, arXiv:2502.09509, EQ-VAE): then latents of a
thing look alike at every size, which the denoiser learns sooner. Noise on the latents teaches the
decoder to forgive the denoiser's small errors.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import torch
from diffusers import Flux2KleinPipeline
from torch import Tensor
from torch.nn import functional

if TYPE_CHECKING:
    from collections.abc import Callable

    from diffusers import AutoencoderKLFlux2

#: Receives one line of news.
Log: TypeAlias = "Callable[[str], None]"
#: Returns so many random pictures, (n, 3, side, side) in -1 to 1, of 128 pixels times the scale.
Draw: TypeAlias = "Callable[[int, int], Tensor]"
#: The stock pipeline's own packing, which has no public name.
STOCK: Final[Any] = Flux2KleinPipeline
_EDGES: Final = 0.5
_NOISE: Final = 0.1
_DIVERGENCE: Final = 1e-6


def picture_loss(output: Tensor, target: Tensor) -> Tensor:
    """Return the error of the pixels and of their differences; the latter keeps edges sharp."""
    loss = functional.l1_loss(output, target) + functional.mse_loss(output, target)
    for axis in (-1, -2):
        loss = loss + _EDGES * functional.l1_loss(output.diff(dim=axis), target.diff(dim=axis))
    return loss


def psnr(output: Tensor, target: Tensor) -> float:
    """Peak signal-to-noise ratio in dB of tensors in -1 to 1."""
    return 10.0 * math.log10(4.0 / functional.mse_loss(output.clamp(-1, 1), target).item())


def autoencoder_step(
    vae: AutoencoderKLFlux2, draw: Draw, size: int, step: int
) -> tuple[Tensor, Callable[[], str]]:
    """Return the loss of one step, and what to say of it.

    Args:
        vae: in training.
        draw: source of pictures.
        size: pictures of 256 pixels; of small ones there are three times as many.
        step: number of the step; every third is large, small, or from large to small.
    """
    kind = ("large", "small", "halved")[step % 3]
    pictures = draw(3 * size, 1) if kind == "small" else draw(size, 2)
    posterior = vae.encode(pictures).latent_dist
    latents = posterior.sample()
    target = pictures
    if kind == "halved":
        latents = functional.avg_pool2d(latents, 2)
        target = functional.avg_pool2d(pictures, 2)
    latents = latents + _NOISE * latents.detach().std() * torch.randn_like(latents)
    output = vae.decode(latents, return_dict=False)[0].float()
    loss = picture_loss(output, target) + _DIVERGENCE * posterior.kl().mean()
    return loss, lambda: f"{kind} {psnr(output.detach(), target):.1f} dB"


@torch.no_grad()
def measure_latents(vae: AutoencoderKLFlux2, pictures: Tensor) -> None:
    """Set the batch norm by which the pipeline brings latents to mean 0 and variance 1.

    Args:
        vae: trained.
        pictures: (n, 3, side, side) in -1 to 1.
    """
    parts = [
        STOCK._patchify_latents(vae.encode(part).latent_dist.mode().float())
        for part in torch.split(pictures, 64)
    ]
    latents = torch.cat(parts)
    vae.bn.running_mean.copy_(latents.mean(dim=(0, 2, 3)))
    vae.bn.running_var.copy_(latents.var(dim=(0, 2, 3)))


def tokens_of(vae: AutoencoderKLFlux2, pictures: Tensor) -> Tensor:
    """Return (n, tokens, channels) as the pipeline hands pictures to the denoiser."""
    mean = vae.bn.running_mean.view(1, -1, 1, 1)
    deviation = torch.sqrt(vae.bn.running_var.view(1, -1, 1, 1) + vae.config.batch_norm_eps)
    latents = STOCK._patchify_latents(vae.encode(pictures).latent_dist.mode().float())
    packed: Tensor = STOCK._pack_latents((latents - mean) / deviation)
    return packed

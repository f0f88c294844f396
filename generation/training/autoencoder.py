"""The picture autoencoder: an ``AutoencoderTiny`` with 16 by 16 pixels in a latent cell.

Encoder and decoder are made apart, so that the denoiser need not wait for either. The encoder is
linear and solved in closed form: its convolutions rearrange each block of 16 by 16 pixels and
project it on the blocks' principal components. The decoder is not the transpose of that but a
network trained to see past the lost detail, with noise on its input so that it forgives the
denoiser's small errors.

An autoencoder trained from scratch, both halves at once, was still eight decibels below plain
principal components after the minutes that two CPU cores could spare (see ``dev/LOG.md``).
"""

from __future__ import annotations

import copy
import math
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
import torch
from diffusers import AutoencoderTiny
from diffusers.models.unets.unet_2d_blocks import AutoencoderTinyBlock
from torch import Tensor, nn
from torch.nn import functional

if TYPE_CHECKING:
    from collections.abc import Callable

#: Receives one line of news.
Log: TypeAlias = "Callable[[str], None]"
#: Latents leave the encoder this much smaller than the denoiser sees them: the stock decoder
#: squashes values beyond 3.
LATENT_SCALE = 4.0


@dataclass(frozen=True, kw_only=True)
class AutoencoderConfig:
    """Shape of the autoencoder and schedule of its decoder."""

    width: int = 48
    decoder_blocks: tuple[int, ...] = (3, 3, 2, 1, 0)
    latent_channels: int = 32
    batch: int = 8
    learning_rate: float = 1e-3
    minutes: float = 35.0
    steps: int | None = None
    latent_noise: float = 0.15
    edge_weight: float = 0.5
    seed: int = 0
    device: str = "cpu"


def build(config: AutoencoderConfig) -> AutoencoderTiny:
    """Return an autoencoder with a linear encoder and an untrained decoder."""
    stages = len(config.decoder_blocks)
    model = AutoencoderTiny(
        encoder_block_out_channels=(config.width,) * stages,
        decoder_block_out_channels=(config.width,) * stages,
        num_encoder_blocks=(0,) * stages,
        num_decoder_blocks=config.decoder_blocks,
        latent_channels=config.latent_channels,
        scaling_factor=LATENT_SCALE,
    )
    torch.manual_seed(config.seed)
    for layer in model.decoder.layers:
        # The trunk is nearly linear, and the default initialisation would shrink it to nothing.
        if isinstance(layer, nn.Conv2d):
            nn.init.orthogonal_(layer.weight)
        elif isinstance(layer, AutoencoderTinyBlock):
            with torch.no_grad():
                layer.conv[-1].weight *= 0.1
    return model


def to_tensor(pictures: list[np.ndarray]) -> Tensor:
    """Stack uint8 pictures (side, side, 3) into a float tensor (n, 3, side, side) in -1 to 1."""
    return torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2).float().div_(127.5).sub_(1.0)


@torch.no_grad()
def solve_encoder(model: AutoencoderTiny, pictures: Tensor, *, whitening: float = 0.6) -> None:
    """Set the encoder to project each 16 by 16 block on principal components of ``pictures``.

    The first halvings only move each 2 by 2 block into channels; as soon as these would be more
    than the encoder has, a halving keeps the principal components of what it moves.

    Args:
        model: its encoder has a first convolution, some that halve the side, and a last one.
        pictures: (n, 3, side, side) in -1 to 1.
        whitening: 0 keeps the components' variances, 1 makes them equal. Between the two, the
            coarse components are drawn first out of the noise and the fine ones still weigh in
            the loss.
    """
    first, *halvings, last = model.encoder.layers
    for layer in model.encoder.layers:
        nn.init.zeros_(layer.weight)
    nn.init.zeros_(first.bias)
    for colour in range(3):
        first.weight[colour, colour, 1, 1] = 1.0
    count, width, channels = model.config["latent_channels"], last.in_channels, 3
    features = first(pictures.add(1).div(2))
    mean = torch.zeros(0)
    for layer in halvings:
        if layer is not halvings[-1] and 4 * channels <= width:
            basis = torch.eye(4 * channels)
        else:
            # (4 * channels, n): channel k at (row, column) of its block is row 4k + 2 row + column.
            blocks = (
                functional.pixel_unshuffle(features[:, :channels], 2).transpose(0, 1).flatten(1)
            )
            mean = blocks.mean(dim=1)
            centred = blocks - mean[:, None]
            variances, vectors = torch.linalg.eigh(centred @ centred.T / centred.shape[1])
            kept = count if layer is halvings[-1] else width
            deviation = variances.flip(0)[:kept].clamp(min=0).sqrt()
            basis = vectors.flip(1)[:, :kept].T
            if layer is halvings[-1]:
                basis = basis / deviation[:, None].pow(whitening)
                basis /= deviation.pow(2 - 2 * whitening).mean().sqrt() * LATENT_SCALE
        layer.weight[: len(basis), :channels, 1:, 1:] = basis.view(len(basis), channels, 2, 2)
        features, channels = layer(features), len(basis)
    for channel in range(count):
        last.weight[channel, channel, 1, 1] = 1.0
    last.bias[:] = -(basis @ mean)


def picture_loss(output: Tensor, target: Tensor, edge_weight: float) -> Tensor:
    """Return the error of the pixels and of their differences; the latter keeps edges sharp."""
    loss = functional.l1_loss(output, target) + functional.mse_loss(output, target)
    for axis in (-1, -2):
        loss = loss + edge_weight * functional.l1_loss(output.diff(dim=axis), target.diff(dim=axis))
    return loss


def psnr(output: Tensor, target: Tensor) -> float:
    """Peak signal-to-noise ratio in dB of tensors in -1 to 1."""
    return 10.0 * math.log10(4.0 / functional.mse_loss(output.clamp(-1, 1), target).item())


def share_done(started: float, minutes: float, step: int, steps: int | None) -> float:
    """Return how much of a run is over, 0 to 1: by the clock, or by steps where limited."""
    if steps is not None:
        return step / steps
    return (time.monotonic() - started) / (60.0 * minutes)


def update_average(average: nn.Module, model: nn.Module, decay: float) -> None:
    """Move the parameters of ``average`` towards those of ``model`` by ``1 - decay``."""
    with torch.no_grad():
        torch._foreach_lerp_(list(average.parameters()), list(model.parameters()), 1.0 - decay)


def train_decoder(
    model: AutoencoderTiny,
    draw: Callable[[int], tuple[Tensor, Tensor]],
    config: AutoencoderConfig,
    *,
    checkpoint: Callable[[AutoencoderTiny], None] | None = None,
    log: Log = print,
) -> None:
    """Train the decoder of ``model`` as ``config`` says and leave its moving average in place.

    Args:
        model: its encoder is left alone.
        draw: given a count, returns latents as the encoder gives them and the pictures (n, 3, side,
            side) to aim at.
        config: schedule; the learning rate falls along a cosine.
        checkpoint: called with the average every 300 steps.
        log: receives a line every 100 steps.
    """
    torch.manual_seed(config.seed)
    decoder, average = model.decoder.to(config.device), copy.deepcopy(model)
    optimizer = torch.optim.AdamW(
        decoder.parameters(), lr=config.learning_rate, betas=(0.9, 0.98), fused=True
    )
    started, step, recent, quality = time.monotonic(), 0, 0.0, 0.0
    while (done := share_done(started, config.minutes, step, config.steps)) < 1.0:
        rate = (
            config.learning_rate
            * min(1.0, (step + 1) / 50)
            * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * done)))
        )
        for group in optimizer.param_groups:
            group["lr"] = rate
        latents, target = (part.to(config.device) for part in draw(config.batch))
        output = decoder(latents + config.latent_noise / LATENT_SCALE * torch.randn_like(latents))
        loss = picture_loss(output, target, config.edge_weight)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(decoder.parameters(), 1.0)
        optimizer.step()
        step += 1
        update_average(average.decoder, decoder, min(0.99, (1 + step) / (10 + step)))
        recent = loss.item() if step == 1 else 0.98 * recent + 0.02 * loss.item()
        quality = (
            psnr(output, target) if step == 1 else 0.98 * quality + 0.02 * psnr(output, target)
        )
        if step % 100 == 0:
            log(f"decoder step {step} {100 * done:.0f} % loss {recent:.4f} psnr {quality:.2f} dB")
        if checkpoint is not None and step % 300 == 0:
            checkpoint(average)
    decoder.load_state_dict(average.decoder.state_dict())
    model.cpu()

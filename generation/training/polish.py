"""Goes on training the decoder of a packed model, on any device; latents stay as they are.

The autoencoder gets few minutes of a lent GPU, and convolutions that see zeros beyond the edge
leave a frame of one dark pixel. A CPU has time for the small decoder afterwards, and the loss here
counts the outermost pixels more.
"""

from __future__ import annotations

import copy
import math
import random
import shutil
import time
from typing import TYPE_CHECKING, Final

import torch
from diffusers import AutoencoderKLFlux2
from torch import Tensor, nn
from torch.nn import functional

from chopmark.generation.embedded import write_folder
from chopmark.generation.training.autoencoder import Log, picture_loss, psnr
from chopmark.generation.training.canvas import Canvas, rows_of
from chopmark.generation.training.captions import sample_scene
from chopmark.generation.training.klein import export_part
from chopmark.generation.training.prepare import SPRITES

if TYPE_CHECKING:
    from pathlib import Path

_RATE: Final = 4e-4
_BATCH: Final = 4
_NOISE: Final = 0.08
#: Pixels along each edge that count more, and how much more.
_EDGE: Final = 2
_EDGE_WEIGHT: Final = 2.0


def polish(
    data: Path,
    out: Path,
    *,
    minutes: float = 30.0,
    steps: int | None = None,
    device: str = "cpu",
    log: Log = print,
) -> None:
    """Train the decoder of ``out/embedded`` and write it back.

    Args:
        data: folder with the sprites.
        out: folder of the training run.
        minutes: how long; the learning rate falls along a cosine.
        steps: ends it after so many steps instead; for tests.
        device: torch device.
        log: receives a line of news.
    """
    canvas = Canvas.load(data / SPRITES, device=device)
    shutil.rmtree(out / "plain", ignore_errors=True)
    write_folder(out / "embedded", out / "plain")
    vae = AutoencoderKLFlux2.from_pretrained(out / "plain" / "vae").to(device).eval()
    held = canvas.compose(rows_of([sample_scene(random.Random(number)) for number in range(32)]))
    log(f"before: {_quality(vae, held)}")
    rng = random.Random(7)
    torch.manual_seed(7)
    parts = nn.ModuleList([vae.decoder, vae.post_quant_conv])
    optimizer = torch.optim.AdamW(parts.parameters(), lr=_RATE, betas=(0.9, 0.98))
    average = copy.deepcopy(parts)
    started, done, taken = time.monotonic(), 0.0, 0
    while done < 1.0:
        for group in optimizer.param_groups:
            group["lr"] = (
                _RATE * min(1.0, (taken + 1) / 50) * (0.5 + 0.5 * math.cos(math.pi * done))
            )
        real = canvas.compose(rows_of([sample_scene(rng) for _ in range(_BATCH)]))
        with torch.no_grad():
            latents = vae.encode(real).latent_dist.mode()
            latents = latents + _NOISE * latents.std() * torch.randn_like(latents)
        output = vae.decode(latents, return_dict=False)[0]
        loss = picture_loss(output, real) + _EDGE_WEIGHT * functional.l1_loss(
            _edges(output), _edges(real)
        )
        optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(parts.parameters(), 1.0)
        optimizer.step()
        taken += 1
        with torch.no_grad():
            decay = min(0.995, (1 + taken) / (10 + taken))
            torch._foreach_lerp_(list(average.parameters()), list(parts.parameters()), 1 - decay)
        if taken % 100 == 0:
            log(f"polish step {taken}, {100 * done:.0f} %, loss {loss.item():.4f}")
        minute = (time.monotonic() - started) / 60
        done = taken / steps if steps else minute / minutes
    parts.load_state_dict(average.state_dict())
    log(f"after {taken} steps: {_quality(vae, held)}")
    export_part(vae.cpu(), out / "embedded" / "vae")


def _edges(pictures: Tensor) -> Tensor:
    """Return the outermost pixels of (n, 3, side, side), (n, 3, any)."""
    rows = torch.cat([pictures[..., :_EDGE, :], pictures[..., -_EDGE:, :]], dim=-2).flatten(2)
    columns = torch.cat([pictures[..., :_EDGE], pictures[..., -_EDGE:]], dim=-1).flatten(2)
    return torch.cat([rows, columns], dim=-1)


@torch.no_grad()
def _quality(vae: AutoencoderKLFlux2, real: Tensor) -> str:
    output = torch.cat(
        [vae.decode(vae.encode(part).latent_dist.mode()).sample for part in torch.split(real, 8)]
    )
    return f"{psnr(output, real):.2f} dB, the edges {psnr(_edges(output), _edges(real)):.2f} dB"

"""The denoiser: a small stock ``UNet2DConditionModel`` that predicts the clean latents.

Latents and text embeddings are computed once, before training, so that the loop does nothing but
denoising steps. The noising is a straight line between latents and noise (rectified flow, Liu et
al. 2022, arXiv:2209.03003), which the stock multistep solvers follow with ``use_flow_sigmas=True``;
predicting the clean latents converged faster here than predicting the velocity.
"""

from __future__ import annotations

import copy
import math
import random
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch
from diffusers import DPMSolverMultistepScheduler, UNet2DConditionModel
from torch import Tensor, nn

from chopmark.generation.training.autoencoder import (
    LATENT_SCALE,
    Log,
    share_done,
    to_tensor,
    update_average,
)
from chopmark.generation.training.captions import Scene, describe, sample_scene

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from diffusers import AutoencoderTiny

    from chopmark.generation.training.data import Sprites

#: Word pieces per prompt, padding included; longer prompts are cut.
PROMPT_LENGTH = 24


@dataclass(frozen=True, kw_only=True)
class DenoiserConfig:
    """Shape and schedule of the denoiser."""

    widths: tuple[int, int] = (160, 256)
    text_width: int = 256
    batch: int = 16
    learning_rate: float = 8e-4
    minutes: float = 60.0
    steps: int | None = None
    dropped_captions: float = 0.1
    average_decay: float = 0.998
    time_shift: float = 0.4
    first_guess_share: float = 0.3
    scenes: int = 12_000
    captions_per_scene: int = 3
    seed: int = 0
    device: str = "cpu"


def build(config: DenoiserConfig, latent_channels: int) -> UNet2DConditionModel:
    """Return an untrained denoiser of 8 by 8 latent cells, text attention at the lowest level.

    Text also enters everywhere else, pooled and added to the time embedding
    (``addition_embed_type="text"``).
    """
    return UNet2DConditionModel(
        sample_size=8,
        in_channels=latent_channels,
        out_channels=latent_channels,
        block_out_channels=config.widths,
        layers_per_block=1,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        mid_block_type="UNetMidBlock2DCrossAttn",
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        cross_attention_dim=config.text_width,
        attention_head_dim=4,
        norm_num_groups=16,
        addition_embed_type="text",
        addition_embed_type_num_heads=4,
        encoder_hid_dim=384,
        encoder_hid_dim_type="text_proj",
    )


def scheduler() -> DPMSolverMultistepScheduler:
    """Return the solver that the exported pipeline uses."""
    return DPMSolverMultistepScheduler(
        prediction_type="sample",
        use_flow_sigmas=True,
        flow_shift=2.0,
        solver_order=2,
        final_sigmas_type="zero",
        # Without effect on these sigmas; the stock pipeline warns about any other value.
        steps_offset=1,
    )


class TextEmbedder:
    """The frozen text encoder, run exactly as the stock pipeline runs it."""

    def __init__(self, tokenizer: Any, encoder: Any) -> None:
        self._tokenizer = tokenizer
        self._encoder = encoder

    @torch.no_grad()
    def __call__(self, prompts: Sequence[str]) -> Tensor:
        """Return half-precision embeddings of shape (n, PROMPT_LENGTH, 384)."""
        parts = []
        for start in range(0, len(prompts), 128):
            tokens = self._tokenizer(
                list(prompts[start : start + 128]),
                padding="max_length",
                max_length=PROMPT_LENGTH,
                truncation=True,
                return_tensors="pt",
            )
            states = self._encoder(tokens.input_ids, attention_mask=tokens.attention_mask)[0]
            parts.append(states.half())
        return torch.cat(parts)


@dataclass
class Pool:
    """Everything the loop draws from: latents, and for each picture several caption embeddings."""

    latents: Tensor
    captions: Tensor
    caption_index: Tensor
    empty: Tensor
    scenes: list[Scene] = field(default_factory=list)

    def draw(self, count: int, dropped: float) -> tuple[Tensor, Tensor]:
        """Return ``count`` latents and embeddings, some of these being the empty prompt's."""
        picture = torch.randint(len(self.latents), (count,))
        caption = self.caption_index[picture, torch.randint(self.caption_index.shape[1], (count,))]
        text = self.captions[caption].float()
        text[torch.rand(count) < dropped] = self.empty.float()
        return self.latents[picture].float(), text


def make_pool(
    sprites: Sprites, autoencoder: AutoencoderTiny, embed: TextEmbedder, config: DenoiserConfig
) -> Pool:
    """Draw ``config.scenes`` scenes; encode each picture and embed each caption once."""
    rng = random.Random(config.seed + 1)
    scenes = [sample_scene(rng) for _ in range(config.scenes)]
    pictures: dict[Scene, int] = {scene: index for index, scene in enumerate(dict.fromkeys(scenes))}
    texts: dict[str, int] = {}
    index = [
        [
            texts.setdefault(describe(scene, rng), len(texts))
            for _ in range(config.captions_per_scene)
        ]
        for scene in scenes
    ]
    unique = list(pictures)
    with torch.no_grad():
        latents = torch.cat(
            [
                autoencoder.encode(
                    to_tensor([sprites.compose(s) for s in unique[at : at + 32]])
                ).latents.half()
                for at in range(0, len(unique), 32)
            ]
        )
    return Pool(
        latents=LATENT_SCALE * latents[torch.tensor([pictures[scene] for scene in scenes])],
        captions=embed(list(texts)),
        caption_index=torch.tensor(index),
        empty=embed([""])[0],
        scenes=scenes,
    )


def sample_times(config: DenoiserConfig) -> Tensor:
    """Return ``batch`` times in 0 (clean) to 1 (noise).

    Logit-normal (Esser et al. 2024, arXiv:2403.03206), but a share is drawn close to pure noise:
    there the caption alone decides the picture, and sampling in a few steps stands or falls by that
    first guess.
    """
    times = torch.sigmoid(torch.randn(config.batch) + config.time_shift)
    first_guess = torch.rand(config.batch) < config.first_guess_share
    return torch.where(first_guess, 1.0 - 0.1 * torch.rand(config.batch), times)


@torch.no_grad()
def guess(model: UNet2DConditionModel, pool: Pool, count: int) -> Tensor:
    """Return what ``model`` makes of the first ``count`` latents of ``pool`` when they are noised.

    These guesses are a little wrong in the way that the model's own pictures are; a decoder that
    has seen them beside the true pictures puts right what it can.
    """
    guesses = []
    for start in range(0, count, 32):
        clean = pool.latents[start : min(start + 32, count)].float()
        text = pool.captions[pool.caption_index[start : start + len(clean), 0]].float()
        times = 0.3 + 0.65 * torch.rand(len(clean))
        spread = times[:, None, None, None]
        noisy = (1.0 - spread) * clean + spread * torch.randn_like(clean)
        guesses.append(model(noisy, times * 1000.0, text).sample)
    return torch.cat(guesses)


def train(
    model: UNet2DConditionModel,
    pool: Pool,
    config: DenoiserConfig,
    *,
    checkpoint: Callable[[UNet2DConditionModel, int], None] | None = None,
    checkpoint_minutes: float = 8.0,
    log: Log = print,
) -> UNet2DConditionModel:
    """Train ``model`` as long as ``config`` says and return its moving average.

    Args:
        model: new or half-trained denoiser, changed in place.
        pool: latents and caption embeddings.
        config: schedule; the learning rate falls along a cosine over ``minutes``.
        checkpoint: called with the moving average and the step count every ``checkpoint_minutes``.
        checkpoint_minutes: wall-clock minutes between two calls of ``checkpoint``.
        log: receives a line every 100 steps.
    """
    torch.manual_seed(config.seed)
    model.to(config.device)
    average = copy.deepcopy(model).eval()
    optimizer = torch.optim.AdamW(
        model.parameters(),
        lr=config.learning_rate,
        betas=(0.9, 0.99),
        weight_decay=0.01,
        fused=True,
    )
    model.train()
    started, step, recent, due = time.monotonic(), 0, 0.0, checkpoint_minutes
    while (done := share_done(started, config.minutes, step, config.steps)) < 1.0:
        cosine = 0.02 + 0.98 * 0.5 * (1.0 + math.cos(math.pi * done))
        for group in optimizer.param_groups:
            group["lr"] = config.learning_rate * min(1.0, (step + 1) / 100) * cosine
        drawn = pool.draw(config.batch, config.dropped_captions)
        clean, text = (part.to(config.device) for part in drawn)
        time_ = sample_times(config).to(config.device)
        spread = time_[:, None, None, None]
        noisy = (1.0 - spread) * clean + spread * torch.randn_like(clean)
        predicted = model(noisy, time_ * 1000.0, text).sample
        # An error of the clean latents divided by t is one of the velocity; the clamp keeps small t
        # from ruling.
        loss = (
            (predicted - clean).square().mean(dim=(1, 2, 3)) / time_.clamp(min=0.3).square()
        ).mean()
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        step += 1
        if step % 4 == 0:
            update_average(average, model, min(config.average_decay, (1 + step) / (10 + step)) ** 4)
        recent = loss.item() if step == 1 else 0.99 * recent + 0.01 * loss.item()
        if step % 100 == 0:
            minutes = (time.monotonic() - started) / 60.0
            log(
                f"denoiser step {step} {minutes:.1f} min loss {recent:.4f} "
                f"{step * config.batch / minutes / 60:.1f} pictures/s"
            )
            if checkpoint is not None and minutes >= due:
                due += checkpoint_minutes
                checkpoint(average, step)
    return average.cpu()

"""Training of the tiny klein in four stages: autoencoder, small pictures, large ones, guidance.

Noising is a straight line between latents and noise and the model predicts its direction (rectified
flow, Liu et al. 2022, arXiv:2209.03003). The last stage bakes classifier-free guidance in: the
student learns to say at once what the teacher says guided (Meng et al. 2023, arXiv:2210.03142), so
that a step costs one pass instead of two.

Each stage ends by the clock, and the state is written as it goes: a run that is cut off goes on
where it was.
"""

from __future__ import annotations

import copy
import math
import random
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import torch
from diffusers import Flux2KleinPipeline
from torch import Tensor, nn

from chopmark.generation.training.autoencoder import (
    picture_loss,
    psnr,
    to_tensor,
    update_average,
)
from chopmark.generation.training.captions import sample_scene
from chopmark.generation.training.klein import PROMPT_LENGTH, TEXT_LAYERS
from chopmark.generation.training.klein_data import KINDS, Example, Kind, sample_example

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from chopmark.generation.training.autoencoder import Log
    from chopmark.generation.training.klein_data import Draws

#: How often each kind is drawn.
_SHARES: Final[dict[Kind, float]] = {
    "picture": 0.64, "recolour": 0.09, "swap": 0.09, "add": 0.09, "combine": 0.09,
}  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Schedule:
    """How long and how hard each stage trains.

    Attributes:
        minutes: of each stage, in the order of :data:`STAGES`.
        steps: ends a stage after so many steps instead; for tests.
        batch: pictures a step, by stage.
        scenes: examples drawn for a stage of the denoiser.
        guidance: scale that is baked in.
        device: torch device.
    """

    minutes: tuple[float, float, float, float] = (4.5, 8.0, 7.5, 3.0)
    steps: int | None = None
    batch: tuple[int, int, int, int] = (48, 512, 192, 128)
    scenes: tuple[int, int] = (60_000, 24_000)
    learning_rates: tuple[float, float, float, float] = (1.5e-3, 1e-3, 5e-4, 1e-4)
    guidance: float = 2.5
    dropped_captions: float = 0.1
    average_decay: float = 0.999
    seed: int = 0
    device: str = "cuda"


#: The stock pipeline's own packing and positions, which have no public name.
_Stock: Any = Flux2KleinPipeline
STAGES: Final = ("autoencoder", "small", "large", "guidance")


@dataclass
class Examples:
    """Everything the denoiser draws from, encoded once: per kind, tokens of targets and references.

    Attributes:
        target: per kind (n, tokens, channels).
        references: per kind a list of tensors of the same shape, one for each reference.
        words: per kind (n,), rows of ``text``.
        text: (different captions, PROMPT_LENGTH, width); row 0 is the empty prompt.
        side: tokens along one side of a picture.
    """

    side: int
    text: Tensor
    target: dict[Kind, Tensor] = field(default_factory=dict)
    references: dict[Kind, list[Tensor]] = field(default_factory=dict)
    words: dict[Kind, Tensor] = field(default_factory=dict)


class Trainer:
    """Trains the parts of one pipeline.

    Args:
        pipeline: new, or half trained.
        drawers: what draws scenes for small and for large pictures.
        schedule: lengths and rates.
        state: file in which progress is kept.
        log: receives a line of news.
    """

    def __init__(
        self,
        pipeline: Flux2KleinPipeline,
        drawers: tuple[Draws, Draws],
        schedule: Schedule,
        *,
        state: Path,
        log: Log = print,
    ) -> None:
        self._pipeline = pipeline.to(schedule.device)
        self._drawers = drawers
        self._schedule = schedule
        self._state = state
        self._log = log
        self.finished: list[str] = []
        if state.exists():
            kept = torch.load(state, map_location=schedule.device, weights_only=True)
            pipeline.vae.load_state_dict(kept["vae"])
            pipeline.transformer.load_state_dict(kept["transformer"])
            self.finished = list(kept["finished"])
            log(f"going on after {', '.join(self.finished) or 'the start'}")

    def run(self, *, until: float = math.inf) -> bool:
        """Train stage after stage.

        Args:
            until: ``time.monotonic()`` after which no further stage begins.

        Returns:
            whether every stage is done.
        """
        for number, stage in enumerate(STAGES):
            if stage in self.finished:
                continue
            needed = 0.0 if self._schedule.steps else 60 * self._schedule.minutes[number]
            if time.monotonic() + needed > until:
                self._log(f"{stage} is left to the next call: it needs {needed / 60:.1f} minutes")
                return False
            if stage == "autoencoder":
                self.train_autoencoder()
            else:
                self.train_denoiser(number)
            self.finished.append(stage)
            self._keep()
        return True

    def _keep(self) -> None:
        part = self._state.with_suffix(".part")
        torch.save(
            {
                "vae": self._pipeline.vae.state_dict(),
                "transformer": self._pipeline.transformer.state_dict(),
                "finished": self.finished,
            },
            part,
        )
        part.replace(self._state)

    def train_autoencoder(self) -> None:
        """Train encoder and decoder together, then measure the latents that they agree on."""
        schedule, vae = self._schedule, self._pipeline.vae
        rng = random.Random(schedule.seed)
        pictures = self._pictures([sample_scene(rng) for _ in range(self._count(4000))], large=True)

        def step(size: int) -> tuple[Tensor, str]:
            real = pictures[torch.randint(len(pictures), (size,))].to(schedule.device)
            real = real.float().div(127.5).sub(1.0)
            posterior = vae.encode(real).latent_dist
            output = vae.decode(posterior.sample(), return_dict=False)[0]
            loss = picture_loss(output, real, 0.5) + 1e-6 * posterior.kl().mean()
            return loss, f"{psnr(output.detach(), real):.1f} dB"

        self._loop(0, vae, step)
        self._measure_latents(pictures)

    @torch.no_grad()
    def _measure_latents(self, pictures: Tensor) -> None:
        # The denoiser sees each channel with mean 0 and variance 1; the pipeline undoes that with
        # the numbers in this batch norm.
        vae, parts = self._pipeline.vae, []
        for start in range(0, min(len(pictures), 1024), 32):
            real = pictures[start : start + 32].to(self._schedule.device).float().div(127.5).sub(1)
            parts.append(_Stock._patchify_latents(vae.encode(real).latent_dist.mode()))
        latents = torch.cat(parts)
        vae.bn.running_mean.copy_(latents.mean(dim=(0, 2, 3)))
        vae.bn.running_var.copy_(latents.var(dim=(0, 2, 3)))

    def train_denoiser(self, number: int) -> None:
        """Train one of the three stages of the denoiser."""
        schedule, model = self._schedule, self._pipeline.transformer
        large = STAGES[number] != "small"
        examples = self.encode(self._count(schedule.scenes[1 if large else 0]), large=large)
        teacher = copy.deepcopy(model).eval() if STAGES[number] == "guidance" else None
        kinds, weights = list(_SHARES), list(_SHARES.values())
        rng = random.Random(schedule.seed + number)

        def step(size: int) -> tuple[Tensor, str]:
            kind = rng.choices(kinds, weights)[0]
            chosen = torch.randint(len(examples.target[kind]), (size,), device=schedule.device)
            clean = examples.target[kind][chosen].float()
            references = [tokens[chosen].float() for tokens in examples.references[kind]]
            words = examples.words[kind][chosen]
            if teacher is None:
                dropped = torch.rand(size, device=schedule.device) < schedule.dropped_captions
                words = words.masked_fill(dropped, 0)
            noise, time_ = torch.randn_like(clean), self._times(size)
            spread = time_[:, None, None]
            noisy = (1 - spread) * clean + spread * noise
            direction = self._predict(model, examples, noisy, time_, words, references)
            wanted = noise - clean
            if teacher is not None:
                with torch.no_grad():
                    said = self._predict(teacher, examples, noisy, time_, words, references)
                    unsaid = self._predict(teacher, examples, noisy, time_, words * 0, references)
                    wanted = unsaid + schedule.guidance * (said - unsaid)
            loss = (direction.float() - wanted).square().mean()
            return loss, kind

        self._loop(number, model, step)

    def _times(self, size: int) -> Tensor:
        """Draw times in 0 (clean) to 1 (noise), a part of them where a run of four steps looks."""
        device = self._schedule.device
        times = torch.sigmoid(torch.randn(size, device=device) + 0.4)
        visited = torch.tensor([1.0, 6 / 7, 2 / 3, 0.4], device=device)
        exact = visited[torch.randint(4, (size,), device=device)]
        return torch.where(torch.rand(size, device=device) < 0.4, exact, times)

    def _predict(
        self,
        model: Any,
        examples: Examples,
        noisy: Tensor,
        times: Tensor,
        words: Tensor,
        references: list[Tensor],
    ) -> Tensor:
        """Call the denoiser as the stock pipeline does."""
        grid = noisy.new_empty(1, 1, examples.side, examples.side)
        ids = _Stock._prepare_latent_ids(grid)
        if references:
            more = _Stock._prepare_image_ids([grid for _ in references])
            ids = torch.cat([ids, more], dim=1)
        text = examples.text[words].float()
        text_ids = _Stock._prepare_text_ids(text[:1])
        with torch.autocast(noisy.device.type, torch.bfloat16, enabled=noisy.device.type == "cuda"):
            said = model(
                hidden_states=torch.cat([noisy, *references], dim=1),
                timestep=times,
                guidance=None,
                encoder_hidden_states=text,
                txt_ids=text_ids.expand(len(noisy), -1, -1).to(noisy.device),
                img_ids=ids.expand(len(noisy), -1, -1).to(noisy.device),
                return_dict=False,
            )[0]
        predicted: Tensor = said[:, : noisy.shape[1]]
        return predicted

    @torch.no_grad()
    def encode(self, count: int, *, large: bool) -> Examples:
        """Draw and encode about ``count`` examples of all kinds."""
        rng = random.Random(self._schedule.seed + 7 + large)
        drawn: dict[Kind, list[Example]] = {
            kind: [sample_example(rng, kind) for _ in range(max(2, round(count * share)))]
            for kind, share in _SHARES.items()
        }
        captions = {"": 0}
        for rows in drawn.values():
            for row in rows:
                captions.setdefault(row.words, len(captions))
        examples = Examples(side=0, text=self._embed(list(captions)))
        for kind in KINDS:
            rows = drawn[kind]
            scenes = [row.target for row in rows]
            examples.target[kind] = self._tokens(scenes, large=large)
            examples.references[kind] = [
                self._tokens([row.references[place] for row in rows], large=large)
                for place in range(len(rows[0].references))
            ]
            words = [captions[row.words] for row in rows]
            examples.words[kind] = torch.tensor(words, device=self._schedule.device)
        examples.side = math.isqrt(examples.target["picture"].shape[1])
        self._log(f"{sum(map(len, drawn.values()))} examples, {len(captions)} captions")
        return examples

    def _tokens(self, scenes: Sequence[Any], *, large: bool) -> Tensor:
        vae, parts = self._pipeline.vae, []
        mean = vae.bn.running_mean.view(1, -1, 1, 1)
        deviation = torch.sqrt(vae.bn.running_var.view(1, -1, 1, 1) + vae.config.batch_norm_eps)
        for start in range(0, len(scenes), 2048):
            pictures = self._pictures(scenes[start : start + 2048], large=large)
            for at in range(0, len(pictures), 64):
                real = pictures[at : at + 64].to(self._schedule.device).float().div(127.5).sub(1)
                latents = _Stock._patchify_latents(vae.encode(real).latent_dist.mode())
                packed = _Stock._pack_latents((latents - mean) / deviation)
                parts.append(packed.to(torch.bfloat16))
        return torch.cat(parts)

    def _pictures(self, scenes: Sequence[Any], *, large: bool) -> Tensor:
        """Return (n, 3, side, side) as uint8; drawing takes threads, numpy lets them run."""
        from concurrent.futures import ThreadPoolExecutor

        drawer = self._drawers[1 if large else 0]
        with ThreadPoolExecutor() as pool:
            arrays = list(pool.map(drawer.compose, scenes))
        return to_tensor(arrays).add(1.0).mul(127.5).round().byte()

    def _embed(self, captions: list[str]) -> Tensor:
        pipeline, parts = self._pipeline, []
        for start in range(0, len(captions), 256):
            part = _Stock._get_qwen3_prompt_embeds(
                pipeline.text_encoder,
                pipeline.tokenizer,
                captions[start : start + 256],
                max_sequence_length=PROMPT_LENGTH,
                hidden_states_layers=TEXT_LAYERS,
            )
            parts.append(part.to(torch.bfloat16))
        return torch.cat(parts)

    def _count(self, wanted: int) -> int:
        return wanted if self._schedule.steps is None else min(wanted, 16)

    def _loop(
        self, number: int, model: nn.Module, step: Callable[[int], tuple[Tensor, str]]
    ) -> None:
        schedule, name = self._schedule, STAGES[number]
        torch.manual_seed(schedule.seed + number)
        average = copy.deepcopy(model)
        rate = schedule.learning_rates[number]
        optimizer = torch.optim.AdamW(
            model.parameters(), lr=rate, betas=(0.9, 0.98), weight_decay=0.01
        )
        model.train()
        started, done, taken, recent = time.monotonic(), 0.0, 0, 0.0
        while done < 1.0:
            warm = min(1.0, (taken + 1) / 200)
            for group in optimizer.param_groups:
                group["lr"] = rate * warm * (0.03 + 0.97 * 0.5 * (1 + math.cos(math.pi * done)))
            loss, note = step(schedule.batch[number])
            optimizer.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            taken += 1
            update_average(average, model, min(schedule.average_decay, (1 + taken) / (10 + taken)))
            if taken % 100 == 0 or taken == 1:
                recent = loss.item() if taken == 1 else 0.7 * recent + 0.3 * loss.item()
                minutes = (time.monotonic() - started) / 60
                seen = taken * schedule.batch[number]
                self._log(
                    f"{name} step {taken} {minutes:.1f} min loss {recent:.4f} {note} "
                    f"{seen / max(minutes, 1e-3) / 60:.0f}/s"
                )
            done = (
                taken / schedule.steps
                if schedule.steps
                else (time.monotonic() - started) / (60 * schedule.minutes[number])
            )
        model.load_state_dict(average.state_dict())
        model.eval()

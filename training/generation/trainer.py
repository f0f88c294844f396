"""Training of the embedded model in four stages: autoencoder, small pictures, large ones, guidance.

Each stage ends by the clock, and the state is kept when it has: a run that is cut off goes on with
the stage that it was in.
"""

from __future__ import annotations

import copy
import math
import time
from typing import TYPE_CHECKING, Final

import torch
from PIL import Image
from torch import Tensor, nn

from training.generation.autoencoder import STOCK, autoencoder_step, measure_latents
from training.generation.canvas import Canvas
from training.generation.denoiser import CYCLE, PART, Batch, Pool, encode_pool, flow_loss, sample
from training.generation.muon import Muon
from training.generation.prepare import SPRITES, TextEncoder, load_examples
from training.generation.warm import compile_blocks

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable
    from pathlib import Path

    from diffusers import Flux2KleinPipeline

    from training.generation.autoencoder import Log
    from training.generation.schedule import Schedule

STAGES: Final = ("autoencoder", "small", "large", "guidance")


class Trainer:
    """Trains the parts of one pipeline.

    Args:
        pipeline: new; its text encoder is not used.
        data: folder that :func:`.prepare.prepare` filled.
        out: folder for state and pictures.
        schedule: lengths and rates.
        log: receives a line of news.
    """

    def __init__(
        self,
        pipeline: Flux2KleinPipeline,
        data: Path,
        out: Path,
        schedule: Schedule,
        *,
        log: Log = print,
    ) -> None:
        self.vae = pipeline.vae.to(schedule.device)
        self.model = pipeline.transformer.to(schedule.device)
        self._schedule = schedule
        self._log = log
        self._out = out
        self._state = out / "state.pt"
        self.finished: list[str] = []
        self._encoded: tuple[int, Pool] | None = None
        self._format = torch.contiguous_format
        self._compiles = False
        self._compiling: subprocess.Popen[bytes] | None = None
        if self._state.exists():
            kept = torch.load(self._state, map_location=schedule.device, weights_only=True)
            self.vae.load_state_dict(kept["vae"])
            self.model.load_state_dict(kept["transformer"])
            self.finished = list(kept["finished"])
            log(f"going on after {', '.join(self.finished) or 'the start'}")
        self._canvas = Canvas.load(data / SPRITES, device=schedule.device)
        self._examples = load_examples(data).first(schedule.examples).to(schedule.device)
        self._text = TextEncoder(data, device=schedule.device)
        self._optimizers = _optimizers(self.model, schedule.rate[1])
        log(f"{len(self._examples.kinds)} examples of {len(self._examples.scenes)} scenes")

    def run(self, warm: Callable[[], subprocess.Popen[bytes]] | None = None) -> None:
        """Train stage after stage.

        Args:
            warm: starts a process that compiles the denoiser's blocks, for this one to find done.
        """
        torch.set_float32_matmul_precision("high")
        if warm is not None and self._schedule.compile:
            self._compiling = warm()
        for number, stage in enumerate(STAGES):
            if stage in self.finished:
                continue
            if number == 0:
                self._train_autoencoder()
            else:
                self._train_denoiser(number)
            self.finished.append(stage)
            self.keep(self._state)

    def keep(self, file: Path) -> None:
        """Write weights and progress."""
        part = file.with_suffix(".part")
        parts = {"vae": self.vae.state_dict(), "transformer": self.model.state_dict()}
        torch.save({**parts, "finished": self.finished}, part)
        part.replace(file)

    def _train_autoencoder(self) -> None:
        schedule, device = self._schedule, self._schedule.device
        scenes = self._examples.scenes

        def draw(count: int, scale: int) -> Tensor:
            rows = scenes[torch.randint(len(scenes), (count,), device=device)]
            return self._canvas.compose(rows, scale=scale).contiguous(memory_format=self._format)

        def step(taken: int) -> tuple[Tensor, Callable[[], str]]:
            with self._autocast():
                return autoencoder_step(self.vae, draw, schedule.batch[0], taken)

        self._choose_format(step)
        rate = schedule.rate[0]
        optimizer = torch.optim.AdamW(
            self.vae.parameters(), lr=rate, betas=(0.9, 0.98), weight_decay=0.01, fused=True
        )
        self._loop(
            0, self.vae, [optimizer], step, lambda done: 0.5 + 0.5 * math.cos(math.pi * done)
        )
        real = draw(min(1024, len(scenes)), 2)
        measure_latents(self.vae, real)
        with torch.no_grad():
            real = real[: schedule.looked_at]
            seen = self.vae.decode(self.vae.encode(real).latent_dist.mode()).sample
        self._sheet(torch.stack([real, seen], dim=1).flatten(0, 1), "autoencoder.png")

    def _choose_format(self, step: Callable[[int], tuple[Tensor, Callable[[], str]]]) -> None:
        """Take the layout of pictures in memory with which this device is faster."""
        if not self._schedule.device.startswith("cuda"):
            return
        torch.backends.cudnn.benchmark = True
        took = {}
        for layout in (torch.contiguous_format, torch.channels_last):
            self._format = layout
            self.vae.to(memory_format=layout)
            for taken in range(18):
                if taken == 6:
                    torch.cuda.synchronize()
                    started = time.monotonic()
                step(taken)[0].backward()  # type: ignore[no-untyped-call]
            torch.cuda.synchronize()
            took[layout] = (time.monotonic() - started) / 12
        self.vae.zero_grad(set_to_none=True)
        self._format = min(took, key=lambda layout: took[layout])
        self.vae.to(memory_format=self._format)
        self._log(", ".join(f"{layout} {1e3 * t:.1f} ms" for layout, t in took.items()))

    def _train_denoiser(self, number: int) -> None:
        schedule, stage = self._schedule, STAGES[number]
        scale = 1 if stage == "small" else 2
        pool = self._pool(scale)
        teacher = copy.deepcopy(self.model).eval() if stage == "guidance" else None
        if self._compiling is not None:
            self._compiles = self._compiling.wait() == 0
            self._log("compiled" if self._compiles else "compiling failed: going on without")
            self._compiling = None
        if self._compiles:
            for model in (self.model, teacher):
                if model is not None:
                    compile_blocks(model)
        self._look(pool, f"{stage}-before")

        def step(taken: int) -> tuple[Tensor, Callable[[], str]]:
            references = CYCLE[taken % len(CYCLE)]
            size = max(1, round(schedule.batch[scale] * PART[references]))
            dropped = 0.0 if teacher is not None else schedule.dropped_captions
            batch = Batch.draw(pool, size, references, dropped=dropped)
            loss = flow_loss(self.model, batch, teacher=teacher, guidance=schedule.guidance)
            return loss, lambda: f"{references} references"

        def fall(done: float) -> float:
            if stage == "small":
                return 1.0
            if stage == "guidance":
                return 0.12 * (1 - done) + 0.003
            return 1.0 if done < 0.4 else 1.0 - 0.88 * (done - 0.4) / 0.6

        def look() -> None:
            self._look(pool, f"{stage}-{time.strftime('%H%M%S')}")

        self._loop(number, self.model, self._optimizers, step, fall, look)
        self._look(pool, stage)

    def _pool(self, scale: int) -> Pool:
        """Encode everything, unless the stage before did."""
        if self._encoded is None or self._encoded[0] != scale:
            self._encoded = None  # the memory of the one before is given back first
            started = time.monotonic()
            pool = encode_pool(self._examples, self._canvas, self.vae, self._text, scale=scale)
            self._log(f"encoded {tuple(pool.latents.shape)} in {time.monotonic() - started:.1f} s")
            self._encoded = (scale, pool)
        return self._encoded[1]

    def _look(self, pool: Pool, name: str) -> None:
        """Draw the prompts of the card, and one edit of each number of references."""
        prompts = self._examples.prompts[: self._schedule.looked_at]
        batch = Batch.draw(pool, len(prompts), 0, dropped=0.0)
        with self._autocast():
            batch.words = pool.text(prompts).float()
        self.model.eval()
        # Not worth compiling for these few.
        with torch.compiler.set_stance("force_eager"):
            tokens = [sample(self.model, batch)]
            for references in (1, 2):
                edit = Batch.draw(pool, len(prompts) // 2, references, dropped=0.0)
                tokens += [*edit.references, sample(self.model, edit), edit.clean]
        self.model.train()
        self._sheet(self._decode(torch.cat(tokens), pool.side), f"{name}.png")

    @torch.no_grad()
    def _decode(self, tokens: Tensor, side: int) -> Tensor:
        bn = self.vae.bn
        grid = tokens.mT.reshape(len(tokens), -1, side, side)
        deviation = torch.sqrt(bn.running_var + self.vae.config.batch_norm_eps)
        grid = grid * deviation[:, None, None] + bn.running_mean[:, None, None]
        pictures: Tensor = self.vae.decode(STOCK._unpatchify_latents(grid)).sample
        return pictures

    def _sheet(self, pictures: Tensor, name: str, *, columns: int = 12) -> None:
        small = nn.functional.interpolate(pictures.float(), size=(128, 128), mode="area")
        small = small.add(1).mul(127.5).round().clamp(0, 255).byte().cpu()
        sheet = Image.new("RGB", (columns * 128, -(-len(small) // columns) * 128), "white")
        for number, picture in enumerate(small.permute(0, 2, 3, 1).numpy()):
            row, column = divmod(number, columns)
            sheet.paste(Image.fromarray(picture), (column * 128, row * 128))
        sheet.save(self._out / name)

    def _autocast(self) -> torch.autocast:
        name = self._schedule.device.partition(":")[0]
        return torch.autocast(name, torch.bfloat16, enabled=name == "cuda")

    def _loop(
        self,
        number: int,
        model: nn.Module,
        optimizers: list[torch.optim.Optimizer],
        step: Callable[[int], tuple[Tensor, Callable[[], str]]],
        fall: Callable[[float], float],
        look: Callable[[], None] | None = None,
    ) -> None:
        schedule, name = self._schedule, STAGES[number]
        rate = schedule.rate[min(number, 1)]
        torch.manual_seed(schedule.seed + number)
        parameters = list(model.parameters())
        average = [parameter.detach().clone() for parameter in parameters]
        model.train()
        started, done, taken, looked = time.monotonic(), 0.0, 0, time.monotonic()
        while done < 1.0:
            for optimizer in optimizers:
                for group in optimizer.param_groups:
                    group["lr"] = rate * min(1.0, (taken + 1) / 100) * fall(done)
            loss, note = step(taken)
            loss.backward()  # type: ignore[no-untyped-call]
            nn.utils.clip_grad_norm_(parameters, 1.0)
            for optimizer in optimizers:
                optimizer.step()
                optimizer.zero_grad(set_to_none=True)
            taken += 1
            decay = min(schedule.average_decay, (1 + taken) / (10 + taken))
            torch._foreach_lerp_(average, [p.detach() for p in parameters], 1 - decay)
            if taken == 1 or taken % 200 < 3:
                minutes = (time.monotonic() - started) / 60
                self._log(
                    f"{name} step {taken} {minutes:.2f} min, "
                    f"{60 * minutes / taken * 1e3:.1f} ms a step, loss {loss.item():.4f}, {note()}"
                )
            if look is not None and time.monotonic() - looked > 75:
                looked = time.monotonic()
                look()
            done = (
                taken / schedule.steps
                if schedule.steps
                else (time.monotonic() - started) / (60 * schedule.minutes[number])
            )
        with torch.no_grad():
            for parameter, value in zip(parameters, average, strict=True):
                parameter.copy_(value)
        model.eval()
        self._log(f"{name} done after {taken} steps")


def _optimizers(model: nn.Module, rate: float) -> list[torch.optim.Optimizer]:
    """Muon for the blocks' matrices, AdamW for the rest."""
    matrices = [
        parameter
        for name, parameter in model.named_parameters()
        if "transformer_blocks" in name and parameter.ndim == 2
    ]
    chosen = {id(parameter) for parameter in matrices}
    rest = [parameter for parameter in model.parameters() if id(parameter) not in chosen]
    device = next(model.parameters()).device.type
    return [
        Muon(matrices, lr=rate),
        torch.optim.AdamW(
            rest, lr=rate, betas=(0.9, 0.98), weight_decay=0.01, fused=device == "cuda"
        ),
    ]

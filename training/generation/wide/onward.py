"""Goes on from finished weights with a wide training set, on a CPU if need be.

The text encoder and the autoencoder stay as they are. On what the model was taught before it is
asked to say what it said before, so that nothing is forgotten; on what is new it learns the truth,
pushed away from what it says without words as far as guidance would push it, since guidance is
baked into these weights (Meng et al. 2023, arXiv:2210.03142).
"""

from __future__ import annotations

import copy
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import torch
from torch import Tensor, nn

from training.generation import klein
from training.generation.canvas import Canvas, number_of
from training.generation.denoiser import CYCLE, PART, Batch, Pool, encode_pool, flow_times, predict
from training.generation.prepare import SPRITES, Examples, TextEncoder, load_examples
from training.generation.vocabulary import BACKGROUNDS
from training.generation.wide.scenes import FURTHER

if TYPE_CHECKING:
    from pathlib import Path

    from training.generation.autoencoder import Log

__all__ = ["Course", "go_on", "is_wide", "wanted"]

_KEPT_EVERY: Final = 180  # seconds


@dataclass(frozen=True, kw_only=True)
class Course:
    """How a model goes on.

    Attributes:
        minutes: in all, encoding included.
        steps: at most, for tests.
        batch: pictures a step.
        rate: learning rate, rising for 50 steps and falling to a twentieth.
        new: share of steps with wide pictures.
        guidance: scale that new things learn at once.
        scenes: pictures of each training set, the old and the wide one, at most.
        average_decay: of the weights that are kept.
        half: compute in bfloat16, which wants a processor that multiplies in it.
    """

    minutes: float = 40.0
    steps: int | None = None
    batch: int = 16
    rate: float = 2e-4
    new: float = 0.6
    guidance: float = 1.5
    scenes: tuple[int, int] = (3_000, 9_000)
    average_decay: float = 0.997
    half: bool = False
    seed: int = 0


def is_wide(scenes: Tensor) -> Tensor:
    """Tell of rows of scenes, (n, 5), which show what the vocabulary alone cannot."""
    return (
        (scenes[:, 0] >= FURTHER)
        | (scenes[:, 3] >= len(BACKGROUNDS))
        | (scenes[:, 2] >= number_of("above"))
    )


def _part(examples: Examples, rows: Tensor, count: int) -> Examples:
    """Return some of the examples, drawn evenly."""
    return Examples(
        scenes=examples.scenes,
        kinds=examples.kinds[rows],
        target=examples.target[rows],
        references=examples.references[rows],
        tokens=examples.tokens[rows],
        prompts=examples.prompts,
        silence=examples.silence,
    ).first(min(count, len(rows) - 1))


def wanted(
    teacher: Any,
    batch: Batch,
    noisy: Tensor,
    times: Tensor,
    truth: Tensor,
    *,
    new: bool,
    scale: float,
) -> Tensor:
    """Return what the model is to say.

    Args:
        teacher: the weights it started from.
        batch: words and references.
        noisy: (n, tokens, channels).
        times: (n,).
        truth: the direction from the clean picture to the noise.
        new: learn the truth, guided; else what the teacher says.
        scale: of guidance.
    """
    with torch.no_grad():
        if not new:
            return predict(teacher, batch, noisy, times)
        if scale == 1.0:
            return truth
        unsaid = predict(teacher, batch, noisy, times, silent=True)
        return unsaid + scale * (truth - unsaid)


def go_on(model: Path, data: Path, out: Path, course: Course, *, log: Log = print) -> Path:
    """Train on, and write ``out/embedded``: packed weights as the repository carries them.

    Args:
        model: the unpacked embedded model, a diffusers folder.
        data: a wide training set.
        out: for weights; the averaged ones are also kept on the way, every three minutes.
        course: how.
        log: receives lines of news.
    """
    started = time.monotonic()
    out.mkdir(parents=True, exist_ok=True)
    pipeline = klein.load(model)
    student = pipeline.transformer
    teacher = copy.deepcopy(student).eval().requires_grad_(requires_grad=False)
    old, new = _pools(pipeline, data, course)
    log(f"{len(old.latents)} and {len(new.latents)} pictures after {_minutes(started):.1f} min")
    torch.manual_seed(course.seed)
    dice = torch.Generator().manual_seed(course.seed)
    parameters = list(student.parameters())
    optimizer = torch.optim.AdamW(parameters, lr=course.rate, betas=(0.9, 0.98), weight_decay=0.01)
    average = [parameter.detach().clone() for parameter in parameters]
    student.train()
    taken, kept, begun, total = 0, time.monotonic(), _minutes(started), {True: 0.3, False: 0.3}
    while True:
        done = (_minutes(started) - begun) / max(1e-3, course.minutes - begun)
        if course.steps is not None:
            done = taken / course.steps
        if done >= 1:
            break
        for group in optimizer.param_groups:
            group["lr"] = course.rate * min(1.0, (taken + 1) / 50) * (1.0 - 0.95 * done)
        fresh = bool(torch.rand((), generator=dice) < course.new)
        with torch.autocast("cpu", torch.bfloat16, enabled=course.half):
            loss = _step(student, teacher, new if fresh else old, course, taken, fresh=fresh)
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        taken += 1
        total[fresh] += 0.05 * (loss.item() - total[fresh])
        decay = min(course.average_decay, (1 + taken) / (10 + taken))
        torch._foreach_lerp_(average, [p.detach() for p in parameters], 1 - decay)
        if taken % 20 == 0:
            log(
                f"step {taken} {_minutes(started):.1f} min, old {total[False]:.4f}, "
                f"new {total[True]:.4f}"
            )
        if time.monotonic() - kept > _KEPT_EVERY:
            kept = time.monotonic()
            _keep(student, average, out / "average.pt")
    _keep(student, average, out / "average.pt")
    student.load_state_dict(torch.load(out / "average.pt", weights_only=True))
    size = klein.export(pipeline, out / "embedded", klein.KleinConfig())
    log(f"{taken} steps, packed weights {size / 2**20:.1f} MiB")
    return out / "embedded"


def _step(
    student: Any, teacher: Any, pool: Pool, course: Course, taken: int, *, fresh: bool
) -> Tensor:
    references = 0 if fresh else CYCLE[taken % len(CYCLE)]
    size = max(1, round(course.batch * PART[references]))
    batch = Batch.draw(pool, size, references, dropped=0.0 if fresh else 0.08)
    noise = torch.randn_like(batch.clean)
    times = flow_times(size, noise.device)
    spread = times[:, None, None]
    noisy = (1 - spread) * batch.clean + spread * noise
    target = wanted(
        teacher, batch, noisy, times, noise - batch.clean, new=fresh, scale=course.guidance
    )
    return (predict(student, batch, noisy, times) - target).square().mean()


def _pools(pipeline: Any, data: Path, course: Course) -> tuple[Pool, Pool]:
    canvas = Canvas.load(data / SPRITES)
    examples, text = load_examples(data), TextEncoder(data)
    wide = is_wide(examples.scenes[examples.target])
    pools = []
    for chosen, count in zip((~wide, wide), course.scenes, strict=True):
        part = _part(examples, chosen.nonzero()[:, 0], count)
        with torch.autocast("cpu", torch.bfloat16, enabled=course.half):
            pools.append(encode_pool(part, canvas, pipeline.vae.eval(), text, scale=2))
    return pools[0], pools[1]


def _keep(model: nn.Module, average: list[Tensor], file: Path) -> None:
    names = [name for name, _ in model.named_parameters()]
    state = {**model.state_dict(), **dict(zip(names, average, strict=True))}
    part = file.with_suffix(".part")
    torch.save(state, part)
    part.replace(file)


def _minutes(since: float) -> float:
    return (time.monotonic() - since) / 60

"""Train the sentence encoder: multilingual-e5-small, with labels, in all languages at once.

The word vectors and the lowest layers stay as they are, so that languages lie together as they
did; the rest learns the categories. Training goes on from ``WORK`` when it was stopped, so that a
shared machine can be used in pieces.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from chopmark.safety.categories import MODEL_CATEGORIES
from chopmark.safety.text.e5_file import WIDTH, E5File
from chopmark.safety.text.tokens import Tokens
from training.safety.e5 import batch_of, open_model

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from numpy.random import Generator

    from training.safety.mixture import Reading

__all__ = ["SHARP", "train_encoder"]

_LONGEST: Final[int] = 44
_BATCH: Final[int] = 48
_RATE: Final[float] = 7e-5
_HEAD_RATE: Final[float] = 2e-3
_FROZEN: Final[int] = 4
#: Vectors have length one; a linear layer on them needs room for a sharp decision.
SHARP: Final[float] = 8.0
_WARM: Final[int] = 40


def train_encoder(
    passes: Sequence[Callable[[Generator], list[Reading]]],
    work: Path,
    *,
    minutes: float,
    seed: int = 0,
    start: dict[str, np.ndarray[Any, Any]] | None = None,
) -> dict[str, np.ndarray[Any, Any]] | None:
    """Train for some minutes; return the layers when every pass was read, else nothing.

    Each pass has its own optimizer and begins with the rate of learning at its highest. A pass of
    number n is drawn with the seed n + 1 + ``seed``: same readings, same layers on one kind of
    processor.

    Args:
        passes: Each returns its readings, in any order; they are read once.
        work: Where the state is kept.
        minutes: Then the state is kept, and the next call goes on from there.
        seed: Another one draws other readings, in another order.
        start: Layers, ``head.weight`` and ``head.bias`` to begin with; the package's by default.
    """
    import torch

    torch.manual_seed(1)
    torch.set_num_threads(1)
    file = E5File.open()
    learner = _Learner(file)
    if start is not None:
        learner.begin_with(start)
    work.mkdir(parents=True, exist_ok=True)
    until = time.monotonic() + minutes * 60
    for number, readings in enumerate(passes):
        kept = work / f"pass{number + 1}.pt"
        if (work / f"pass{number + 2}.pt").is_file():
            continue
        rng = np.random.default_rng(number + 1 + seed)
        if not learner.read(readings(rng), kept, rng=rng, until=until):
            return None
    return {name: value.numpy() for name, value in learner.model.state_dict().items()}


class _Learner:
    """The model, the head that it learns with, and how both learn."""

    def __init__(self, file: E5File) -> None:
        import torch

        self._file, self._tokens = file, Tokens(file)
        self.model = open_model(file)
        self.head = torch.nn.Linear(WIDTH, len(MODEL_CATEGORIES))
        torch.nn.init.constant_(self.head.bias, -3.0)
        for part in (self.model.embeddings, *list(self.model.encoder.layer)[:_FROZEN]):
            part.requires_grad_(requires_grad=False)
        self._learns = [value for value in self.model.parameters() if value.requires_grad]

    def begin_with(self, start: dict[str, np.ndarray[Any, Any]]) -> None:
        """Take these layers and this head, of which places beyond the last are not used."""
        import torch

        for part, prefix in ((self.model, ""), (self.head, "head.")):
            for name, value in part.state_dict().items():
                one = torch.from_numpy(start[prefix + name].astype(np.float32))
                value[: len(one)].copy_(one)

    def read(
        self, readings: Sequence[Reading], kept: Path, *, rng: Generator, until: float
    ) -> bool:
        """Read all of one pass; without the time for it keep the state and return false."""
        import torch

        ids = [
            self._tokens.frame(self._tokens.read(one.text).ids[:_LONGEST], edit=one.edit)
            for one in readings
        ]
        target = torch.from_numpy(np.stack([one.target for one in readings]))
        mask = torch.from_numpy(np.stack([one.mask for one in readings]))
        positive, negative = (target * mask).sum(0), ((1 - target) * mask).sum(0)
        boost = torch.sqrt(negative / positive.clamp(min=1.0)).clamp(1.0, 6.0)
        optimizer = torch.optim.AdamW(
            [
                {"params": self._learns, "lr": _RATE},
                {"params": self.head.parameters(), "lr": _HEAD_RATE},
            ],
            weight_decay=0.01,
        )
        plan = _plan([len(one) for one in ids], rng)
        schedule = torch.optim.lr_scheduler.LambdaLR(
            optimizer, lambda step: min(1.0, (step + 1) / _WARM) * max(0.05, 1 - step / len(plan))
        )
        parts = {"m": self.model, "h": self.head, "optimizer": optimizer, "schedule": schedule}
        done = 0
        if kept.is_file():
            state = torch.load(kept, weights_only=True)
            for name, part in parts.items():
                if name in state:
                    part.load_state_dict(state[name])
            done = state.get("done", len(plan))
        print(f"{len(readings)} readings, {len(plan)} steps, {done} done", flush=True)
        self.model.train()
        lost: list[float] = []
        while done < len(plan) and time.monotonic() < until:
            batch = plan[done]
            words, there = batch_of(self._file, [ids[at] for at in batch])
            # bfloat16 is much faster where the processor has it, and good enough for gradients.
            with torch.autocast("cpu", torch.bfloat16):
                states = self.model(inputs_embeds=words, attention_mask=there).last_hidden_state
            mean = (states.float() * there[..., None]).sum(1) / there.sum(1, keepdim=True)
            logits = self.head(torch.nn.functional.normalize(mean, dim=1) * SHARP)
            loss = torch.nn.functional.binary_cross_entropy_with_logits(
                logits, target[batch], weight=mask[batch], pos_weight=boost, reduction="sum"
            ) / len(batch)
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
            optimizer.step()
            schedule.step()
            lost.append(float(loss.detach()))
            done += 1
            if done % 50 == 0:
                print(f"  step {done} of {len(plan)}: loss {np.mean(lost[-50:]):.4f}", flush=True)
            if done % 50 == 0 or done == len(plan) or time.monotonic() >= until:
                state = {name: part.state_dict() for name, part in parts.items()}
                torch.save({**state, "done": done}, kept)
        return done == len(plan)


def _plan(lengths: Sequence[int], rng: Generator) -> list[list[int]]:
    """Return all indices once, in batches of like length (little padding), in random order."""
    order = np.argsort([length + rng.uniform(0, 4) for length in lengths]).tolist()
    cut = [order[at : at + _BATCH] for at in range(0, len(order), _BATCH)]
    rng.shuffle(cut)
    return cut

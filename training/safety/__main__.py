"""``python -m training.safety --data DIR --out DIR [--cache FILE] [--seed N]``.

``--multilingual`` fits the head that stands on multilingual-e5-small instead.

Reads ``train.jsonl`` and ``dev.jsonl`` of the data folder, writes ``prompt_head.safetensors`` and
``training.json`` (seed, data hashes, counts, numbers on the development set). The sentence encoder
is frozen; the fit takes a few minutes on one core once the texts are encoded.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save_file

from chopmark.safety.categories import MODEL_CATEGORIES
from chopmark.safety.text.encoder import SentenceEncoder
from chopmark.safety.text.head import PromptHead
from chopmark.safety.text.multilingual import E5Encoder
from training.safety.data import file_sha256, read_rows
from training.safety.embed import VectorStore
from training.safety.run import train


def main() -> None:
    """Train, calibrate, write."""
    parser = argparse.ArgumentParser(prog="python -m training.safety")
    parser.add_argument("--data", type=Path, required=True, help="train.jsonl and dev.jsonl")
    parser.add_argument("--out", type=Path, required=True, help="where the head is written")
    parser.add_argument("--cache", type=Path, help="a file that keeps sentence vectors")
    parser.add_argument("--seed", type=int, default=20261123)
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument(
        "--multilingual", action="store_true", help="the head for languages other than English"
    )
    parser.add_argument(
        "--keep", action="store_true", help="keep the head in --out, fix its operating points again"
    )
    options = parser.parse_args()
    rows, dev = (read_rows(options.data / f"{part}.jsonl") for part in ("train", "dev"))
    name = "multilingual" if options.multilingual else "prompt"
    file = options.out / f"{name}_head.safetensors"
    store = VectorStore(
        options.cache, encoder=E5Encoder if options.multilingual else SentenceEncoder
    )
    fitted, head, said = train(
        rows,
        dev,
        store=store,
        seed=options.seed,
        epochs=options.epochs,
        multilingual=options.multilingual,
        kept=PromptHead.load(file) if options.keep else None,
    )
    report = {
        "seed": options.seed,
        "epochs": options.epochs,
        "data": {p: file_sha256(options.data / f"{p}.jsonl") for p in ("train", "dev")},
        "rows": {"train": len(rows), "dev": len(dev)},
        **said,
    }
    options.out.mkdir(parents=True, exist_ok=True)
    tensors: dict[str, np.ndarray[Any, Any]] = {
        name: np.ascontiguousarray(value, np.float16) for name, value in fitted.items()
    }
    tensors |= {"scale": head.scale, "shift": head.shift}
    save_file(
        tensors,
        file,
        metadata={"categories": json.dumps(MODEL_CATEGORIES), "seed": str(options.seed)},
    )
    told = "multilingual_training.json" if options.multilingual else "training.json"
    (options.out / told).write_text(json.dumps(report, indent=2) + "\n", "utf-8")
    print(json.dumps(report, indent=2))


if __name__ == "__main__":
    main()

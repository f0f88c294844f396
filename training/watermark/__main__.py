"""``python -m training.watermark --out provenance/watermark/lattice/weights``.

Marks pictures that the benchmark does not measure with (``python -m benchmarks.pictures`` and the
benchmark of the watermark fetch them), trains the listener on pieces of them, and writes
``listener.onnx`` and ``listener.json``. Some two minutes of CPU for the marks, one for each own
picture, and ``--minutes`` for the network. The digest in ``lattice/_listener.py`` must then be
changed by hand. Two runs give different weights: how many steps fit into the time differs.
"""

from __future__ import annotations

import argparse
import hashlib
import json
from pathlib import Path

import cv2
import torch

from training.watermark.marks import SHARES, kinds, struck
from training.watermark.network import export, train


def main() -> None:
    """Mark, train, write."""
    parser = argparse.ArgumentParser(prog="python -m training.watermark")
    parser.add_argument("--out", type=Path, required=True, help="where the weights are written")
    parser.add_argument("--minutes", type=float, default=8.5, help="of CPU, for the network")
    options = parser.parse_args()
    cv2.setNumThreads(1)
    torch.set_num_threads(1)
    sets = {}
    for seed, (kind, some) in enumerate(kinds().items()):
        sets[kind] = list(struck(some, seed))
        print(f"{kind}: {len(sets[kind])} marked", flush=True)
    network, told = train(sets, list(SHARES.values()), minutes=options.minutes)
    options.out.mkdir(parents=True, exist_ok=True)
    file = options.out / "listener.onnx"
    export(network, file)
    facts = {
        "pictures": {kind: len(some) for kind, some in sets.items()},
        "shares": SHARES,
        "cpu_minutes": options.minutes,
        "parameters": sum(each.numel() for each in network.parameters()),
        "agreement_every_50_steps": told,
        "sha256": hashlib.sha256(file.read_bytes()).hexdigest(),
    }
    text = json.dumps(facts, indent=1) + "\n"
    file.with_suffix(".json").write_text(text, encoding="utf-8")
    print(f"{file}: {file.stat().st_size:,} bytes, {facts['sha256']}")


if __name__ == "__main__":
    main()

"""``python -m training.safety --data DIR --work DIR --out safety/weights``.

Trains the prompt guard's encoder and everything that stands on it, from the labelled rows of the
data folder (``train.jsonl``, ``dev.jsonl``, ``captions-multilingual.jsonl``) and from the rows in
this folder. It stops after ``--minutes`` and goes on from the work folder when it is called
again. With ``--onward`` it begins with the layers and the head that lie in ``--out`` and reads the
last pass only, for rows that were added since; ``--draws`` says how often that pass is drawn anew
in one, and ``--seed`` which draws these are. ``--mean`` takes the mean of several such sittings.
Writes ``prompt_encoder.onnx``,
``prompt_head.safetensors`` and ``training.json`` (seeds, hashes of the data, counts, figures on
rows that were not trained on).
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from safetensors.numpy import load_file, save_file

from chopmark.safety.categories import MODEL_CATEGORIES
from chopmark.safety.text.encoder import SentenceEncoder
from training.safety.calibrate import calibrate, groups_of
from training.safety.data import Row, file_sha256, held_out, read_rows
from training.safety.embed import VectorStore
from training.safety.encoder import SHARP, train_encoder
from training.safety.mean import mean_of
from training.safety.mixture import caption_rows, first_pass, form_of, second_pass, third_pass
from training.safety.own_languages import garment_rows, own_rows
from training.safety.report import left_out, reached, write_card
from training.safety.scary import CHECK, scary_rows
from training.safety.screen import screen_rows, screened_looks, train_screen
from training.safety.short import short_rows

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

_FILES = ("train", "dev", "captions-multilingual")
_SEED = 20261130


def main() -> None:
    """Train, export, calibrate, write."""
    parser = argparse.ArgumentParser(prog="python -m training.safety")
    parser.add_argument("--data", type=Path, required=True, help="where the labelled rows are")
    parser.add_argument("--work", type=Path, required=True, help="where the state is kept")
    parser.add_argument("--out", type=Path, required=True, help="where the models are written")
    parser.add_argument(
        "--minutes", type=float, default=600.0, help="then stop; call again to go on"
    )
    parser.add_argument(
        "--onward",
        action="store_true",
        help="begin with the models in OUT, read the last pass only",
    )
    parser.add_argument("--draws", type=int, default=1, help="how often the last pass is drawn")
    parser.add_argument("--seed", type=int, default=0, help="another one draws other readings")
    parser.add_argument(
        "--mean",
        type=Path,
        nargs="+",
        default=[],
        metavar="WORK",
        help="train nothing: the mean of the models in OUT and of these sittings of --onward",
    )
    options = parser.parse_args()
    rows = read_rows(options.data / "train.jsonl")
    captions, check = caption_rows(options.data / "captions-multilingual.jsonl")
    layers = options.work / "encoder.safetensors"
    if options.mean and not layers.is_file():
        _keep_mean(options.out, options.mean, options.work)
    if not layers.is_file():
        last = lambda rng: [
            one for _ in range(options.draws) for one in third_pass(rows, captions, rng=rng)
        ]
        passes = [
            lambda rng: first_pass(rows, rng=rng),
            lambda rng: second_pass(rows, captions, rng=rng),
            last,
        ]
        made = train_encoder(
            [last] if options.onward else passes,
            options.work,
            minutes=options.minutes,
            seed=options.seed,
            start=_shipped(options.out) if options.onward else None,
        )
        if made is None:
            print("not done: call again to go on", flush=True)
            return
        save_file({name: np.ascontiguousarray(value) for name, value in made.items()}, layers)
    options.out.mkdir(parents=True, exist_ok=True)
    onnx_file = options.out / "prompt_encoder.onnx"
    exported = options.work / "exported"
    if not exported.is_file():
        from training.safety.export import export

        export(load_file(layers), onnx_file)
        exported.write_text("")
    kept = options.work / f"pass{1 if options.onward or options.mean else 3}.pt"
    fixing = [*check_rows(options.data), *check[::3]]
    _head(options.data, kept, options.out, rows, fixing, captions)


def _shipped(out: Path) -> dict[str, NDArray[np.float32]]:
    """Return the layers and the head of an earlier training."""
    from training.safety.export import layers_in

    head = load_file(out / "prompt_head.safetensors")
    return {
        **layers_in(out / "prompt_encoder.onnx"),
        "head.weight": head["out"].T / np.float32(SHARP),
        "head.bias": head["out_bias"],
    }


def _keep_mean(out: Path, sittings: Sequence[Path], work: Path) -> None:
    """Write the mean of models and sittings as a sitting ends: its layers, and its head."""
    import torch

    made, head = mean_of(_shipped(out), sittings)
    work.mkdir(parents=True, exist_ok=True)
    torch.save(
        {"h": {name: torch.from_numpy(value) for name, value in head.items()}}, work / "pass1.pt"
    )
    save_file(made, work / "encoder.safetensors")


def check_rows(data: Path) -> list[Row]:
    """Return labelled rows that nothing was trained on, to calibrate with."""
    dev = [row for row in read_rows(data / "dev.jsonl") if row.variant is None]
    ours = [row for row in [*own_rows(), *garment_rows()] if held_out(row)]
    return [*dev, *ours, *scary_rows(CHECK), *short_rows(check=True)[:1500]]


def _head(
    data: Path,
    kept: Path,
    out: Path,
    rows: Sequence[Row],
    fixing: Sequence[Row],
    captions: Sequence[Row],
) -> None:
    """Calibrate the head of the trained encoder, train the screen, write both."""
    import torch

    encoder = SentenceEncoder(out / "prompt_encoder.onnx")
    state = torch.load(kept, weights_only=True)["h"]
    linear = {
        "out": (state["weight"].numpy().T * SHARP).astype(np.float32).copy(),
        "out_bias": state["bias"].numpy().copy(),
    }
    # Labels from keywords, and labels that describe pictures and not texts, calibrate nothing.
    fixing = [row for row in fixing if not row.weak and row.kind != "t2i_implicit"]
    store = VectorStore(kept.parent / "vectors.npz", encoder)
    vectors = store.vectors(
        [form_of(row.text, row.lang) for row in fixing], [row.kind == "edit" for row in fixing]
    )
    logits = vectors @ linear["out"] + linear["out_bias"]
    groups = groups_of(fixing, encoder)
    fitted = calibrate(logits, fixing, groups)
    rng = np.random.default_rng(_SEED)
    seen = screened_looks(screen_rows(rows, captions, rng), encoder)
    tensors = {
        **linear,
        "scale": fitted.scale,
        "shift": fitted.shift,
        **train_screen(*seen, seed=_SEED),
    }
    save_file(
        tensors,
        out / "prompt_head.safetensors",
        metadata={"categories": json.dumps(MODEL_CATEGORIES), "encoder": encoder.digest},
    )
    said = reached(fitted, logits, fixing, groups)
    without = left_out(logits, fixing, groups)
    report = {
        "seed": _SEED,
        "data": {name: file_sha256(data / f"{name}.jsonl") for name in _FILES},
        "rows": {"train": len(rows), "own": len(own_rows()), "calibration": len(fixing)},
        "reached": said,
        "left_out": without,
    }
    (out / "training.json").write_text(json.dumps(report, indent=2) + "\n", "utf-8")
    card = out / "MODEL_CARD.md"
    if card.is_file():
        write_card(card, said, without)
    print(json.dumps(report, indent=2))


if __name__ == "__main__":
    main()

"""``python -m training.pictures --data DIR --work DIR --out safety/weights``.

Fetches the packages, embeds their drawings, fits the heads, trains the symbol network and writes
``picture_heads.safetensors``, ``symbols.onnx`` and ``picture_training.json``. What a run has done
is kept in the work folder; a run that ends early goes on from there. The digests in
``safety/image/heads.py`` and ``safety/image/symbols.py`` must then be changed by hand.
"""

from __future__ import annotations

import argparse
import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
from safetensors.numpy import save

from chopmark.safety.image.encoder import PictureEncoder
from chopmark.safety.image.heads import HEADS
from training.pictures.embed import chosen, embedded
from training.pictures.heads import fit
from training.pictures.sources import Drawn, fetch
from training.pictures.symbol_network import calibrate, export, train

if TYPE_CHECKING:
    from collections.abc import Sequence

    from training.pictures.scenes import Pixels

_STEPS: Final = 3500
_GROUND: Final = 224
#: The share of ordinary drawings, not trained on, that may reach 0.5 of hate symbols.
_FALSE: Final = 0.004
#: Most drawings that the share is counted on.
_UNSEEN: Final = 500


def main() -> None:
    """Fetch, embed, fit, train, write."""
    parser = argparse.ArgumentParser(prog="python -m training.pictures")
    parser.add_argument("--data", type=Path, required=True, help="where the packages are unpacked")
    parser.add_argument("--work", type=Path, required=True, help="where the state is kept")
    parser.add_argument("--out", type=Path, required=True, help="where the models are written")
    parser.add_argument("--steps", type=int, default=_STEPS, help="of the symbol network")
    parser.add_argument("--minutes", type=float, default=600.0, help="of training; then stop")
    options = parser.parse_args()
    fetch(options.data)
    picked = [(one, weapon) for one, weapon in chosen(options.data) if one.part == "train"]
    drawings = [one for one, _ in picked]
    vectors = embedded(drawings, PictureEncoder(), options.work / "vectors")
    drawable = ~np.isnan(vectors[:, 0])
    labels = np.array([weapon for _, weapon in picked])
    sources = [one.source for one in drawings]
    kept = np.flatnonzero(drawable)
    head = fit(vectors[kept], labels[kept], [sources[at] for at in kept])
    print(f"weapons, each package by a head that saw none of it: {head.areas}", flush=True)
    options.out.mkdir(parents=True, exist_ok=True)
    heads = options.out / "picture_heads.safetensors"
    bias = np.array([head.bias], np.float32)
    heads.write_bytes(save({"weight": np.ascontiguousarray(head.weight[None]), "bias": bias}))

    state = options.work / "symbols.pt"
    network = train(
        grounds(drawings, options.work / "grounds.npz"),
        state,
        steps=options.steps,
        minutes=options.minutes,
    )
    unseen = grounds(drawings, options.work / "unseen.npz", first=1)
    shift = calibrate(network, unseen, false=_FALSE)
    symbols = options.out / "symbols.onnx"
    export(network, symbols)
    digests = {
        file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in (heads, symbols)
    }
    counts = {
        source: {
            "weapon": int(sum(labels[at] for at in kept if sources[at] == source)),
            "other": int(sum(not labels[at] for at in kept if sources[at] == source)),
        }
        for source in sorted(set(sources))
    }
    said = {
        "heads": list(HEADS),
        "drawings": counts,
        "strength": head.strength,
        "areas of packages left out": {name: round(one, 4) for name, one in head.areas.items()},
        "symbol network": {
            "steps": options.steps,
            "patches a step": 64,
            "shift": round(shift, 3),
            "pictures for it": len(unseen),
        },
        "sha256": digests,
    }
    (options.out / "picture_training.json").write_text(json.dumps(said, indent=1) + "\n", "utf-8")
    print(json.dumps(digests, indent=1))


def grounds(drawings: Sequence[Drawn], cache: Path, *, first: int = 0) -> list[Pixels]:
    """Return every second drawing, small, from the first or the second on.

    The ones are what symbols are laid on in training, with all photographs; what comes with
    ``first=1`` is only counted on.
    """
    if not cache.is_file():
        pictures = []
        for number, one in enumerate(drawings):
            apart = one.source.startswith(("plasma", "lx", "lomiri"))
            if (number % 2 != first and not apart) or (first and apart):
                continue
            try:
                picture = one.picture()
            except ValueError:  # a drawing without a size
                continue
            picture.thumbnail((_GROUND, _GROUND))
            if min(picture.size) >= 64:
                pictures.append(np.asarray(picture))
            if first and len(pictures) == _UNSEEN:
                break
        np.savez(cache, **{str(at): one for at, one in enumerate(pictures)})  # type: ignore[arg-type]
    stored = np.load(cache)
    return [stored[name] for name in stored.files]


if __name__ == "__main__":
    main()

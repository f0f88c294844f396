"""``python -m training.pictures --data DIR --work DIR --out safety/weights``.

Fetches the packages, embeds their drawings, fits the heads, trains the two symbol networks and
writes ``picture_heads.safetensors``, ``symbols.onnx``, ``symbol_check.onnx`` and
``picture_training.json``. What a run has done is kept in the work folder; a run that ends early
goes on from there. ``--only heads`` leaves the networks as they are. The digests in
``safety/image/heads.py`` and ``safety/image/symbols.py`` must then be changed by hand.
"""

from __future__ import annotations

import argparse
import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
from PIL import Image
from safetensors.numpy import save

from chopmark.safety.image._model import open_model
from chopmark.safety.image.encoder import PictureEncoder
from chopmark.safety.image.heads import ROWS
from training.pictures import glyphs
from training.pictures import symbol_check as again
from training.pictures.embed import chosen, embedded
from training.pictures.heads import fit
from training.pictures.sources import MIXED, PHOTOGRAPHS, Drawn, fetch, items
from training.pictures.symbol_network import export, leaned, train

if TYPE_CHECKING:
    from collections.abc import Sequence

    from training.pictures.scenes import Pixels

_STEPS: Final = 5000
_GROUND: Final = 224
#: The share of pictures of the set apart (OpenCV's manual) that may reach 0.5 of hate symbols.
_FALSE: Final = 0.01
#: The share of harmless drawings that may reach 0.5 of weapons, which by itself is no harm, and of
#: drawings that may be taken for a photograph.
_FALSE_WEAPONS: Final = 0.02
_FALSE_PHOTOGRAPHS: Final = 0.03
#: Drawings whose places the second network is shown, beside the photographs, and scenes.
_MINED: Final = 200
_SCENES: Final = 800
_AGAIN: Final = 12
#: Log odds by which the first network leans to "nothing", so that few places are looked at again.
_LEAN: Final = 2.8


def main() -> None:
    """Fetch, embed, fit, train, write."""
    parser = argparse.ArgumentParser(prog="python -m training.pictures")
    parser.add_argument("--data", type=Path, required=True, help="where the packages are unpacked")
    parser.add_argument("--work", type=Path, required=True, help="where the state is kept")
    parser.add_argument("--out", type=Path, required=True, help="where the models are written")
    parser.add_argument("--steps", type=int, default=_STEPS, help="of the symbol network")
    parser.add_argument("--minutes", type=float, default=600.0, help="of training; then stop")
    parser.add_argument("--only", choices=["heads"], help="train these alone")
    options = parser.parse_args()
    fetch(options.data)
    glyphs.fetch(options.data)
    picked = [(one, weapon) for one, weapon in chosen(options.data) if one.part == "train"]
    drawings = [one for one, _ in picked]
    vectors = embedded(drawings, PictureEncoder(), options.work / "vectors")
    drawable = ~np.isnan(vectors[:, 0])
    labels = np.array([weapon for _, weapon in picked])
    sources = [one.source for one in drawings]
    kept = np.flatnonzero(drawable)
    head = fit(vectors[kept], labels[kept], [sources[at] for at in kept], false=_FALSE_WEAPONS)
    # Paintings look like photographs and are none: they teach nobody the difference.
    told = [at for at in kept if sources[at] not in MIXED and drawings[at].words != "painting"]
    photographs = np.array([one.kind == "photograph" for one in drawings])
    kind = fit(
        vectors[told],
        photographs[told],
        [sources[at] for at in told],
        false=_FALSE_PHOTOGRAPHS,
    )
    options.out.mkdir(parents=True, exist_ok=True)
    heads = options.out / "picture_heads.safetensors"
    rows = {"weapons": head, "photograph": kind}
    for name, one in rows.items():
        print(f"{name}, each package by a head that saw none of it: {one.areas}", flush=True)
    heads.write_bytes(
        save(
            {
                "weight": np.stack([rows[name].weight for name in ROWS]),
                "bias": np.array([rows[name].bias for name in ROWS], np.float32),
            }
        )
    )
    counts = {
        source: {
            "weapon": int(sum(labels[at] for at in kept if sources[at] == source)),
            "photograph": int(sum(photographs[at] for at in told if sources[at] == source)),
            "all": sum(sources[at] == source for at in kept),
        }
        for source in sorted(set(sources))
    }
    file = options.out / "picture_training.json"
    said = json.loads(file.read_text("utf-8")) if file.is_file() else {"sha256": {}}
    said |= {
        "heads": list(ROWS),
        "drawings": counts,
        "strength": {name: one.strength for name, one in rows.items()},
        "areas of packages left out": {
            name: {source: round(area, 4) for source, area in one.areas.items()}
            for name, one in rows.items()
        },
    }
    if options.only != "heads":
        said["symbol network"] = _networks(drawings, options)
    for name in ("picture_heads.safetensors", "symbols.onnx", "symbol_check.onnx"):
        if (options.out / name).is_file():
            digest = hashlib.sha256((options.out / name).read_bytes()).hexdigest()
            said["sha256"][name] = digest
    file.write_text(json.dumps(said, indent=1) + "\n", "utf-8")
    print(json.dumps(said["sha256"], indent=1))


def _networks(drawings: Sequence[Drawn], options: argparse.Namespace) -> dict[str, object]:
    """Train the two symbol networks, write them, and return what is to be known of that."""
    state = options.work / "symbols.pt"
    laid_on = grounds(drawings, options.work / "grounds.npz")
    first = train(laid_on, state, steps=options.steps, minutes=options.minutes)
    symbols, check = options.out / "symbols.onnx", options.out / "symbol_check.onnx"
    leaned(first, _LEAN)
    export(first, symbols)
    session = open_model(
        symbols, sha256=hashlib.sha256(symbols.read_bytes()).hexdigest(), hint="train again"
    )
    photographs = [one.picture() for one in drawings if one.source == "gcompris-qt-data"]
    second = again.SymbolCheck(first)
    dice = np.random.default_rng(1)
    shown = [
        *again.of_pictures(second, session, photographs),
        *again.of_pictures(second, session, [Image.fromarray(one) for one in laid_on[:_MINED]]),
        *again.of_scenes(
            second,
            session,
            [*laid_on[: 2 * _MINED], *(np.asarray(one) for one in photographs * 2)],
            glyphs.manji(options.data),
            _SCENES,
            dice,
        ),
    ]
    again.fit(second, shown)
    apart = [one.picture() for one in items(options.data) if one.part == "calibrate"][::2]
    shift = again.bar(second, session, apart, false=_FALSE)
    again.export(second, check)
    return {
        "steps": options.steps,
        "patches a step": 64,
        "places shown to the second": len(shown),
        "of them symbols": sum(0 < label < 4 for _, label in shown),
        "shift of the second": round(shift, 3),
        "pictures for it": len(apart),
    }


def grounds(drawings: Sequence[Drawn], cache: Path) -> list[Pixels]:
    """Return every second drawing, and all photographs, small, for symbols to be laid on."""
    if not cache.is_file():
        pictures = []
        for number, one in enumerate(drawings):
            if one.source == "gcompris-qt-data":  # the second network's alone
                continue
            apart = one.source.startswith(("plasma", "lx", "lomiri", PHOTOGRAPHS))
            if number % 2 and not apart:
                continue
            try:
                picture = one.picture()
            except ValueError:  # a drawing without a size
                continue
            picture.thumbnail((_GROUND, _GROUND))
            if min(picture.size) >= 64:
                # Photographs are few here, and what the network errs on.
                times = _AGAIN if one.source == PHOTOGRAPHS else 1
                pictures += [np.asarray(picture)] * times
        np.savez(cache, **{str(at): one for at, one in enumerate(pictures)})  # type: ignore[arg-type]
    stored = np.load(cache)
    return [stored[name] for name in stored.files]


if __name__ == "__main__":
    main()

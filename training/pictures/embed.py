"""Embeds the pictures of the packages once, and keeps the vectors."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final

import numpy as np

from chopmark.safety.image.encoder import WIDTH
from training.pictures.sources import MOST, OTHERWISE, Drawn, items
from training.pictures.weapons import shows_weapon

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from chopmark.safety.image.encoder import PictureEncoder

__all__ = ["chosen", "embedded"]

_BATCH: Final = 64


def chosen(folder: Path) -> list[tuple[Drawn, bool]]:
    """Return the drawings that are used and whether each shows a weapon, in a fixed order.

    All weapons, and of the others as many of each package as :data:`MOST` says.
    """
    kept: list[tuple[Drawn, bool]] = []
    others: dict[str, list[Drawn]] = {}
    for one in items(folder):
        weapon = shows_weapon(one)
        if weapon:
            kept.append((one, True))
        elif weapon is not None:
            others.setdefault(one.source, []).append(one)
    for source, group in others.items():
        group.sort(key=Drawn.number)
        kept += [(one, False) for one in group[: MOST.get(source, OTHERWISE)]]
    return kept


def embedded(
    drawings: Sequence[Drawn], encoder: PictureEncoder, cache: Path
) -> NDArray[np.float32]:
    """Return one vector a drawing, shape (n, 512), NaN for one that cannot be drawn.

    What a run has done, the next one reads.
    """
    cache.mkdir(parents=True, exist_ok=True)
    names = cache / "names.json"
    known: list[str] = json.loads(names.read_text()) if names.is_file() else []
    vectors: list[NDArray[np.float32]] = list(np.load(cache / "vectors.npy")) if known else []
    place = {name: number for number, name in enumerate(known)}
    wanted = [f"{one.source}/{one.name}" for one in drawings]
    missing = [one for one, name in zip(drawings, wanted, strict=True) if name not in place]
    for number, one in enumerate(missing, 1):
        try:
            vector = encoder.vectors(one.picture())[0]
        except ValueError:  # a drawing without a size; its row stays empty
            vector = np.full(WIDTH, np.nan, np.float32)
        place[f"{one.source}/{one.name}"] = len(known)
        known.append(f"{one.source}/{one.name}")
        vectors.append(vector)
        if number % _BATCH == 0 or number == len(missing):
            np.save(cache / "vectors.npy", np.stack(vectors))
            names.write_text(json.dumps(known))
            print(f"{number} of {len(missing)} embedded", flush=True)
    return np.stack([vectors[place[name]] for name in wanted])

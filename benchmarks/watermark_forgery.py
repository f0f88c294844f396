"""False positives, averaging, and copies told from pictures that were painted over."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
from PIL import Image

from benchmarks.pictures import drawn, load
from benchmarks.watermark_marked import KEY
from chopmark.kit.pdq import pdq_hash
from chopmark.provenance.watermark import MarkKey, get_method
from chopmark.provenance.watermark._pixels import luma_of
from chopmark.provenance.watermark.lattice._code import PAYLOAD_BITS, encode
from chopmark.provenance.watermark.lattice._frame import Tiles, canonical, residual
from chopmark.provenance.watermark.lattice._layout import layout_of
from chopmark.provenance.watermark.lattice._statistic import payload_vector, score

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmarks.pictures import Named
    from benchmarks.watermark_sets import Subject

__all__ = ["averaging", "copying", "looks", "wrong_keys"]

# In the averaging attack.
_LEARNED, _TRIED = 100, 40
_SIDE = 512


def looks(subjects: Sequence[Subject], count: int, seed: int) -> dict[str, Any]:
    """The whole detector, ``count`` times, on unmarked pictures under random keys."""
    cv2.setNumThreads(1)
    random = np.random.default_rng([7, seed])
    each = 5
    chosen = random.choice(len(subjects), -(-count // each), replace=False)
    found: dict[str, list[float]] = {}
    hits: dict[str, int] = {}
    for at in chosen:
        picture, kind = _square(subjects[at].load()), subjects[at].kind
        for _ in range(each):
            key = MarkKey(key_id="random", secret=random.bytes(32))
            result = get_method("lattice").detect(picture, key)
            found.setdefault(kind, []).append(round(float(str(result.details["z"])), 2))
            hits[kind] = hits.get(kind, 0) + result.detected
    return {"looks": {kind: len(z) for kind, z in found.items()}, "hits": hits, "z": found}


def wrong_keys(chosen: Sequence[Named], trials: int, seed: int) -> dict[str, Any]:
    """How often one payload test under a random key passes t, on unmarked pictures."""
    random = np.random.default_rng(seed)
    lumas = [luma_of(load(named)) for named in chosen] + [luma_of(drawn(seed)) for seed in (1, 3)]
    shown = [Tiles.of(residual(canonical(luma, 0))) for luma in lumas]
    statistics = np.empty(trials)
    for trial in range(trials):
        layout = layout_of(random.bytes(32))
        coefficients = shown[trial % len(shown)].at(layout.payload).sum(axis=0)
        word = encode(random.integers(0, 2, PAYLOAD_BITS).astype(np.uint8))
        entry = int(random.integers(0, len(layout.codebook)))
        values = layout.payload_values(entry, word)
        statistics[trial] = score(payload_vector(coefficients), values)
    levels = [1.0, 2.0, 3.0, 4.0]
    passing = [int((statistics >= level).sum()) for level in levels]
    return {
        "trials": trials,
        "levels": levels,
        "passing": passing,
        "largest": float(statistics.max()),
    }


def averaging(chosen: Sequence[Named]) -> dict[str, Any]:
    """What 100 marks have in common, subtracted from others and stamped on unmarked pictures.

    The attacker is given more than a real one has: the unmarked originals of what is averaged.
    """
    cv2.setNumThreads(1)
    squares = [_square(load(named)) for named in chosen[: _LEARNED + _TRIED]]
    learned, tried = squares[:-_TRIED], squares[-_TRIED:]
    random = np.random.default_rng(9)
    method = get_method("lattice")
    differences = [
        np.asarray(method.embed(square, random.bytes(8), KEY), np.float32)
        - np.asarray(square, np.float32)
        for square in learned
    ]
    common = np.mean(differences, axis=0)
    marked = [(payload := random.bytes(8), method.embed(one, payload, KEY)) for one in tried]
    outcome: dict[str, Any] = {"learned": len(learned), "tried": len(tried)}
    for cost in (42, 39, 36):
        step = common * (255 * 10 ** (-cost / 20) / np.sqrt((common**2).mean()))
        survived = [
            method.detect(_moved(picture, -step), KEY).payload == payload
            for payload, picture in marked
        ]
        forged = [method.detect(_moved(picture, step), KEY).detected for picture in tried]
        outcome[f"{cost} dB"] = [sum(survived), sum(forged)]
    return outcome


def copying(subjects: Sequence[Subject], seed: int) -> dict[str, Any]:
    """Marks cut out of pictures, their originals known, and laid on others; and painted over.

    Each picture gives three: the marked one, its mark on the next one, and the marked one with a
    part of the next one painted into it, 5 to 40 % of its area.

    Returns:
        For each of ``own``, ``copied`` and ``painted`` one entry for each picture: whether the id
        was read, how many content bits agree (None where it could not be compared), and how far
        the PDQ fingerprint is from the marked one's; ``share``: what was painted.
    """
    cv2.setNumThreads(1)
    random = np.random.default_rng([10, seed])
    method = get_method("lattice")
    outcome: dict[str, Any] = {"own": [], "copied": [], "painted": [], "share": []}
    squares = [_square(subject.load()) for subject in subjects]
    for source, victim in zip(squares, [*squares[1:], squares[0]], strict=True):
        payload = random.bytes(8)
        marked = method.embed(source, payload, KEY)
        mark = np.asarray(marked, np.float32) - np.asarray(source, np.float32)
        share = float(random.uniform(0.05, 0.4))
        width, height = (round(_SIDE * np.sqrt(share * r)) for r in (1.25, 0.8))
        left, top = (int(random.integers(0, _SIDE - length + 1)) for length in (width, height))
        box = left, top, left + width, top + height
        painted = marked.copy()
        painted.paste(victim.crop(box), box)
        outcome["share"].append(round(share, 3))
        struck = pdq_hash(np.asarray(marked))[0]
        pictures = {"own": marked, "copied": _moved(victim, mark), "painted": painted}
        for name, picture in pictures.items():
            found = method.detect(picture, KEY)
            apart = int((struck != pdq_hash(np.asarray(picture))[0]).sum())
            agreeing = found.details["content_bits_agreeing"]
            outcome[name].append([found.payload == payload, agreeing, apart])
    return outcome


def _moved(picture: Image.Image, step: np.ndarray) -> Image.Image:
    values = np.asarray(picture, np.float32) + step
    return Image.fromarray(np.clip(np.rint(values), 0, 255).astype(np.uint8))


def _square(picture: Image.Image) -> Image.Image:
    side = min(picture.size)
    left, top = (picture.width - side) // 2, (picture.height - side) // 2
    box = left, top, left + side, top + side
    return picture.resize((_SIDE, _SIDE), Image.Resampling.LANCZOS, box)

"""Rate against cost: the same mark at other strengths, and how many ids are still read.

What the product strikes is scaled as a whole to each PSNR, so that its shape stays; eyes would
bear the stronger ones less. Each point is one look at one attacked picture.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
from PIL import Image

from benchmarks.attacks import ATTACKS
from benchmarks.situations import SITUATIONS
from benchmarks.watermark_marked import KEY, PAYLOAD
from benchmarks.watermark_rates import KINDS, percent, table
from chopmark.errors import ChopmarkError
from chopmark.provenance.watermark import get_method
from chopmark.provenance.watermark.lattice._statistic import TESTS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmarks.watermark_sets import Subject

__all__ = ["curve", "text"]

_DECIBELS = (48, 46, 44, 42, 40, 38)
_ATTACKS = ("jpeg 50", "jpeg 30", "webp 55", "screenshot", "jpeg 10")


def curve(subject: Subject) -> dict[str, Any]:
    """One picture at every strength under every attack; about ten seconds of CPU."""
    cv2.setNumThreads(1)
    picture = subject.load()
    picture.thumbnail((1024, 1024), Image.Resampling.LANCZOS)
    watermarker = get_method("lattice")
    before = np.asarray(picture, np.float32)
    mark = np.asarray(watermarker.embed(picture, PAYLOAD, KEY), np.float32) - before
    found: dict[str, list[bool]] = {name: [] for name in _ATTACKS}
    for decibels in _DECIBELS:
        marked = _scaled(before, mark, decibels)
        for name in _ATTACKS:
            attack = ATTACKS.get(name) or SITUATIONS[name]
            try:
                seen = watermarker.detect(attack(marked), KEY)
            except ChopmarkError:
                found[name].append(False)
                continue
            found[name].append(bool(seen.detected and seen.payload == PAYLOAD))
    return {"kind": subject.kind, "tests": TESTS, "strengths": list(_DECIBELS), "read": found}


def _scaled(before: np.ndarray, mark: np.ndarray, decibels: float) -> Image.Image:
    """The picture with its mark at this PSNR, what white and black cut off counted."""
    wanted, gain = 255 * 10 ** (-decibels / 20), 1.0
    for _ in range(4):
        whole = np.clip(np.rint(before + gain * mark), 0, 255)
        gain *= wanted / max(float(np.sqrt(((whole - before) ** 2).mean())), 1e-6)
    return Image.fromarray(np.clip(np.rint(before + gain * mark), 0, 255).astype(np.uint8))


def text(rows: Sequence[dict[str, Any]]) -> str:
    """The curve as a part of the page: a table for each kind of picture."""
    parts = []
    for kind, title in KINDS.items():
        some = [row for row in rows if row["kind"] == kind]
        if not some:
            continue
        lines = [
            [
                name,
                *(
                    percent(float(np.mean([row["read"][name][at] for row in some])))
                    for at in range(len(_DECIBELS))
                ),
            ]
            for name in _ATTACKS
        ]
        head = [f"{title}, {len(some)}", *(f"{decibels} dB" for decibels in _DECIBELS)]
        parts.append(table(head, lines))
    return (
        "### Rate against cost\n\nShare of ids read (p <= 1e-9) when the mark is scaled as a whole "
        "to a PSNR. What the product strikes lies between 40.4 and 49 dB, by what each picture "
        "hides.\n\n" + "\n\n".join(parts)
    )

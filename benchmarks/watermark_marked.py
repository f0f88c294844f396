"""One picture marked by one method, every attack on it, and what it cost the eye."""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
from PIL import Image

from benchmarks.attacks import ATTACKS
from benchmarks.situations import SITUATIONS
from chopmark.errors import ChopmarkError
from chopmark.provenance.watermark import MarkKey, MarkResult, get_method
from chopmark.provenance.watermark.lattice._statistic import TESTS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from benchmarks.attacks import Attack
    from benchmarks.watermark_sets import Subject

__all__ = ["KEY", "PAYLOAD", "attacked", "psnr", "ssim"]

KEY = MarkKey(key_id="benchmark", secret=bytes(range(32)))
WRONG = MarkKey(key_id="wrong", secret=bytes(range(1, 33)))
PAYLOAD = bytes.fromhex("a3f09c1122334451")


def attacked(method: str, subject: Subject, largest: int, *, regenerated: bool) -> dict[str, Any]:
    """Mark one picture and try every attack on it.

    Args:
        method: The name of a watermark method.
        subject: The picture.
        largest: Side of the square that it may have the area of; larger ones are scaled down.
        regenerated: Also through the embedded model's autoencoder and image to image.
    """
    cv2.setNumThreads(1)
    picture = _at_most(subject.load(), largest)
    watermarker = get_method(method)
    row: dict[str, Any] = {"method": method, "kind": subject.kind, "size": list(picture.size)}
    row["content"] = subject.named.kind if subject.named else subject.kind
    row["tests"] = TESTS
    watermarker.embed(picture.crop((0, 0, 256, 256)), PAYLOAD, KEY)  # loads what it loads
    started = time.process_time()
    try:
        marked = watermarker.embed(picture, PAYLOAD, KEY)
    except ChopmarkError as error:
        return {**row, "error": error.code}
    row["encode_s"] = time.process_time() - started
    row["psnr"], row["ssim"] = psnr(picture, marked), ssim(picture, marked)
    outcomes, harm, seconds = {}, {}, {}
    for name, attack in _attacks(regenerated=regenerated).items():
        changed = attack(marked)
        started = time.process_time()
        outcomes[name] = _log10_p(_look(method, changed, KEY))
        seconds[name] = time.process_time() - started
        if changed.size == marked.size:
            harm[name] = round(psnr(marked, changed), 2)
    started = time.process_time()
    clean = _look(method, picture, KEY)
    seconds["unmarked"] = time.process_time() - started
    other = _look(method, marked, WRONG)
    return {
        **row,
        "log10_p": outcomes,
        "harm_db": harm,
        "decode_s": seconds,
        "clean": [clean.detected, clean.details.get("z", 0)],
        "wrong_key": [other.detected, other.details.get("z", 0)],
    }


def _attacks(*, regenerated: bool) -> Mapping[str, Attack]:
    if not regenerated:
        return {**ATTACKS, **SITUATIONS}
    from benchmarks.regeneration import REGENERATIONS

    return {**ATTACKS, **SITUATIONS, **REGENERATIONS}


def _look(method: str, picture: Image.Image, key: MarkKey) -> MarkResult:
    # rivaGan can only confirm a payload it is told; that makes its task easier, not harder.
    candidates = [PAYLOAD] if method == "rivaGan" else None
    try:
        return get_method(method).detect(picture, key, candidates=candidates)
    except ChopmarkError:
        return MarkResult(detected=False, payload=None, p_value=1.0, method=method)


def _log10_p(result: MarkResult) -> float:
    """log10 of the p-value if the right payload was detected, 1 for a wrong one, else 0."""
    if not result.detected:
        return 0.0
    return round(math.log10(max(result.p_value, 1e-300)), 2) if result.payload == PAYLOAD else 1.0


def _at_most(picture: Image.Image, side: int) -> Image.Image:
    factor = side / math.sqrt(picture.width * picture.height)
    if factor >= 1:
        return picture
    size = round(picture.width * factor), round(picture.height * factor)
    return picture.resize(size, Image.Resampling.LANCZOS)


def psnr(one: Image.Image, other: Image.Image) -> float:
    """Over all three channels, in dB."""
    difference = np.asarray(one, np.float64) - np.asarray(other, np.float64)
    return float(10 * np.log10(255**2 / max((difference**2).mean(), 1e-9)))


def ssim(one: Image.Image, other: Image.Image) -> float:
    """Structural similarity, mean of the three channels.

    Wang et al. 2004: Gaussian window of 1.5, 11 x 11. Of all channels, because some peers mark
    colour alone.
    """

    def mean(values: np.ndarray) -> np.ndarray:
        return np.asarray(cv2.GaussianBlur(values, (11, 11), 1.5))

    a, b = (np.asarray(picture, np.float32) for picture in (one, other))
    mean_a, mean_b = mean(a), mean(b)
    var_a, var_b = mean(a * a) - mean_a**2, mean(b * b) - mean_b**2
    covariance = mean(a * b) - mean_a * mean_b
    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    index = (2 * mean_a * mean_b + c1) * (2 * covariance + c2)
    index /= (mean_a**2 + mean_b**2 + c1) * (var_a + var_b + c2)
    return float(index[5:-5, 5:-5].mean(dtype=np.float64))

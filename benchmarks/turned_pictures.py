"""How near a turned, re-encoded picture's hash comes to the listed one, and what looking costs.

``python -m benchmarks.turned_pictures [--write] [FOLDER ...]`` takes every picture in the folders
(the sample pictures of scikit-image, say) and 60 that :func:`benchmarks.pictures.drawn` draws. Flat
ones, of a PDQ quality under 50, are left out: nobody compares their hashes.

The listed hash is the upright picture's. Each of the seven other orientations is made of the full
pixels, encoded anew, and looked up in two ways: by the hashes of its turned pixels (what Chopmark
does), and by those that PDQ's reference derives from one spectrum (``pdqhash.compute_dihedral``).
"""

from __future__ import annotations

import argparse
import io
import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from benchmarks.pictures import drawn
from benchmarks.report import write_section
from chopmark.kit.fingerprint import MATCH_DISTANCE, MIN_QUALITY, dihedral, distance, fingerprint
from chopmark.kit.pdq import _cosines, _filtered, _luma, _taps

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

__all__ = ["derived"]

_SIDES = (512, 1024, 2048)
_LEAST, _MOST = 200, 2048
_ROUNDS = 5
_SUFFIXES = {".jpg", ".jpeg", ".png", ".webp"}
#: Name, JPEG quality and scale of what is done to a turned picture.
_ENCODED = (("JPEG 75", 75, 1.0), ("JPEG 50 at 60 %", 50, 0.6))


def derived(image: Image.Image) -> list[str]:
    """Return eight hashes as PDQ's reference derives them: of one spectrum, odd terms negated."""
    small = image.convert("RGB")
    small.thumbnail((512, 512))
    luma = _luma(np.asarray(small))
    samples = _filtered(luma, *map(_taps, luma.shape))
    cosines = _cosines()
    spectrum = cosines @ samples @ cosines.T
    # Row and column k hold frequency k + 1; a mirror image negates the odd frequencies.
    sign = np.where(np.arange(1, len(spectrum) + 1) % 2, -1.0, 1.0)
    four = (spectrum, spectrum * sign, spectrum * sign[:, None], spectrum * sign * sign[:, None])
    return [_hex(one) for one in (*four, *(one.T for one in four))]


def _hex(spectrum: NDArray[np.float64]) -> str:
    flat = spectrum.ravel()
    middle = np.sort(flat)[flat.size // 2 - 1]
    return np.packbits((flat > middle)[::-1]).tobytes().hex()


def _each_turned(image: Image.Image) -> list[str]:
    """Return the hashes of the eight orientations, each turned at full size and hashed alone."""
    turned = (image.transpose(one) for one in Image.Transpose)
    return [fingerprint(one)[0] for one in (image, *turned)]


def pictures(folders: list[Path]) -> Iterator[Image.Image]:
    """Yield the pictures that have enough structure to be compared."""
    files = [path for folder in folders for path in sorted(folder.rglob("*"))]
    for path in files:
        if path.suffix.lower() in _SUFFIXES:
            with Image.open(path) as opened:
                picture = opened.convert("RGB")
            picture.thumbnail((_MOST, _MOST))
            if min(picture.size) >= _LEAST and fingerprint(picture)[1] >= MIN_QUALITY:
                yield picture
    for seed in range(60):
        picture = drawn(seed)
        if fingerprint(picture)[1] >= MIN_QUALITY:
            yield picture


def _encoded(image: Image.Image, quality: int, scale: float) -> Image.Image:
    if scale != 1:
        size = round(image.width * scale), round(image.height * scale)
        image = image.resize(size, Image.Resampling.BILINEAR)
    held = io.BytesIO()
    image.save(held, "JPEG", quality=quality)
    return Image.open(held)


def _distances(every: list[Image.Image]) -> Iterator[str]:
    yield "| turned and then | hashes | median | p95 | max | over 31 |\n|---|---|---|---|---|---|"
    for name, quality, scale in _ENCODED:
        found: dict[str, list[int]] = {"of turned pixels": [], "derived from one spectrum": []}
        for picture in every:
            listed, _ = fingerprint(picture)
            for turn in Image.Transpose:
                copy = _encoded(picture.transpose(turn), quality, scale)
                for hashes, told in zip(
                    (dihedral(copy)[0], derived(copy)), found.values(), strict=True
                ):
                    told.append(min(distance(one, listed) for one in hashes))
        for how, bits in found.items():
            over = np.mean(np.asarray(bits) > MATCH_DISTANCE)
            yield (
                f"| {name} | {how} | {np.median(bits):.0f} | {np.percentile(bits, 95):.0f} "
                f"| {max(bits)} | {over:.1%} |"
            )


def _milliseconds(work: Callable[[Image.Image], object], given: list[Image.Image]) -> str:
    """Return the median CPU time of a picture, of all threads of the process."""
    spent = []
    for picture in given * _ROUNDS:
        begun = time.process_time()
        work(picture)
        spent.append((time.process_time() - begun) * 1000)
    return f"{np.median(spent):.1f}"


def _costs(every: list[Image.Image]) -> Iterator[str]:
    yield "| CPU ms a picture | " + " | ".join(f"{side} px" for side in _SIDES) + " |"
    yield "|---|" + "---|" * len(_SIDES)
    sized = [[one.resize((side, side * 3 // 4)) for one in every[:10]] for side in _SIDES]
    for name, work in (
        ("one hash", fingerprint),
        ("**eight hashes of turned pixels**", dihedral),
        ("the same, each turned at full size and hashed alone", _each_turned),
        ("eight hashes derived from one spectrum", derived),
    ):
        yield f"| {name} | " + " | ".join(_milliseconds(work, given) for given in sized) + " |"


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("folders", type=Path, nargs="*", help="folders of pictures")
    parser.add_argument("--write", action="store_true", help="write docs/benchmarks.md")
    options = parser.parse_args()
    every = list(pictures(options.folders))
    lines = [f"{len(every)} pictures, seven orientations each.", "", *_distances(every), ""]
    lines += _costs(every)
    print("\n".join(lines), flush=True)
    if options.write:
        write_section(
            "turned-pictures",
            "\n".join(lines),
            command="python -m benchmarks.turned_pictures --write FOLDER",
        )


if __name__ == "__main__":
    main()

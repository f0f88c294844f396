"""Finding the original of a picture among many, for informed detection.

By PDQ fingerprint, in all eight orientations; since crops move fingerprints far, the nearest few
are laid over the picture, and the first that fits is the one. The choice looks at pictures alone,
never at a key, so it leaves the bound of the detection as it is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from chopmark.errors import ChopmarkError

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from PIL import Image

    from chopmark.provenance.watermark._pixels import Plane

__all__ = ["nearest_original"]

_SHORT_LIST = 12


def nearest_original(image: Image.Image, paths: Iterable[Path]) -> Path | None:
    """Return the file that holds the original of ``image``, or None if no picture fits on it.

    Files that are no readable pictures are passed over.

    Raises:
        UnsupportedImage: ``image`` is animated, or of a mode that cannot be read.
        ImageTooSmall: It is under 64 pixels.
        ImageTooLarge: It is over 8192 pixels.
    """
    from chopmark.kit.fingerprint import dihedral, distance, fingerprint
    from chopmark.provenance.watermark._pixels import luma_of, opened
    from chopmark.provenance.watermark.lattice._original import bare_residual

    luma = luma_of(opened(image))
    sought, _ = dihedral(_grey(luma))
    found: list[tuple[int, Path]] = []
    for path in paths:
        other = _luma(path)
        if other is not None:
            pdq, _ = fingerprint(_grey(other))
            found.append((min(distance(one, pdq) for one in sought), path))
    for _, path in sorted(found, key=lambda pair: pair[0])[:_SHORT_LIST]:
        other = _luma(path)
        if other is not None and bare_residual(luma, other) is not None:
            return path
    return None


def _luma(path: Path) -> Plane | None:
    from PIL import Image

    from chopmark.provenance.watermark._pixels import luma_of, opened

    try:
        with Image.open(path) as candidate:
            return luma_of(opened(candidate))
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError, ChopmarkError):
        return None


def _grey(luma: Plane) -> Image.Image:
    import numpy as np
    from PIL import Image

    return Image.fromarray(np.clip(np.rint(luma), 0, 255).astype(np.uint8))

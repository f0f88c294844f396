"""Taking our own mark back, before a picture that has one gets another."""

from __future__ import annotations

from typing import TYPE_CHECKING

from chopmark.provenance.watermark._methods import get_method

if TYPE_CHECKING:
    from PIL import Image

    from chopmark.provenance.watermark._keys import MarkKey
    from chopmark.provenance.watermark._result import MarkResult

__all__ = ["without_mark"]


def without_mark(image: Image.Image, found: MarkResult, *, key: MarkKey) -> Image.Image:
    """Return a picture without the mark that was found in it, as nearly as can be told.

    Of two marks with one key readers find either, so that the first must go before the second
    comes. The mark is struck once more and the difference taken off.

    Args:
        image: RGB, in the geometry in which it was marked.
        found: What `detect_mark` returned for it, with a payload.
        key: The key of ``found.key_id``.

    Raises:
        ChopmarkError: The picture cannot be marked, as of `embed_mark`.
    """
    import numpy as np
    from PIL import Image as Pictures

    from chopmark.provenance.watermark.lattice import Lattice

    if found.payload is None:
        return image
    method = get_method(found.method)
    if isinstance(method, Lattice):
        entry = found.details["codebook_entry"]
        assert isinstance(entry, int)  # noqa: S101  of `Lattice.detect`
        return method.take_back(image, found.payload, key, entry=entry)
    plain = image.convert("RGB")
    twice = method.embed(plain, found.payload, key)
    before = 2 * np.asarray(plain, np.int16) - np.asarray(twice, np.int16)
    return Pictures.fromarray(np.clip(before, 0, 255).astype(np.uint8))

"""Invisible watermarks: strike an identity into pixels, read it again, and say how sure that is.

>>> import tempfile, pathlib
>>> from PIL import Image
>>> from chopmark.provenance.watermark import detect_mark, embed_mark, load_mark_keys
>>> keys = load_mark_keys(pathlib.Path(tempfile.mkdtemp()))
>>> picture = Image.linear_gradient("L").resize((512, 512)).convert("RGB")
>>> marked = embed_mark(picture, bytes.fromhex("a3f09c1122334451"), key=keys.active)
>>> result = detect_mark(marked, keys=keys.all)
>>> result.detected, result.payload.hex()
(True, 'a3f09c1122334451')
>>> result.p_value <= 1e-9
True
>>> detect_mark(picture, keys=keys.all).detected
False

The default method, ``lattice``, is our own (see ``docs/watermark.md`` for its design and for the
proof of its p-value); ``dwtDct``, ``dwtDctSvd`` and ``rivaGan`` come from the invisible-watermark
package where that is installed, ``trustMark`` from its own, with weights that you bring. More are
added with :func:`register_method`.
"""

from __future__ import annotations

from chopmark.provenance.watermark._keys import MarkKey, MarkKeys, load_mark_keys
from chopmark.provenance.watermark._methods import (
    detect_mark,
    embed_mark,
    get_method,
    method_names,
    register_method,
)
from chopmark.provenance.watermark._originals import nearest_original
from chopmark.provenance.watermark._removal import without_mark
from chopmark.provenance.watermark._result import P_DETECT, MarkResult, Watermarker

__all__ = [
    "P_DETECT",
    "MarkKey",
    "MarkKeys",
    "MarkResult",
    "Watermarker",
    "detect_mark",
    "embed_mark",
    "get_method",
    "load_mark_keys",
    "method_names",
    "nearest_original",
    "register_method",
    "without_mark",
]

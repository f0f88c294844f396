"""What a process does that parses strangers' files; it has no key, no database and no settings.

Loaded by :mod:`chopmark.workers.nursery`. Each function is given a file's bytes and answers with
raw pixels and plain values. What is imported here is loaded before any file comes.
"""

from __future__ import annotations

import base64
import dataclasses
import io
from typing import TYPE_CHECKING, Any, Final

import cv2
from PIL import Image, ImageOps

from chopmark.errors import ChopmarkError
from chopmark.kit.pictures import load_decoders, read_picture
from chopmark.kit.raw_picture import RawPicture
from chopmark.pipeline.worker_values import FILE_VALUES
from chopmark.provenance import read_ingredient, signed_copy
from chopmark.provenance.reading import FilesHere
from chopmark.safety import decode_image, decode_views
from chopmark.workers.interface import Answer, JobTable

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["alpha_mask", "open_jobs", "small_copy"]

_FILES: Final = FilesHere()


def open_jobs(_value: object) -> JobTable:
    """Return the jobs; every decoder is loaded by then."""
    load_decoders()
    cv2.setNumThreads(1)
    _warm()
    return JobTable(
        functions={
            "decode": _decode,
            "read_file": _read,
            "match_manifest": _match,
            "pixels_of_file": _pixels,
            "bare_file": _bare,
            "read_ingredient": _ingredient,
            "small_copy": _small,
            "alpha_mask": _mask,
        },
        values=FILE_VALUES,
    )


def small_copy(data: bytes, *, max_bytes: int, max_pixels: int, side: int) -> str | None:
    """Return a ``data:`` URL of what a viewer shows first, at most ``side`` pixels wide and high.

    It is encoded anew, so that nothing of the file but its pixels reaches a page. ``None`` where
    the bytes are no picture that we decode.
    """
    if len(data) > max_bytes:
        return None
    try:
        # The first of an animated PNG's pictures may be none of those that are shown.
        picture = read_picture(data, max_pixels=max_pixels, most_frames=2).front()
    except ChopmarkError:
        return None
    small = ImageOps.contain(picture, (side, side)) if max(picture.size) > side else picture
    out = io.BytesIO()
    small.save(out, "WEBP", quality=82)
    return "data:image/webp;base64," + base64.b64encode(out.getvalue()).decode()


def alpha_mask(data: bytes, *, max_bytes: int, max_pixels: int) -> bytes:
    """Return a mask in the pipeline's form (white is repainted) from OpenAI's (alpha 0 is).

    A mask without an alpha channel is passed on as it is. What colour stands below the alpha means
    nothing, and nothing of it gets through.

    Raises:
        ChopmarkError: The bytes are no picture, or over a limit.
    """
    # Every check of foreign pictures is there; what passed it opens here.
    decode_image(data, max_bytes=max_bytes, max_pixels=max_pixels)
    mask = next(read_picture(data, max_pixels=max_pixels, most_frames=1).plain())
    if mask.mode != "RGBA":
        return data
    out = io.BytesIO()
    ImageOps.invert(mask.getchannel("A")).convert("RGB").save(out, "PNG", compress_level=1)
    return out.getvalue()


def _decode(value: Any, buffers: Sequence[bytes]) -> Answer:
    still, all_views, limits = value
    if all_views:
        found = decode_views(buffers[0], **limits, still=still)
        pictures, missed = found.pictures, found.missed
    else:
        pictures, missed = (decode_image(buffers[0], **limits),), ""
    raw = [RawPicture.of(one) for one in pictures]
    return Answer(
        value={"pictures": [one.head for one in raw], "missed": missed},
        buffers=tuple(one.data for one in raw),
    )


def _read(value: Any, buffers: Sequence[bytes]) -> Answer:
    read = _FILES.read(buffers[0], *value)
    raw = [RawPicture.of(one) for one in read.images]
    fields = {one.name: getattr(read, one.name) for one in dataclasses.fields(read)}
    return Answer(
        value={**fields, "images": [one.head for one in raw]},
        buffers=tuple(one.data for one in raw),
    )


def _match(value: Any, buffers: Sequence[bytes]) -> Answer:
    anchors, limits, whole = value
    data, manifest = buffers
    match = _FILES.match(data, manifest, anchors, limits, whole=whole)
    return Answer(value=match.examined, buffers=() if match.whole is None else (match.whole,))


def _pixels(value: Any, buffers: Sequence[bytes]) -> Answer:
    raw = RawPicture.of(_FILES.pixels(buffers[0], value))
    return Answer(value=raw.head, buffers=(raw.data,))


def _bare(value: Any, buffers: Sequence[bytes]) -> Answer:
    without, image = _FILES.bare(buffers[0], value)
    raw = RawPicture.of(image)
    return Answer(value=raw.head, buffers=(without, raw.data))


def _ingredient(value: Any, buffers: Sequence[bytes]) -> Answer:
    return Answer(value=read_ingredient(buffers[0], value))


def _small(value: Any, buffers: Sequence[bytes]) -> Answer:
    within, limits = value
    data: bytes | None = signed_copy(buffers[0], of=within) if within else buffers[0]
    return Answer(value=None if data is None else small_copy(data, **limits))


def _mask(value: Any, buffers: Sequence[bytes]) -> Answer:
    return Answer(buffers=(alpha_mask(buffers[0], **value),))


def _warm() -> None:
    """Read one file of ours, so that nothing need be loaded when a stranger's comes."""
    from chopmark.provenance import Limits
    from chopmark.provenance.trust import TrustAnchors

    out = io.BytesIO()
    Image.new("RGB", (16, 16)).save(out, "PNG")
    _FILES.read(out.getvalue(), TrustAnchors(), Limits())
    small_copy(out.getvalue(), max_bytes=2**20, max_pixels=2**20, side=8)

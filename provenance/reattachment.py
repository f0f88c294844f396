"""Give a picture back the manifest that it lost: the file is again, byte for byte, what it was.

Only where nothing else was touched: the result is handed out when it validates, and never else.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from chopmark.errors import (
    Cancelled,
    ChopmarkError,
    ManifestNotFound,
    StageTimeout,
    UnsupportedImage,
    WorkError,
)
from chopmark.kit.fingerprint import MATCH_DISTANCE
from chopmark.provenance._formats import Limits, check_size
from chopmark.provenance._reinsertion import insert, remove
from chopmark.provenance.reading import FilesHere, PixelsHere
from chopmark.provenance.trust import TrustAnchors

if TYPE_CHECKING:
    from collections.abc import Sequence

    from chopmark.provenance.interface import ManifestRepository
    from chopmark.provenance.reading import ReadsFiles, ReadsPixels
    from chopmark.provenance.watermark import MarkKey

__all__ = ["insert", "reattach", "remove"]


def reattach(
    data: bytes,
    store: ManifestRepository,
    *,
    mark_keys: Sequence[MarkKey] = (),
    limits: Limits | None = None,
    files: ReadsFiles | None = None,
    pixels: ReadsPixels | None = None,
) -> bytes:
    """Return the file with the manifest that it lost.

    The manifest is looked for by watermark (with ``mark_keys``) and by fingerprint, and put back
    only if the whole then validates.

    Args:
        data: The file.
        store: Where manifests are kept.
        mark_keys: To look for our watermark with.
        limits: How large a file is looked at.
        files: Parses the file; in this process where none is given.
        pixels: Reads its pixels, likewise.

    Raises:
        ManifestNotFound: None of the store's manifests fits this very file.
        UnsupportedImage: A format whose manifests we do not put back (GIF, TIFF, HEIC).
        UnreadableImage: The bytes are no picture.
    """
    bounds = limits or Limits()
    files, pixels = files or FilesHere(), pixels or PixelsHere(mark_keys)
    kind = check_size(data, bounds)
    if kind not in {"png", "jpeg", "webp", "avif"}:
        raise UnsupportedImage(
            f"a manifest cannot be put back into {kind}", hint="png, jpeg, webp and avif can"
        )
    bare, image = files.bare(data, bounds)
    candidates: list[str] = []
    if mark_keys:
        try:
            found = pixels.mark(image, ("lattice",))
        except (Cancelled, StageTimeout, WorkError):
            raise
        except ChopmarkError:  # too small for a mark, say: the fingerprint is left
            found = None
        if found is not None and found.payload is not None:
            entry = store.by_output(found.payload.hex())
            candidates += [entry.manifest_id] if entry else []
    near = store.by_pdq(pixels.prints(image).pdq, max_distance=MATCH_DISTANCE)
    candidates += [match.entry.manifest_id for match in near]
    for name in dict.fromkeys(candidates):
        manifest = store.get(name)
        if manifest is None:
            continue
        match = files.match(bare, manifest, TrustAnchors(), bounds, whole=True)
        if match.whole is not None:
            return match.whole
    raise ManifestNotFound(
        "none of the manifests kept here fits this very file",
        hint="pixels or metadata were changed too; `verify` still shows which manifest it was",
    )

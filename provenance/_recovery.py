"""Find the manifest that a file has lost: by its watermark, then by its fingerprint."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from chopmark.errors import ChopmarkError
from chopmark.kit.fingerprint import (
    MATCH_DISTANCE,
    MIN_QUALITY,
    dihedral,
    distance,
    fingerprint,
    pixel_digest,
)
from chopmark.provenance import _native
from chopmark.provenance._carriers import read_manifest
from chopmark.provenance._examine import Examined, examine
from chopmark.provenance.report import Recovered

if TYPE_CHECKING:
    from PIL import Image

    from chopmark.provenance._formats import Limits
    from chopmark.provenance.interface import ManifestRepository
    from chopmark.provenance.report import WatermarkFinding
    from chopmark.provenance.store import StoredManifest
    from chopmark.provenance.trust import TrustAnchors

__all__ = ["Look", "recover"]

_STRONG_DISTANCE: Final = 10


@dataclass(kw_only=True)
class Look:
    """What one verification has in hand; the fingerprint is made only when asked for."""

    data: bytes
    mime: str
    image: Image.Image | None
    trusted: TrustAnchors
    bounds: Limits
    recovered_examined: Examined | None = None
    _pdq: tuple[str, int] | None = None

    def pdq(self) -> tuple[str, int] | None:
        """Return the fingerprint and its quality; None where the pixels cannot be decoded."""
        if self._pdq is None and self.image is not None:
            self._pdq = fingerprint(self.image)
        return self._pdq


def recover(
    look: Look, examined: Examined, mark: WatermarkFinding, store: ManifestRepository
) -> Recovered | None:
    """Find the manifest that was lost: by the watermark, then by the fingerprint."""
    if examined.manifest.state == "intact":
        return None
    entry = store.by_output(mark.payload) if mark.payload else None
    if entry is not None:
        far = _distance(look, entry)
        exact = _exact(look, entry, store)
        return Recovered(
            by="watermark",
            manifest_id=entry.manifest_id,
            output_id=entry.output_id or None,
            record_id=entry.record_id or None,
            distance=far,
            exact=exact,
            confidence="strong" if exact == "no" else "certain",
        )
    pdq = look.pdq()
    # A flat picture has nearly the same hash as every other flat picture.
    if pdq is None or pdq[1] < MIN_QUALITY:
        return None
    matches = store.by_pdq(pdq[0], max_distance=MATCH_DISTANCE)
    if not matches and look.image is not None:
        turned = [
            match
            for one in dihedral(look.image)[0][1:]
            for match in store.by_pdq(one, max_distance=MATCH_DISTANCE)
        ]
        matches = sorted(turned, key=lambda match: match.distance)
    if not matches:
        return None
    best = matches[0]
    exact = _exact(look, best.entry, store)
    guess = "likely" if best.distance <= _STRONG_DISTANCE else "possible"
    return Recovered(
        by="fingerprint",
        manifest_id=best.entry.manifest_id,
        output_id=best.entry.output_id or None,
        record_id=best.entry.record_id or None,
        distance=best.distance,
        exact=exact,
        confidence="certain" if exact != "no" else guess,  # type: ignore[arg-type]
    )


def _distance(look: Look, entry: StoredManifest) -> int | None:
    """How many fingerprint bits differ, turned and mirrored if need be; None if flat."""
    pdq = look.pdq()
    if pdq is None or look.image is None or not entry.pdq or pdq[1] < MIN_QUALITY:
        return None
    upright = distance(pdq[0], entry.pdq)
    if upright <= MATCH_DISTANCE:
        return upright
    return min(distance(one, entry.pdq) for one in dihedral(look.image)[0])


def _exact(look: Look, entry: StoredManifest, store: ManifestRepository) -> Any:
    """Tell how exactly the recovered manifest fits: ``file``, ``pixels`` or ``no``."""
    manifest = store.get(entry.manifest_id)
    if manifest is None:
        return "no"
    config = _native.settings(*look.trusted.native())
    with contextlib.suppress(_native.NoManifest, _native.RemoteOnly, _native.NativeRefusal):
        found = _native.read(look.data, look.mime, config, manifest=manifest)
        inner = examine(found, look.trusted)
        look.recovered_examined = inner
        if _fits(look, manifest):
            return "file"
    # Our own store's word, not the file's: it was written when the picture was signed.
    known = look.recovered_examined.pixels_sha256 if look.recovered_examined else None
    if known and look.image is not None:
        return "pixels" if pixel_digest(look.image) == known else "no"
    return "no"


def _fits(look: Look, manifest: bytes) -> bool:
    from chopmark.provenance.reattachment import insert

    try:
        whole = insert(look.data, manifest)
    except ChopmarkError:
        return False
    return read_manifest(whole, look.mime, look.trusted, look.bounds).manifest.state == "intact"

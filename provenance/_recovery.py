"""Find the manifest that a file has lost: by its watermark, then by its fingerprint."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from chopmark.kit.fingerprint import MATCH_DISTANCE, MIN_QUALITY, distance
from chopmark.provenance.report import Recovered

if TYPE_CHECKING:
    from chopmark.kit.raw_picture import Shown
    from chopmark.provenance._examine import Examined
    from chopmark.provenance._formats import Limits
    from chopmark.provenance.interface import ManifestRepository
    from chopmark.provenance.reading import Prints, ReadsFiles, ReadsPixels
    from chopmark.provenance.report import WatermarkFinding
    from chopmark.provenance.store import StoredManifest
    from chopmark.provenance.trust import TrustAnchors

__all__ = ["Look", "recover"]

_STRONG_DISTANCE: Final = 10


@dataclass(kw_only=True)
class Look:
    """What one verification has in hand; the fingerprint is made only when asked for.

    Attributes:
        only_picture: The file shows ``image`` and nothing else, in colours that say nothing of
            their own: only then can it show exactly the pixels that were signed.
    """

    data: bytes
    image: Shown | None
    trusted: TrustAnchors
    bounds: Limits
    files: ReadsFiles
    pixels: ReadsPixels
    only_picture: bool = True
    recovered_examined: Examined | None = None
    _prints: Prints | None = None

    def prints(self) -> Prints | None:
        """Return what identifies the pixels; None where they cannot be decoded."""
        if self._prints is None and self.image is not None:
            self._prints = self.pixels.prints(self.image)
        return self._prints


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
    prints = look.prints()
    # A flat picture has nearly the same hash as every other flat picture.
    if prints is None or prints.quality < MIN_QUALITY:
        return None
    matches = store.by_pdq(prints.pdq, max_distance=MATCH_DISTANCE)
    if not matches:
        turned = [
            match
            for one in prints.turned[1:]
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
    prints = look.prints()
    if prints is None or not entry.pdq or prints.quality < MIN_QUALITY:
        return None
    upright = distance(prints.pdq, entry.pdq)
    if upright <= MATCH_DISTANCE:
        return upright
    return min(distance(one, entry.pdq) for one in prints.turned)


def _exact(look: Look, entry: StoredManifest, store: ManifestRepository) -> Any:
    """Tell how exactly the recovered manifest fits: ``file``, ``pixels`` or ``no``."""
    manifest = store.get(entry.manifest_id)
    if manifest is None:
        return "no"
    match = look.files.match(look.data, manifest, look.trusted, look.bounds, whole=True)
    if match.examined is not None:
        look.recovered_examined = match.examined
        if match.whole is not None:
            return "file"
    # Our own store's word, not the file's: it was written when the picture was signed.
    known = look.recovered_examined.pixels_sha256 if look.recovered_examined else None
    prints = look.prints() if known and look.only_picture else None
    return "pixels" if prints is not None and prints.digest == known else "no"

"""One question, answered truthfully: where does this picture come from?

`verify` looks at the manifest, the metadata, the pixels, our log and our store, each on its own,
opens no connection, writes nothing and keeps nothing.
"""

from __future__ import annotations

import contextlib
import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from chopmark.errors import ChopmarkError, ImageTooLarge, ImageTooSmall
from chopmark.ids import record_of
from chopmark.provenance import _native
from chopmark.provenance._examine import Examined, examine
from chopmark.provenance._formats import Limits, check_size, mime_of, open_image
from chopmark.provenance._judge import Evidence, judge
from chopmark.provenance._pdq import (
    MATCH_DISTANCE,
    MIN_QUALITY,
    dihedral,
    distance,
    fingerprint,
    pixel_digest,
)
from chopmark.provenance.report import (
    AiSignal,
    CredentialFinding,
    ManifestFinding,
    Recovered,
    Report,
    TimeFinding,
    WatermarkFinding,
)
from chopmark.provenance.trust import TrustAnchors
from chopmark.provenance.xmp import read_xmp

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from PIL import Image

    from chopmark.provenance.store import Entry, ManifestStore
    from chopmark.provenance.watermark import MarkKey

__all__ = ["verify"]

_STRONG_DISTANCE: Final = 10
_SEARCH_METHODS: Final = ("lattice",)


def verify(
    data: bytes,
    *,
    anchors: TrustAnchors | None = None,
    mark_keys: Sequence[MarkKey] = (),
    mark_methods: Sequence[str] | None = None,
    store: ManifestStore | None = None,
    find_record: Callable[[str], dict[str, Any] | None] | None = None,
    limits: Limits | None = None,
    public: bool = False,
) -> Report:
    """Tell where a picture comes from, as far as it can be told.

    Args:
        data: The file.
        anchors: Whom to believe; without any, no signer is known.
        mark_keys: Keys to look for our watermark with; without any, it is not looked for.
        mark_methods: Watermark methods to look for; None asks for the default one.
        store: Manifests to recover one from that the file has lost.
        find_record: Looks a record id up in our log; ``made_here`` is said only where it finds
            it.
        limits: How large a file is looked at.
        public: Leave out what may name a person: the certificate's common name, an organisation
            that nobody vouches for, titles of inputs, addresses. California SB 942 asks this of
            a detector that is open to all.

    Raises:
        ImageTooLarge: Over a limit.
        UnreadableImage: The bytes are no picture, and carry no manifest either.
    """
    bounds = limits or Limits()
    trusted = (anchors or TrustAnchors()).fresh()
    kind = check_size(data, bounds)
    examined = _manifest(data, mime_of(kind), trusted, bounds)
    notes: list[str] = []
    if store is not None:
        examined = _with_update(data, mime_of(kind), examined, trusted, store, notes)
    image = _pixels(data, bounds, examined, notes)
    look = _Look(data=data, mime=mime_of(kind), image=image, trusted=trusted, bounds=bounds)
    xmp = read_xmp(data)
    if examined.ai_signal.state == "none" and xmp.says_ai:
        system = " ".join(word for word in (xmp.system, xmp.system_version) if word) or None
        found = dataclasses.replace(
            examined.ai_signal, state="metadata", source_type=xmp.source_type, system=system
        )
        examined = dataclasses.replace(examined, ai_signal=found)
    mark = _watermark(image, mark_keys, mark_methods, notes)
    recovered = _recover(look, examined, mark, store) if store is not None else None
    record, asked = _find_record(examined, mark, recovered, find_record)
    if public:
        examined = _without_names(examined)
    evidence = Evidence(
        examined=examined,
        watermark=mark,
        recovered=recovered,
        record=record,
        log_asked=asked,
        recovered_examined=look.recovered_examined,
    )
    mark, verdict, summary, more = judge(evidence)
    return Report(
        verdict=verdict,
        summary=summary,
        manifest=examined.manifest,
        credential=examined.credential,
        time=examined.time,
        ai_signal=examined.ai_signal,
        watermark=mark,
        ingredients=examined.ingredients,
        record=record,
        recovered=recovered,
        notes=(*notes, *more),
        format=kind,
    )


@dataclass(kw_only=True)
class _Look:
    """What one verification has in hand; the fingerprint is made only when asked for."""

    data: bytes
    mime: str
    image: Image.Image | None
    trusted: TrustAnchors
    bounds: Limits
    recovered_examined: Examined | None = None
    _pdq: tuple[str, int] | None = None

    def pdq(self) -> tuple[str, int] | None:
        if self._pdq is None and self.image is not None:
            self._pdq = fingerprint(self.image)
        return self._pdq


def _manifest(data: bytes, mime: str, trusted: TrustAnchors, bounds: Limits) -> Examined:
    config = _native.settings(*trusted.native(), max_manifest_bytes=bounds.max_manifest_bytes)
    try:
        found = _native.read(data, mime, config)
    except _native.NoManifest:
        provenance = read_xmp(data).provenance
        if provenance:
            return _without(ManifestFinding(state="remote_only", address=provenance[:2048]))
        return _without(ManifestFinding(state="absent"))
    except _native.RemoteOnly as elsewhere:
        return _without(ManifestFinding(state="remote_only", address=elsewhere.address[:2048]))
    except _native.Refused as refusal:
        return _without(ManifestFinding(state="malformed", problems=(str(refusal)[:500],)))
    examined = examine(found, trusted, max_manifests=bounds.max_manifests)
    if examined.neighbour:
        # One of our CAs signed it, for somebody else: ask again what others say of that CA.
        others = tuple(one for one in trusted.lists if one.kind != "own" or not one.serials)
        return _manifest(data, mime, TrustAnchors(lists=others), bounds)
    return examined


def _without_names(examined: Examined) -> Examined:
    known = examined.credential.state == "trusted"
    return dataclasses.replace(
        examined,
        manifest=dataclasses.replace(examined.manifest, address=None),
        credential=dataclasses.replace(
            examined.credential, name=None, issuer=examined.credential.issuer if known else None
        ),
        ingredients=tuple(dataclasses.replace(one, title=None) for one in examined.ingredients),
    )


def _with_update(
    data: bytes,
    mime: str,
    examined: Examined,
    trusted: TrustAnchors,
    store: ManifestStore,
    notes: list[str],
) -> Examined:
    """Look with the time stamp that came after the picture had left, if we keep one for it."""
    if examined.manifest.id is None or examined.time.state != "absent":
        return examined
    entry = store.entry(examined.manifest.id)
    update = store.get(entry.updated_by) if entry and entry.updated_by else None
    if update is None:
        return examined
    try:
        found = _native.read(data, mime, _native.settings(*trusted.native()), manifest=update)
    except (_native.NoManifest, _native.RemoteOnly, _native.Refused):
        return examined
    updated = examine(found, trusted)
    same = updated.manifest.updates == examined.manifest.id
    if not same or updated.manifest.state != examined.manifest.state:
        return examined
    notes.append("Its time stamp was added after it had left, and is kept in our store.")
    return updated


def _without(finding: ManifestFinding) -> Examined:
    return Examined(
        manifest=finding,
        credential=CredentialFinding(state="absent"),
        time=TimeFinding(state="absent"),
        ai_signal=AiSignal(state="none"),
        ingredients=(),
        ancestor_outputs=frozenset(),
        pixels_sha256=None,
        action=None,
    )


def _pixels(
    data: bytes, bounds: Limits, examined: Examined, notes: list[str]
) -> Image.Image | None:
    try:
        return open_image(data, bounds)
    except ImageTooLarge:
        raise
    except ChopmarkError as error:
        # With a manifest there is still something to say; without one there is nothing at all.
        if examined.manifest.state == "absent":
            raise
        notes.append(f"The pixels could not be looked at: {error.message}.")
        return None


def _watermark(
    image: Image.Image | None,
    keys: Sequence[MarkKey],
    methods: Sequence[str] | None,
    notes: list[str],
) -> WatermarkFinding:
    if image is None or not keys:
        return WatermarkFinding(state="none")
    from chopmark.provenance.watermark import detect_mark

    try:
        result = detect_mark(image, keys=keys, methods=tuple(methods or _SEARCH_METHODS))
    except ImageTooSmall:
        notes.append("The picture is too small to carry a watermark.")
        return WatermarkFinding(state="none")
    except ChopmarkError as error:
        notes.append(f"The watermark could not be looked for: {error.message}.")
        return WatermarkFinding(state="none")
    return WatermarkFinding(
        state="detected" if result.detected else "none",
        payload=result.payload.hex() if result.detected and result.payload else None,
        p_value=float(result.p_value),
        method=result.method if result.detected else None,
        searched=True,
    )


def _recover(
    look: _Look, examined: Examined, mark: WatermarkFinding, store: ManifestStore
) -> Recovered | None:
    """Find the manifest that was lost: by the watermark, then by the fingerprint."""
    if examined.manifest.state == "intact":
        return None
    entry = store.by_output(mark.payload) if mark.payload else None
    pdq = look.pdq()
    if entry is not None:
        far = distance(pdq[0], entry.pdq) if pdq and entry.pdq else None
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
    # A flat picture has nearly the same hash as every other flat picture.
    if pdq is None or pdq[1] < MIN_QUALITY:
        return None
    matches = store.by_pdq(pdq[0], max_distance=MATCH_DISTANCE)
    if not matches and look.image is not None:
        turned = [
            match
            for one in dihedral(look.image)[1:]
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


def _exact(look: _Look, entry: Entry, store: ManifestStore) -> Any:
    """Tell how exactly the recovered manifest fits: ``file``, ``pixels`` or ``no``."""
    manifest = store.get(entry.manifest_id)
    if manifest is None:
        return "no"
    config = _native.settings(*look.trusted.native())
    with contextlib.suppress(_native.NoManifest, _native.RemoteOnly, _native.Refused):
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


def _fits(look: _Look, manifest: bytes) -> bool:
    from chopmark.provenance.reattaching import insert

    try:
        whole = insert(look.data, manifest)
    except ChopmarkError:
        return False
    return _manifest(whole, look.mime, look.trusted, look.bounds).manifest.state == "intact"


def _find_record(
    examined: Examined,
    mark: WatermarkFinding,
    recovered: Recovered | None,
    find: Callable[[str], dict[str, Any] | None] | None,
) -> tuple[dict[str, Any] | None, bool]:
    """Ask the log: by our own manifest, else by the watermark, else by a recovered manifest."""
    if find is None:
        return None, False
    # A stranger can write any record id into a manifest: only our own credential's word counts,
    # and it alone, or a mark from an input could vouch for a manifest that was never booked.
    if examined.manifest.state == "intact" and examined.credential.own:
        names = [examined.manifest.output_id]
    else:
        names = [mark.payload, recovered.output_id if recovered else None]
    for name in filter(None, names):
        with contextlib.suppress(ChopmarkError):
            found = find(record_of(name))
            if found is not None:
                return found, True
    return None, True

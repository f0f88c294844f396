"""One question, answered truthfully: where does this picture come from?

`verify` looks at the manifest, the metadata, the pixels, our log and our store, each on its own,
opens no connection, writes nothing and keeps nothing.
"""

from __future__ import annotations

import dataclasses
import logging
from typing import TYPE_CHECKING, Any, Final, Literal

from chopmark.errors import Cancelled, ChopmarkError, ImageTooSmall, StageTimeout, WorkError
from chopmark.kit.fingerprint import MIN_QUALITY
from chopmark.kit.ids import record_of
from chopmark.kit.plain_text import plain_values
from chopmark.provenance._carriers import with_update, without
from chopmark.provenance._evidence import VerifyEvidence
from chopmark.provenance._formats import Limits
from chopmark.provenance._frames import MOSTLY_THERE, look_at_frames
from chopmark.provenance._judge import judge
from chopmark.provenance._metadata_signal import metadata_signal
from chopmark.provenance._names import without_persons
from chopmark.provenance._recovery import Look, recover
from chopmark.provenance._screen import looks_like_a_screen
from chopmark.provenance._steps import stepped_distance, stepped_mark
from chopmark.provenance.reading import FilesHere, PixelsHere
from chopmark.provenance.report import (
    Frames,
    ManifestFinding,
    Recovered,
    Report,
    WatermarkFinding,
)
from chopmark.provenance.trust import TrustAnchors

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from chopmark.kit.raw_picture import Shown
    from chopmark.provenance._examine import Examined
    from chopmark.provenance.interface import ManifestRepository
    from chopmark.provenance.reading import ReadsFiles, ReadsPixels
    from chopmark.provenance.watermark import MarkKey

__all__ = ["verify"]

_LOG: Final = logging.getLogger(__name__)
_SEARCH_METHODS: Final = ("lattice",)
_SIDES: Final = 4


def verify(
    data: bytes,
    *,
    anchors: TrustAnchors | None = None,
    mark_keys: Sequence[MarkKey] = (),
    mark_methods: Sequence[str] | None = None,
    store: ManifestRepository | None = None,
    find_record: Callable[[str], dict[str, Any] | None] | None = None,
    limits: Limits | None = None,
    public: bool = False,
    files: ReadsFiles | None = None,
    pixels: ReadsPixels | None = None,
    sidecar: bytes | None = None,
    linked: str | None = None,
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
            that bears it, titles of inputs, addresses. California SB 942 asks this of a detector
            that is open to all. And give ``p_value`` and distances in steps only.
        files: Parses the file; in this process where none is given.
        pixels: Reads its pixels, likewise. It has the keys then, and ``mark_keys`` says only
            whether there are any.
        sidecar: A manifest store (JUMBF) that came beside the file, in place of one within it.
        linked: Where whoever serves the file says that its manifest is; named, not visited.

    Raises:
        ImageTooLarge: Over a limit.
        UnreadableImage: The bytes are no picture, and carry no manifest either.
    """
    bounds = limits or Limits()
    files, pixels = files or FilesHere(), pixels or PixelsHere(mark_keys)
    trusted = (anchors or TrustAnchors()).fresh()
    read = files.read(data, trusted, bounds)
    examined = read.examined
    notes: list[str] = []
    if sidecar is not None:
        examined = _beside(data, sidecar, trusted, bounds, files, notes)
    if linked is not None and examined.manifest.state == "absent":
        examined = without(ManifestFinding(state="remote_only", address=linked[:2048]))
    if store is not None:
        examined = with_update(
            examined,
            store,
            lambda manifest: files.match(data, manifest, trusted, bounds, whole=False).examined,
            notes,
        )
    if read.undecoded:
        advice = f" What can be done: {read.advice}." if read.advice else ""
        notes.append(f"Not all of it could be looked at: {read.undecoded}.{advice}")
    notes += [f"The file is damaged: {one}." for one in read.damage]
    if read.behind:
        notes.append(
            f"Behind the end of the picture stand {read.behind:,} bytes more. No viewer shows them "
            "as a part of it, and they were not looked at: a phone's short video, perhaps."
        )
    stale = [one for one in trusted.lists if one.kind == "manifest" and one.is_stale()]
    if stale and examined.credential.state == "untrusted":
        names = ", ".join(one.name for one in stale)
        notes.append(f"A list of signers ({names}) is out of date here; a newer may know this one.")
    # A file may say anything: what is shown of it moves no cursor and turns no line.
    examined, told = plain_values(examined), plain_values(read.metadata)
    metadata = metadata_signal(told)
    if examined.ai_signal.state == "none" and metadata is not None:
        said = dataclasses.replace(metadata, denied=examined.ai_signal.denied)
        examined = dataclasses.replace(examined, ai_signal=said)
    methods = mark_methods if mark_keys else ()
    frames = look_at_frames(read, lambda image: _watermark(image, pixels, methods, notes))
    mark = frames.finding
    notes += [frames.note] if frames.note else []
    look = Look(
        data=data,
        image=frames.picture,
        trusted=trusted,
        bounds=bounds,
        files=files,
        pixels=pixels,
        only_picture=read.only_picture and frames.as_shown,
    )
    recovered = recover(look, examined, mark, store) if store is not None else None
    if recovered is not None and look.recovered_examined is not None:
        edited = look.recovered_examined.action == "c2pa.opened"
        recovered = dataclasses.replace(recovered, edited=edited)
    record, asked = _find_record(examined, mark, recovered, find_record)
    if public:
        examined = without_persons(examined)
        mark, recovered = stepped_mark(mark), stepped_distance(recovered)
    evidence = VerifyEvidence(
        examined=examined,
        metadata=metadata,
        watermark=mark,
        recovered=recovered,
        record=record,
        log_asked=asked == "answered",
        log_failed=asked == "failed",
        likeness=_not_compared(look, examined, store, whole=read.share >= MOSTLY_THERE),
        unread=", ".join(told.unread),
        cut_off=read.share < 1,
        screenshot=mark.state == "none"
        and frames.picture is not None
        and looks_like_a_screen(frames.picture),
    )
    judgement = judge(evidence)
    return Report(
        verdict=judgement.verdict,
        summary=judgement.summary,
        manifest=examined.manifest,
        credential=examined.credential,
        time=examined.time,
        ai_signal=examined.ai_signal,
        watermark=judgement.watermark,
        techniques=judgement.techniques,
        identity=examined.identity,
        ingredients=examined.ingredients,
        record=record,
        recovered=recovered,
        notes=(*notes, *judgement.notes),
        format=read.kind,
        frames=Frames(in_file=read.in_file, looked_at=len(read.images)),
        signals=told.mentions,
    )


def _beside(
    data: bytes,
    sidecar: bytes,
    trusted: TrustAnchors,
    bounds: Limits,
    files: ReadsFiles,
    notes: list[str],
) -> Examined:
    """Return what a manifest store beside the file answers."""
    notes.append("Its manifest was given beside the file; one within it was not looked at.")
    found = None
    if len(sidecar) <= bounds.max_manifest_bytes:
        found = files.match(data, sidecar, trusted, bounds, whole=False).examined
    if found is not None:
        return found
    problem = "what was given beside the file is no manifest that can be read"
    return without(ManifestFinding(state="malformed", problems=(problem,)))


def _watermark(
    image: Shown,
    pixels: ReadsPixels,
    methods: Sequence[str] | None,
    notes: list[str],
) -> WatermarkFinding:
    """Look for our mark. No methods (an empty sequence): there is no key to look with."""
    if methods is not None and not methods:
        return WatermarkFinding(state="none")
    try:
        result = pixels.mark(image, tuple(methods or _SEARCH_METHODS))
    except ImageTooSmall:
        notes.append("The picture is too small to carry a watermark.")
        return WatermarkFinding(state="none", reason="the picture is too small to carry one")
    except (Cancelled, StageTimeout, WorkError):
        raise  # nobody has looked: that is not to read as a picture without a mark
    except ChopmarkError as error:
        notes.append(f"The watermark could not be looked for: {error.message}.")
        return WatermarkFinding(state="not_examined", reason=error.message)
    agreeing = result.details.get("content_bits_agreeing")
    box = result.details.get("box") if result.detected else None
    return WatermarkFinding(
        state="detected" if result.detected else "none",
        payload=result.payload.hex() if result.detected and result.payload else None,
        p_value=float(result.p_value),
        method=result.method if result.detected else None,
        searched=True,
        content_agreeing=agreeing if result.detected and isinstance(agreeing, int) else None,
        box=_four(box),
    )


def _four(box: object) -> tuple[int, int, int, int] | None:
    """A place in a picture, of a method that tells one."""
    if not isinstance(box, list) or len(box) != _SIDES:
        return None
    left, top, width, height = (int(side) for side in box)
    return left, top, width, height


def _not_compared(
    look: Look, examined: Examined, store: ManifestRepository | None, *, whole: bool
) -> str:
    """Return why likeness to pictures made here was not looked for; empty where it was."""
    if store is None:
        return "no pictures are known here"
    if examined.manifest.state == "intact":
        return "its own manifest is intact"
    if look.image is None:
        return "the pixels could not be read"
    if not whole:
        return "a part of its pixels is not there"
    prints = look.prints()
    if prints is not None and prints.quality < MIN_QUALITY:
        return "it has too few features for that"
    return ""


def _find_record(
    examined: Examined,
    mark: WatermarkFinding,
    recovered: Recovered | None,
    find: Callable[[str], dict[str, Any] | None] | None,
) -> tuple[dict[str, Any] | None, Literal["answered", "failed", "nobody"]]:
    """Ask the log: by our own manifest, else by the watermark, else by a recovered manifest.

    A log that cannot be read knows nothing; that is not the same as having no such record.
    """
    if find is None:
        return None, "nobody"
    # A stranger can write any record id into a manifest: only our own credential's word counts,
    # and it alone, or a mark from an input could vouch for a manifest that was never booked.
    if examined.manifest.state == "intact" and examined.credential.own:
        names = [examined.manifest.output_id]
    else:
        names = [mark.payload, recovered.output_id if recovered else None]
    asked: Literal["answered", "failed"] = "answered"
    for name in filter(None, names):
        try:
            found = find(record_of(name))
        except ChopmarkError as error:
            _LOG.warning("the log could not be asked: %s", error.message)
            asked = "failed"
        else:
            if found is not None:
                return found, "answered"
    return None, asked

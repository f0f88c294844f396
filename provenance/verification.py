"""One question, answered truthfully: where does this picture come from?

`verify` looks at the manifest, the metadata, the pixels, our log and our store, each on its own,
opens no connection, writes nothing and keeps nothing.
"""

from __future__ import annotations

import contextlib
import dataclasses
from typing import TYPE_CHECKING, Any, Final

from chopmark.errors import Cancelled, ChopmarkError, ImageTooSmall, StageTimeout, WorkError
from chopmark.kit.ids import record_of
from chopmark.provenance._carriers import with_update
from chopmark.provenance._formats import Limits
from chopmark.provenance._judge import VerifyEvidence, judge
from chopmark.provenance._recovery import Look, recover
from chopmark.provenance._steps import stepped_distance, stepped_mark
from chopmark.provenance.reading import FilesHere, PixelsHere
from chopmark.provenance.report import Recovered, Report, WatermarkFinding
from chopmark.provenance.trust import TrustAnchors

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from chopmark.kit.raw_picture import Shown
    from chopmark.provenance._examine import Examined
    from chopmark.provenance.interface import ManifestRepository
    from chopmark.provenance.reading import ReadsFiles, ReadsPixels
    from chopmark.provenance.watermark import MarkKey

__all__ = ["verify"]

_SEARCH_METHODS: Final = ("lattice",)


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
            a detector that is open to all. And give ``p_value`` and distances in steps only.
        files: Parses the file; in this process where none is given.
        pixels: Reads its pixels, likewise. It has the keys then, and ``mark_keys`` says only
            whether there are any.

    Raises:
        ImageTooLarge: Over a limit.
        UnreadableImage: The bytes are no picture, and carry no manifest either.
    """
    bounds = limits or Limits()
    files, pixels = files or FilesHere(), pixels or PixelsHere(mark_keys)
    trusted = (anchors or TrustAnchors()).fresh()
    read = files.read(data, trusted, bounds)
    examined, xmp, image = read.examined, read.xmp, read.image
    notes: list[str] = []
    if store is not None:
        examined = with_update(
            examined,
            store,
            lambda manifest: files.match(data, manifest, trusted, bounds, whole=False).examined,
            notes,
        )
    if image is None:
        notes.append(f"The pixels could not be looked at: {read.undecoded}.")
    look = Look(data=data, image=image, trusted=trusted, bounds=bounds, files=files, pixels=pixels)
    if examined.ai_signal.state == "none" and xmp.says_ai:
        system = " ".join(word for word in (xmp.system, xmp.system_version) if word) or None
        found = dataclasses.replace(
            examined.ai_signal, state="metadata", source_type=xmp.source_type, system=system
        )
        examined = dataclasses.replace(examined, ai_signal=found)
    mark = _watermark(image if mark_keys else None, pixels, mark_methods, notes)
    recovered = recover(look, examined, mark, store) if store is not None else None
    record, asked = _find_record(examined, mark, recovered, find_record)
    if public:
        examined = _without_names(examined)
        mark, recovered = stepped_mark(mark), stepped_distance(recovered)
    evidence = VerifyEvidence(
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
        identity=examined.identity,
        ingredients=examined.ingredients,
        record=record,
        recovered=recovered,
        notes=(*notes, *more),
        format=read.kind,
    )


def _without_names(examined: Examined) -> Examined:
    known = examined.credential.state == "trusted"
    return dataclasses.replace(
        examined,
        manifest=dataclasses.replace(examined.manifest, address=None),
        credential=dataclasses.replace(
            examined.credential, name=None, issuer=examined.credential.issuer if known else None
        ),
        ingredients=tuple(dataclasses.replace(one, title=None) for one in examined.ingredients),
        identity=dataclasses.replace(examined.identity, name=None, issuer=None),
    )


def _watermark(
    image: Shown | None,
    pixels: ReadsPixels,
    methods: Sequence[str] | None,
    notes: list[str],
) -> WatermarkFinding:
    if image is None:
        return WatermarkFinding(state="none")
    try:
        result = pixels.mark(image, tuple(methods or _SEARCH_METHODS))
    except ImageTooSmall:
        notes.append("The picture is too small to carry a watermark.")
        return WatermarkFinding(state="none")
    except (Cancelled, StageTimeout, WorkError):
        raise  # nobody has looked: that is not to read as a picture without a mark
    except ChopmarkError as error:
        notes.append(f"The watermark could not be looked for: {error.message}.")
        return WatermarkFinding(state="none")
    agreeing = result.details.get("content_bits_agreeing")
    return WatermarkFinding(
        state="detected" if result.detected else "none",
        payload=result.payload.hex() if result.detected and result.payload else None,
        p_value=float(result.p_value),
        method=result.method if result.detected else None,
        searched=True,
        content_agreeing=agreeing if result.detected and isinstance(agreeing, int) else None,
    )


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

"""What can be known of a picture that exists: nothing is made, and no picture is kept."""

from __future__ import annotations

import contextlib
import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING

from chopmark.errors import RecordNotFound
from chopmark.pipeline.maker import CLAIMED
from chopmark.pipeline.originals import find_original
from chopmark.pipeline.steps import Case, in_thread
from chopmark.pipeline.withdrawals import standing_manifests

if TYPE_CHECKING:
    from chopmark.kit.types import JsonValue
    from chopmark.pipeline.parts import Parts
    from chopmark.pipeline.steps import Steps
    from chopmark.provenance import Limits, Report
    from chopmark.settings import Settings

__all__ = ["Verification", "examine", "find_record", "reattach", "verify"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Verification:
    """What is known of a picture, and where it is booked that somebody asked."""

    record_id: str
    report: Report


def examine(
    parts: Parts,
    data: bytes,
    *,
    public: bool = False,
    sidecar: bytes | None = None,
    linked: str | None = None,
) -> Report:
    """Tell what can be known of a picture: nothing is booked, kept or fetched.

    Args:
        parts: Where keys, manifests and the log are.
        data: The file.
        public: Leave out whatever may name a person, as a public detector must.
        sidecar: A manifest store that came beside the file.
        linked: Where whoever serves the file says that its manifest is.

    Raises:
        ChopmarkError: The bytes are no picture, or over a limit.
    """
    from chopmark.provenance import verify

    settings = parts.settings
    # Somebody who only asks about a picture must not come to own keys and a log by it.
    report = verify(
        data,
        anchors=parts.anchors,
        mark_keys=parts.mark_keys.all if parts.exists("mark_keys") else (),
        mark_methods=(settings.mark_method,),
        store=parts.store if parts.exists("store") else None,
        find_record=(lambda name: find_record(parts, name))
        if parts.exists("request_log")
        else None,
        public=public,
        files=parts.files,
        pixels=parts.pixels,
        limits=_limits(settings),
        sidecar=sidecar,
        linked=linked,
    )
    return dataclasses.replace(report, original=find_original(parts, data, report))


async def verify(
    steps: Steps, data: bytes, *, tenant: str, linked: str | None = None
) -> Verification:
    """:func:`examine`, with a record that somebody asked and what the verdict was.

    The record holds neither the picture nor a digest of it (California SB 942 asks of a public
    detector that it keeps nothing of what it is shown).
    """
    case = Case(tenant=tenant)
    report = await in_thread(lambda: examine(steps.parts, data, public=True, linked=linked))
    record = await steps.book(case, "completed", "verify.completed", {"verdict": report.verdict})
    return Verification(record_id=record.record_id, report=report)


def reattach(parts: Parts, data: bytes) -> bytes:
    """Return a file of ours with the manifest that it lost, byte for byte what left.

    Raises:
        ManifestNotFound: No kept manifest fits this very file, or it was withdrawn.
        ChopmarkError: The bytes are no picture, or of a format that cannot take one back.
    """
    from chopmark.provenance import reattach as with_manifest

    return with_manifest(
        data,
        standing_manifests(parts),
        mark_keys=parts.mark_keys.all,
        limits=_limits(parts.settings),
        files=parts.files,
        pixels=parts.pixels,
    )


def find_record(parts: Parts, record_id: str) -> dict[str, JsonValue] | None:
    """Return what the log says of a request whose pictures left, or ``None``.

    A request that never completed has no record here: its pictures never left.
    """
    from chopmark.audit import withdrawn_at

    with contextlib.suppress(RecordNotFound):
        records = parts.request_log.records(record_id)
        since = withdrawn_at(records)
        # What was held for review leaves only when the desk lets it out.
        for record in records:
            if record.kind in {"request.completed", "output.released"}:
                model = record.public.get("model") or records[0].public.get("model")
                return {
                    "record_id": record.record_id,
                    "index": record.index,
                    "time": record.time,
                    "model": model,
                    # What another generator made, says whoever sent it, was sealed here.
                    "sealed": model == CLAIMED,
                    "leaf_hash": record.leaf_hash,
                    "withdrawn": since is not None,
                    "withdrawn_at": since,
                }
    return None


def _limits(settings: Settings) -> Limits:
    from chopmark.provenance import Limits

    return Limits(max_bytes=settings.max_image_bytes, max_pixels=settings.max_image_pixels)

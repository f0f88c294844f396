"""What a picture was once, in small, to be looked at beside what it is now.

Two sources: the file's own credentials, where their signer put a copy in; and what left here, where
the deployer says that it is public (``CHOPMARK_PUBLIC_COPIES``). Such a copy lies sealed beside the
record of its request, under the key of the person who asked: it goes when that content goes. None
is kept of what anything was flagged in, and none is shown of what the desk withdrew.
"""

from __future__ import annotations

import base64
import logging
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from chopmark.errors import ChopmarkError, InvalidRequest, RecordNotFound
from chopmark.kit.ids import record_of
from chopmark.pipeline.review_copy import may_be_kept
from chopmark.pipeline.withdrawals import withdrawn

if TYPE_CHECKING:
    from collections.abc import Sequence

    from chopmark.pipeline.parts import Parts
    from chopmark.pipeline.released import Output, Released
    from chopmark.provenance import Report
    from chopmark.provenance.report import Original
    from chopmark.safety import Verdict

__all__ = ["SIDE", "find_original", "keep_public_copies"]

_LOG = logging.getLogger(__name__)
SIDE: Final = 640
"""Most pixels a side of what is shown on a page."""
_PREFIX: Final = "public:"  # chopmark.audit.custody.attachments.PUBLIC_PREFIX
_KIND: Final = "data:image/webp;base64,"
_FOREVER: Final = timedelta(days=36_500)
# What comes of pixels that were changed, or that look like others.
_CHANGED: Final = frozenset(
    {"marked_but_altered", "edited_after_signing", "contradictory", "resembles_ours"}
)
# The file's bytes do not fit any more; whatever the credentials themselves hold is as it was.
_CONTENT: Final = frozenset(f"assertion.{kind}Hash.mismatch" for kind in ("data", "bmff", "boxes"))


def find_original(parts: Parts, data: bytes, report: Report) -> Original | None:
    """Return what a file was once, where there is something to compare and a copy is at hand.

    What left here comes first; a failure to find it is no copy.

    Args:
        parts: Whose log and settings; its ``files`` read the file's own credentials.
        data: The file.
        report: What was found in it.
    """
    from chopmark.provenance.report import Original

    if report.verdict in _CHANGED:
        name = report.recovered.output_id if report.recovered else None
        name = name or (report.watermark.payload if report.record else None)
        shown = _released(parts, name) if name else None
        if shown is not None:
            return Original(source="released", picture=shown, output_id=name)
    state = report.manifest.state
    if state == "broken" and _CONTENT.issuperset(report.manifest.problems):
        copy = parts.files.small_copy(data, side=SIDE, within="signed")
        return Original(source="signed", picture=copy) if copy else None
    if state == "intact" and report.verdict in {"edited_after_signing", "edited_by_ai_elsewhere"}:
        copy = parts.files.small_copy(data, side=SIDE, within="input")
        return Original(source="input", picture=copy) if copy else None
    return None


def keep_public_copies(parts: Parts, released: Released, inputs: Sequence[Verdict] = ()) -> None:
    """Keep small copies of what leaves, where the deployer says that it is public.

    Nobody waits for it, and a failure is logged.

    Args:
        parts: Whose log keeps them.
        released: What leaves.
        inputs: Verdicts on the input pictures.
    """
    if not parts.settings.public_copies:
        return
    others = (released.prompt_verdict, *inputs)
    outputs = [
        output
        for output in released.outputs
        if all(one.action == "allow" for one in (output.verdict, *others))
        and may_be_kept((output.verdict, *others))
    ]
    if outputs:
        parts.answer_cache.later.do(lambda: _keep(parts, released.record_id, outputs))


def _keep(parts: Parts, record_id: str, outputs: Sequence[Output]) -> None:
    log = parts.request_log
    try:
        files = {}
        for output in outputs:
            copy = parts.files.small_copy(output.data, side=SIDE)
            if copy is not None:
                files[_PREFIX + output.output_id] = base64.b64decode(copy.removeprefix(_KIND))
        log.custody.attachments.keep(
            log.records(record_id)[0].index,
            files,
            most_bytes=parts.settings.public_copies_mb * 2**20,
        )
    except ChopmarkError as error:
        _LOG.error("public copies of record %s were not kept", record_id, exc_info=error)


def _released(parts: Parts, output_id: str) -> str | None:
    """Return the copy of a picture that left and is public; None where nobody may see one."""
    if not (parts.settings.public_copies and parts.exists("request_log")):
        return None
    log = parts.request_log
    try:
        if withdrawn(parts, output_id) is not None:
            return None
        records = log.records(record_of(output_id))
        if not any(record.kind == "request.completed" for record in records):
            return None
        kept = log.custody.attachments.of(records[0].index, younger_than=_FOREVER)
    except (InvalidRequest, RecordNotFound):
        return None
    except ChopmarkError as error:
        _LOG.warning("no public copy of output %s: %s", output_id, error.message)
        return None
    data = (kept or {}).get(_PREFIX + output_id)
    return None if data is None else _KIND + base64.b64encode(data).decode()

"""Requests that are turned away before anything is judged: they are booked all the same.

What one person asked for is to be found whole, most of all of whoever was refused too often.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from chopmark.pipeline import events
from chopmark.pipeline.cases import open_case

if TYPE_CHECKING:
    from chopmark.errors import ChopmarkError
    from chopmark.pipeline.parts import Parts
    from chopmark.pipeline.request import GenerationRequest, SealRequest

__all__ = ["book_turned_away"]


def book_turned_away(
    parts: Parts, request: GenerationRequest | SealRequest, error: ChopmarkError
) -> str:
    """Book a request and that it ended at once, with this error; return the record's id.

    Raises:
        InvalidRequest: Nothing could have been made of it.
        LogUnavailable: It cannot be booked.
    """
    from chopmark.audit import Event

    case = open_case(parts, request, None, None)
    public, personal = events.received(case)
    kind, ended, _ = events.ended(error, "received", review_copies={})
    for event, shown, private in (("request.received", public, personal), (kind, ended, {})):
        parts.request_log.append(
            Event(
                kind=event,  # type: ignore[arg-type]
                record_id=case.record_id,
                tenant=case.tenant,
                subject=case.subject,
                public=shown,
                private=private,
            )
        )
    return case.record_id

"""Records in a list: who asked, and for an investigator who says why, the prompt and pictures."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from chopmark.pipeline.steps import in_thread
from chopmark.web.console.content import thumbs_of
from chopmark.web.console.desk import desk_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fastapi import Request

    from chopmark.audit import Hit
    from chopmark.web.viewers import Viewer

__all__ = ["Result", "results_of"]


@dataclass(frozen=True, kw_only=True)
class Result:
    """One row.

    Attributes:
        hit: What was found.
        person: Who asked, as ``TENANT:IDENTIFIER``; None where nobody was named, or was erased.
        prompt: What was asked for; empty where it may not be seen, is sealed or erased.
        thumbs: ``data:`` URLs of the pictures that a guard flagged: small, grey and blurred.
    """

    hit: Hit
    person: str | None
    prompt: str = ""
    thumbs: tuple[str, ...] = ()


async def results_of(
    request: Request, viewer: Viewer, hits: Sequence[Hit], why: str
) -> list[Result]:
    """Return the rows of a list of records.

    Args:
        request: Of the page.
        viewer: Who looks.
        hits: What was found.
        why: For what their content is looked at, booked as one look at all of them; empty for
            whoever may not, or does not want to.
    """
    if not hits:
        return []
    desk = await desk_of(request, viewer, why or "a list of records")

    def found() -> list[Result]:
        persons = desk.people.of_records([hit.record_id for hit in hits])
        if not why:
            return [Result(hit=hit, person=persons.get(hit.record_id)) for hit in hits]
        glances = desk.glances(hits)
        rows = []
        for hit in hits:
            glance = glances.get(hit.record_id)
            rows.append(
                Result(
                    hit=hit,
                    person=persons.get(hit.record_id),
                    prompt=glance.prompt if glance else "",
                    thumbs=tuple(thumbs_of(glance.copies)) if glance else (),
                )
            )
        return rows

    return await in_thread(found)

"""What a batch must know of the log before it is appended: open requests, events booked before.

It is asked for the whole batch in a few statements, not event by event: the write lock is held.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from chopmark.audit.log.events import TERMINAL
from chopmark.audit.log.schema import record_range
from chopmark.errors import DuplicateRecord

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from chopmark.audit.log.events import Event
    from chopmark.audit.log.job import Job
    from chopmark.kit.database import Row, Transaction

__all__ = ["CLOSING", "booked_before", "likely_retries", "still_open", "why_closed"]

CLOSING: Final = frozenset({"request.completed", "request.failed", "request.refused"})
"""The kinds that end a request; each takes one out of the list of open requests."""
_CHUNK: Final = 500  # names in one statement; both databases take more


def _chunks(names: Iterable[str]) -> Iterator[tuple[str, list[str]]]:
    """Give the names in groups, each with as many question marks."""
    listed = list(names)
    for i in range(0, len(listed), _CHUNK):
        part = listed[i : i + _CHUNK]
        yield ", ".join("?" * len(part)), part


def booked_before(transaction: Transaction, jobs: list[Job]) -> dict[str, Row]:
    """Return event id, index and leaf of those of the events that are booked, by event id."""
    found: dict[str, Row] = {}
    for marks, part in _chunks(job.event.event_id for job in jobs):
        for row in transaction.execute(
            f"SELECT event_id, idx, leaf FROM entry WHERE event_id IN ({marks})",  # noqa: S608 - marks only
            part,
        ):
            found[row[0]] = row
    return found


def still_open(transaction: Transaction, jobs: list[Job]) -> set[str]:
    """Return those of the records which the jobs would end that are open."""
    found: set[str] = set()
    for marks, part in _chunks(job.event.record_id for job in jobs if job.event.kind in CLOSING):
        found.update(
            row[0]
            for row in transaction.execute(
                f"SELECT record_id FROM open_request WHERE record_id IN ({marks})",  # noqa: S608 - marks only
                part,
            )
        )
    return found


def likely_retries(jobs: list[Job], open_records: set[str]) -> list[Job]:
    """Return the events that end a record which is not open: sent again, mostly."""
    received = {job.event.record_id for job in jobs if job.event.kind == "request.received"}
    return [
        job
        for job in jobs
        if job.event.kind in CLOSING and job.event.record_id not in open_records | received
    ]


def why_closed(transaction: Transaction, event: Event) -> DuplicateRecord:
    """Return the refusal of an event that would end a record which is not open."""
    kinds = [
        row[0]
        for row in transaction.execute(
            "SELECT kind FROM entry WHERE event_id >= ? AND event_id < ? ORDER BY idx",
            record_range(event.record_id),
        )
    ]
    ends = [kind for kind in kinds if kind in TERMINAL]
    if ends:
        return DuplicateRecord(
            f"record {event.record_id} has ended already, with {ends[-1]}",
            hint="a record has one end; begin a new record",
        )
    return DuplicateRecord(
        f"{event.kind} for record {event.record_id}, which was never received",
        hint="log request.received first",
    )

"""Requests that were received and never ended are closed, and what they left is collected."""

from __future__ import annotations

from typing import TYPE_CHECKING

from chopmark.errors import InvalidRequest, RecordNotFound
from chopmark.kit.ids import is_id, record_of
from chopmark.pipeline.endings import collect_manifests

if TYPE_CHECKING:
    from collections.abc import Iterable

    from chopmark.audit import Record
    from chopmark.pipeline.parts import Parts

__all__ = ["close_lost", "sweep_manifests"]


def close_lost(parts: Parts) -> list[Record]:
    """Close what a process that has ended left open, and what nobody can be working on any more.

    Returns:
        The ends that were booked, ``request.failed`` with code ``lost``.

    Raises:
        ChopmarkError: The log or the manifest store failed; what could be closed is closed.
    """
    log = parts.log
    closed: list[Record] = []
    for left in parts.in_flight.left_behind():
        if left.writer:
            # Before anything is closed: one that is only slow must not book beside us.
            log.fence.shut_out(left.writer)
        ids = [each for each in left.record_ids if is_id(each)]
        closed += log.reconcile(0, among=frozenset(ids))
        _collect(parts, ids)
    late = log.reconcile(parts.settings.longest_s)
    _collect(parts, [record.record_id for record in late])
    return closed + late


def sweep_manifests(parts: Parts) -> int:
    """Forget every manifest whose request has ended without completing; return how many.

    What the log does not know is left alone: it was stored by another hand, or the log was put
    back from a backup.
    """
    records = sorted({record_of(each) for each in parts.store.output_ids() if is_id(each)})
    return _collect(parts, records)


def _collect(parts: Parts, record_ids: Iterable[str]) -> int:
    return sum(collect_manifests(parts, each) for each in record_ids if _failed(parts, each))


def _failed(parts: Parts, record_id: str) -> bool:
    try:
        records = parts.log.records(record_id)
    except (RecordNotFound, InvalidRequest):
        return False
    if any(record.public.get("held") for record in records):
        return False  # it waits for a person to decide on it
    kinds = {record.kind for record in records}
    return bool(kinds & {"request.failed", "request.refused"}) and "request.completed" not in kinds

"""The transparency report: counted from public leaves only, so that anybody can count again."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime
from statistics import median
from typing import TYPE_CHECKING, Any

from chopmark.audit.desk.agreement import Agreement
from chopmark.audit.log.leaf import parse_leaf

if TYPE_CHECKING:
    from collections.abc import Iterable

    from chopmark.kit.types import JsonValue

__all__ = ["transparency_report"]


@dataclass
class _Counts:
    received: dict[str, str] = field(default_factory=dict)
    ended: Counter[str] = field(default_factory=Counter)
    refused_by_category: Counter[str] = field(default_factory=Counter)
    refused_by_stage: Counter[str] = field(default_factory=Counter)
    automation: Counter[str] = field(default_factory=Counter)
    reviews: Counter[str] = field(default_factory=Counter)
    appeals: Counter[str] = field(default_factory=Counter)
    other: Counter[str] = field(default_factory=Counter)
    seconds: list[float] = field(default_factory=list)
    appeal_seconds: list[float] = field(default_factory=list)
    refused: set[str] = field(default_factory=set)
    reviewed: set[str] = field(default_factory=set)
    appealed: dict[str, str] = field(default_factory=dict)
    decided: dict[str, str] = field(default_factory=dict)
    agreement: Agreement = field(default_factory=Agreement)


def _seconds(earlier: str, later: str) -> float:
    return (datetime.fromisoformat(later) - datetime.fromisoformat(earlier)).total_seconds()


def transparency_report(
    leaves: Iterable[bytes], *, since: str = "", until: str = "9999", tenant: str | None = None
) -> dict[str, JsonValue]:
    """Count what happened in a period.

    Args:
        leaves: The bytes of the entries from 0 on, in order; those of the published bundles do.
        since: First moment of the period, RFC 3339 in UTC.
        until: Moment after its end.
        tenant: Count only what is of this tenant; None counts everything.

    Returns:
        The same for the same leaves and period, whoever counts: requests by how they ended,
        refusals by category, stage and automation, reviews, how far second opinions agreed with
        first ones, appeals by outcome, and median times in seconds (None where there is nothing to
        take one of).

    Raises:
        LogCorrupt: A leaf is not one of a log.
    """
    counts = _Counts()
    entries = 0
    for leaf in leaves:
        entries += 1
        members = parse_leaf(leaf)
        # What began before the period is followed, too, because it may end inside it.
        if members["time"] < until and tenant in {None, members["tenant"]}:
            _count(counts, members, inside=members["time"] >= since)
    for record_id in counts.refused:
        counts.automation["with review" if record_id in counts.reviewed else "automated"] += 1

    def table(counter: Counter[str]) -> JsonValue:
        return dict(sorted(counter.items()))

    return {
        "entries": entries,
        "tenant": tenant,
        "since": since,
        "until": until,
        "requests": table(counts.ended),
        "refusals": {
            "by_category": table(counts.refused_by_category),
            "by_stage": table(counts.refused_by_stage),
            "by_automation": table(counts.automation),
        },
        "reviews": table(counts.reviews),
        "second_opinions": counts.agreement.to_dict(),
        "appeals": table(counts.appeals),
        "other_events": table(counts.other),
        "median_seconds": {
            "request": round(median(counts.seconds), 3) if counts.seconds else None,
            "appeal": round(median(counts.appeal_seconds), 3) if counts.appeal_seconds else None,
        },
    }


def _count(counts: _Counts, members: dict[str, Any], *, inside: bool) -> None:
    kind, record_id = str(members["kind"]), str(members["record_id"])
    time, public = str(members["time"]), members["public"]
    if kind == "request.received":
        counts.received[record_id] = time
        counts.ended["received"] += inside
    elif kind == "review.decided":
        _count_review(counts, record_id, public, inside=inside)
    elif kind == "appeal.opened":
        counts.appealed[record_id] = time
        counts.appeals["opened"] += inside
    elif kind == "appeal.decided":
        counts.appeals[str(public.get("outcome"))] += inside
        opened = counts.appealed.pop(record_id, None)
        if inside and opened is not None:
            counts.appeal_seconds.append(_seconds(opened, time))
    elif kind in {"request.completed", "request.failed", "request.refused"}:
        received = counts.received.pop(record_id, None)
        if inside:
            counts.ended[kind.partition(".")[2]] += 1
            if received is not None:
                counts.seconds.append(_seconds(received, time))
            if kind == "request.refused":
                _count_refusal(counts, record_id, public)
    elif inside:
        counts.other[kind] += 1


def _count_review(counts: _Counts, record_id: str, public: dict[str, Any], *, inside: bool) -> None:
    decision = str(public.get("decision"))
    if public.get("second") is not True:
        counts.reviews[decision] += inside
    elif inside and record_id in counts.decided:
        counts.agreement.count(counts.decided[record_id], decision)
    counts.decided[record_id] = decision
    counts.reviewed.add(record_id)


def _count_refusal(counts: _Counts, record_id: str, public: dict[str, Any]) -> None:
    counts.refused.add(record_id)
    counts.refused_by_stage[str(public.get("stage", "not stated"))] += 1
    listed = public.get("categories")
    for name in listed if isinstance(listed, list) else ["not stated"]:
        counts.refused_by_category[str(name)] += 1

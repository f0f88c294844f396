"""What entries add to a transparency report: one way to count, for whoever counts.

An entry counts by itself and by what came before it of its record (:class:`Course`): a request's
time by when it was received, a second opinion by the first. Only public members are read, so that
whoever has the published files comes to the same facts.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Final, Literal

from chopmark.errors import LogCorrupt

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Course", "Fact", "Part", "facts_of", "opinions_of"]

Part = Literal[
    "requests",
    "category",
    "stage",
    "refused_records",
    "reviewed_records",
    "reviews",
    "opinions",
    "appeals",
    "other",
    "request_us",
    "appeal_us",
]
_ENDED: Final = frozenset({"request.completed", "request.failed", "request.refused"})


@dataclass(slots=True, kw_only=True)
class Course:
    """What has happened to a record so far, as far as later entries count by it.

    Attributes:
        received: When its request came in; None once it has ended.
        appealed: When an appeal was opened; None once it is decided.
        decided: What the last reviewer decided.
        refused: When it was refused first.
        reviewed: When a reviewer decided first.
    """

    received: str | None = None
    appealed: str | None = None
    decided: str | None = None
    refused: str | None = None
    reviewed: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Fact:
    """Something to count.

    Attributes:
        part: Which table of the report it belongs to.
        name: Which line of the table.
        time: When it counts, RFC 3339 in UTC.
        known: Since when it is known: of ``reviewed_records`` the review, which comes after the
            refusal that it counts with; otherwise ``time``.
        us: Of what took time, microseconds.
    """

    part: Part
    name: str
    time: str
    known: str
    us: int | None = None


def facts_of(leaf: dict[str, Any], course: Course) -> Iterator[Fact]:
    """Give what an entry adds to the counts, and move its record's course on.

    Args:
        leaf: The entry's members (:func:`chopmark.audit.log.leaf.parse_leaf`).
        course: Of its record, after the entries before; it is changed.

    Raises:
        LogCorrupt: A time is none.
    """
    kind, time, public = str(leaf["kind"]), str(leaf["time"]), leaf["public"]

    def fact(part: Part, name: str, us: int | None = None) -> Fact:
        return Fact(part=part, name=name, time=time, known=time, us=us)

    if kind == "request.received":
        course.received = time
        yield fact("requests", "received")
    elif kind == "review.decided":
        yield from _review(public, course, time)
    elif kind == "appeal.opened":
        course.appealed = time
        yield fact("appeals", "opened")
    elif kind == "appeal.decided":
        yield fact("appeals", str(public.get("outcome")))
        if course.appealed is not None:
            yield fact("appeal_us", "", _us(course.appealed, time))
        course.appealed = None
    elif kind in _ENDED:
        yield fact("requests", kind.partition(".")[2])
        if course.received is not None:
            yield fact("request_us", "", _us(course.received, time))
        course.received = None
        if kind == "request.refused":
            yield from _refusal(public, course, time)
    else:
        yield fact("other", kind)


def opinions_of(name: str) -> tuple[str, str]:
    """Return the first and the second decision that a fact of ``opinions`` is named after."""
    first, second = json.loads(name)
    return str(first), str(second)


def _review(public: dict[str, Any], course: Course, time: str) -> Iterator[Fact]:
    decision = str(public.get("decision"))
    if public.get("second") is not True:
        yield Fact(part="reviews", name=decision, time=time, known=time)
    elif course.decided is not None:
        pair = json.dumps([course.decided, decision])
        yield Fact(part="opinions", name=pair, time=time, known=time)
    course.decided = decision
    if course.reviewed is None:
        course.reviewed = time
        if course.refused is not None:
            yield Fact(part="reviewed_records", name="", time=course.refused, known=time)


def _refusal(public: dict[str, Any], course: Course, time: str) -> Iterator[Fact]:
    listed = public.get("categories")
    for name in listed if isinstance(listed, list) else ["not stated"]:
        yield Fact(part="category", name=str(name), time=time, known=time)
    stage = str(public.get("stage", "not stated"))
    yield Fact(part="stage", name=stage, time=time, known=time)
    if course.refused is None:
        course.refused = time
        yield Fact(part="refused_records", name="", time=time, known=time)
        if course.reviewed is not None:
            yield Fact(part="reviewed_records", name="", time=time, known=course.reviewed)


def _us(earlier: str, later: str) -> int:
    try:
        passed = datetime.fromisoformat(later) - datetime.fromisoformat(earlier)
    except (ValueError, TypeError):
        raise LogCorrupt(f"{earlier!r} or {later!r} is not a time") from None
    return passed // timedelta(microseconds=1)

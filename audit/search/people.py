"""Persons in the projection: who they are, and what became of what they asked for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

    from chopmark.kit.database import Transaction
    from chopmark.kit.types import JsonValue

__all__ = ["PersonSummary", "Refusal", "days_of", "people", "persons_of", "refusals_of"]

_TURNED_AWAY: Final = frozenset({"cooling_down", "person_suspended"})
_COLUMNS: Final = "tag, tenant, name, subject, first, last, newest"


@dataclass(frozen=True, kw_only=True)
class PersonSummary:
    """One person of one tenant, as the desk lists them.

    Attributes:
        tag: Keyed hash of the subject, by which records are found.
        subject: As the log was told.
        first: When they were first heard of, RFC 3339 in UTC.
        last: When they were last heard of.
        newest: The newest entry about them, by which pages go on.
        counts: How many records there are in all (``requests``) and how they ended: ``allow``,
            ``review``, ``block``, ``failed``, ``open``; ``turned_away`` are those that never came
            to be judged, because the person was cooling down or suspended.
    """

    tag: bytes
    tenant: str
    identifier: str
    subject: str
    first: str
    last: str
    newest: int
    counts: dict[str, int]

    @property
    def person(self) -> str:
        """How the desk's addresses name them: ``TENANT:IDENTIFIER``."""
        return f"{self.tenant}:{self.identifier}"

    def to_dict(self) -> dict[str, JsonValue]:
        """Return the members for JSON."""
        return {
            "person": self.person,
            "tenant": self.tenant,
            "identifier": self.identifier,
            "first": self.first,
            "last": self.last,
            "counts": dict(self.counts),
        }


@dataclass(frozen=True, kw_only=True)
class Refusal:
    """A request that the policy refused and that nobody overturned.

    Attributes:
        record_id: Which.
        time: When it was received, RFC 3339 in UTC.
        categories: What it was refused for.
    """

    record_id: str
    time: str
    categories: tuple[str, ...]


def people(
    transaction: Transaction,
    *,
    tenant: str | None,
    named: str | None = None,
    q: str | None = None,
    limit: int = 50,
    before: int | None = None,
) -> list[PersonSummary]:
    """Return persons, the last one heard of first.

    Args:
        transaction: Of the projection.
        tenant: Whose; None is every tenant.
        named: Only who is called exactly so: ``TENANT:IDENTIFIER``, the subject, or the
            identifier alone.
        q: Only whose identifier has this in it, in whatever case.
        limit: At most so many.
        before: Only those whose newest entry is an earlier one.
    """
    where = {"tenant = ?": tenant, "newest < ?": before}
    clauses = [clause for clause, value in where.items() if value is not None]
    values: list[object] = [value for value in where.values() if value is not None]
    if named is not None:
        clauses.append("(subject = ? OR name = ? OR tenant || ':' || name = ?)")
        values += [named] * 3
    if q:
        clauses.append("instr(lower(name), lower(?)) > 0")
        values.append(q)
    rows = transaction.execute(
        f"SELECT {_COLUMNS} FROM person WHERE {' AND '.join(clauses) or '1'}"  # noqa: S608 - fixed clauses
        " ORDER BY newest DESC LIMIT ?",
        (*values, limit),
    )
    return [
        PersonSummary(
            tag=bytes(tag),
            tenant=whose,
            identifier=name,
            subject=subject,
            first=first,
            last=last,
            newest=newest,
            counts=_counts(transaction, tag, whose),
        )
        for tag, whose, name, subject, first, last, newest in rows
    ]


def persons_of(
    transaction: Transaction, record_ids: Iterable[str], *, tenant: str | None
) -> dict[str, str]:
    """Return the person of each record as ``TENANT:IDENTIFIER``; without those that have none.

    Args:
        transaction: Of the projection.
        record_ids: Some records.
        tenant: Only records of this tenant; None is every tenant.
    """
    found = {}
    for record_id in record_ids:
        for whose, name in transaction.execute(
            "SELECT person.tenant, name FROM item JOIN person"
            " ON person.tag = item.tag AND person.tenant = item.tenant"
            " WHERE record_id = ? AND item.tenant = coalesce(?, item.tenant)",
            (record_id, tenant),
        ):
            found[record_id] = f"{whose}:{name}"
    return found


def _counts(transaction: Transaction, tag: bytes, tenant: str) -> dict[str, int]:
    counts = dict.fromkeys(("requests", "allow", "review", "block", "failed", "open"), 0)
    counts["turned_away"] = 0
    for decision, code, count in transaction.execute(
        "SELECT decision, code, count(*) FROM item WHERE tag = ? AND tenant = ?"
        " GROUP BY decision, code",
        (tag, tenant),
    ):
        counts["requests"] += count
        counts["turned_away" if code in _TURNED_AWAY else decision] += count
    return counts


def days_of(transaction: Transaction, person: PersonSummary) -> list[dict[str, JsonValue]]:
    """Return how a person's requests ended, day by day (UTC), the newest day first."""
    days: dict[str, dict[str, int]] = {}
    for day, decision, code, count in transaction.execute(
        "SELECT substr(time, 1, 10), decision, code, count(*) FROM item"
        " WHERE tag = ? AND tenant = ? GROUP BY 1, 2, 3 ORDER BY 1 DESC",
        (person.tag, person.tenant),
    ):
        counts = days.setdefault(day, {})
        name = "turned_away" if code in _TURNED_AWAY else decision
        counts[name] = counts.get(name, 0) + count
    return [{"day": day, **counts} for day, counts in days.items()]


def refusals_of(
    transaction: Transaction, tag: bytes, tenant: str, *, since: str = ""
) -> list[Refusal]:
    """Return a person's refusals that stand, newest first.

    One that a reviewer or an appeal overturned is none, and neither is one that is only judged
    (a call of the moderation route refuses nobody anything).
    """
    rows = transaction.execute(
        "SELECT item.record_id, item.time, why FROM item"
        " LEFT JOIN review ON review.record_id = item.record_id"
        " LEFT JOIN appeal ON appeal.record_id = item.record_id"
        " WHERE tag = ? AND tenant = ? AND item.decision = 'block' AND why IS NOT NULL"
        " AND item.time >= ? AND coalesce(stands, '') <> 'overturned'"
        " AND coalesce(outcome, '') <> 'overturned' ORDER BY item.idx DESC",
        (tag, tenant, since),
    )
    return [
        Refusal(record_id=name, time=time, categories=tuple(filter(None, why.split(","))))
        for name, time, why in rows
    ]

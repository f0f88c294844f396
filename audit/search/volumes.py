"""How much there was of what in a period: counted in the projection, which has it by record."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from chopmark.audit.search.index import SearchIndex

__all__ = ["Volumes", "volumes"]


@dataclass(frozen=True, kw_only=True)
class Volumes:
    """Counts of a period.

    Attributes:
        made: Requests that were answered with pictures, by day (UTC) of their end.
        refused: Requests that the policy refused, likewise.
        failed: Requests that failed, likewise; those who were turned away are not among them.
        categories: Refusals by category; one may count in several.
        reviews: Decisions of reviewers by what they were; what is escalated is passed on.
        appeals: Decided appeals by outcome.
    """

    made: dict[str, int] = field(default_factory=dict)
    refused: dict[str, int] = field(default_factory=dict)
    failed: dict[str, int] = field(default_factory=dict)
    categories: dict[str, int] = field(default_factory=dict)
    reviews: dict[str, int] = field(default_factory=dict)
    appeals: dict[str, int] = field(default_factory=dict)


def volumes(index: SearchIndex, *, since: str, tenant: str | None) -> Volumes:
    """Count what ended since a day, as far as the projection has followed.

    Args:
        index: The projection.
        since: First day, ISO 8601.
        tenant: Whose; None is everybody's.
    """
    found = Volumes()
    by_ending = {"allow": found.made, "review": found.made, "block": found.refused}
    whose = " AND (? IS NULL OR tenant = ?)"
    values = (since, tenant, tenant)
    with index.database.read() as transaction:
        for day, decision, code, count in transaction.execute(
            "SELECT substr(ended, 1, 10), decision, code, count(*) FROM item"  # noqa: S608 - fixed clauses
            f" WHERE of = 'request' AND ended >= ?{whose} GROUP BY 1, 2, 3",
            values,
        ):
            if code in {"cooling_down", "person_suspended"}:
                continue
            days = by_ending.get(decision, found.failed)
            days[day] = days.get(day, 0) + count
        categories: Counter[str] = Counter()
        for why, count in transaction.execute(
            "SELECT why, count(*) FROM item WHERE of = 'request' AND decision = 'block'"  # noqa: S608 - fixed clauses
            f" AND why IS NOT NULL AND ended >= ?{whose} GROUP BY 1",
            values,
        ):
            for name in filter(None, why.split(",")):
                categories[name] += count
        found.categories.update(categories.most_common())
        for table, column, counts in (
            ("review", "review.decision", found.reviews),
            ("appeal", "outcome", found.appeals),
        ):
            rows = transaction.execute(
                f"SELECT {column}, count(*) FROM {table}"  # noqa: S608 - fixed names
                f" JOIN item ON item.record_id = {table}.record_id"
                f" WHERE decided >= ?{whose} AND {column} <> 'escalated' GROUP BY 1",
                values,
            )
            counts.update({str(name): int(count) for name, count in rows if name})
    return found

"""Second opinions: which decisions somebody else looks at as well, and how far the two agree."""

from __future__ import annotations

from random import SystemRandom
from typing import TYPE_CHECKING, Final

from chopmark.audit.desk.agreement import Agreement
from chopmark.audit.desk.rules import escalation_of, share_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from chopmark.audit.desk.rules import Rule
    from chopmark.audit.desk.session import DeskSession
    from chopmark.audit.desk.tasks import ReviewDecision, Waiting
    from chopmark.kit.types import JsonValue

__all__ = ["agreement_of", "waits_again"]

_DICE: Final = SystemRandom()
"""Nobody can tell beforehand which of their decisions is looked at."""


def waits_again(
    row: Waiting, decision: ReviewDecision, rules: Sequence[Rule]
) -> dict[str, JsonValue] | None:
    """Return what is booked with a task that waits again after a decision; None where it does not.

    It does when it is escalated, when two people disagree, and when a second person is drawn by
    lot to decide on it as well, who is told neither that nor what was decided.

    Args:
        row: The task as it was before.
        decision: What was decided.
        rules: They say what share is drawn, and where the rest goes.
    """
    differs = row.state == "second" and decision != row.first
    if decision == "escalated" or differs:
        return {
            "queue": escalation_of(rules, row.queue),
            "priority": row.priority + 1,
            "disputed" if differs and decision != "escalated" else "escalated": True,
        }
    if row.first is None and _DICE.random() < share_of(rules, row.queue):
        return {"queue": row.queue, "priority": row.priority, "second": True}
    return None


def agreement_of(session: DeskSession) -> dict[str, Agreement]:
    """Return how far second opinions agree with first ones, by queue, of what a person may see."""
    session.index.update()
    with session.index.database.read() as index:
        rows = index.execute(
            "SELECT queue, first, opinion.decision, count(*) FROM opinion"
            " JOIN item ON item.record_id = opinion.record_id"
            " WHERE first IS NOT NULL AND tenant = coalesce(?, tenant) GROUP BY 1, 2, 3"
            " ORDER BY queue",
            (session.tenant,),
        )
    found: dict[str, Agreement] = {}
    for queue, first, second, count in rows:
        found.setdefault(str(queue), Agreement()).count(first, second, times=int(count))
    return found

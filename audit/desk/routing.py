"""Sends ended records to the queues that the rules name, each record once."""

from __future__ import annotations

from typing import TYPE_CHECKING

from chopmark.audit.desk.tasks import tasks_of
from chopmark.audit.search.query import Query

if TYPE_CHECKING:
    from collections.abc import Iterable

    from chopmark.audit.desk.rules import Rule
    from chopmark.audit.desk.session import DeskSession
    from chopmark.audit.log.events import Record
    from chopmark.audit.search.query import Hit
    from chopmark.kit.database import Transaction

__all__ = ["queue_matching"]


def queue_matching(session: DeskSession, rules: Iterable[Rule], *, since: int) -> list[Record]:
    """Queue every ended record that a rule matches and that was never queued; first rule wins.

    Args:
        session: Of whoever may see them.
        rules: In order.
        since: Only records that begin at this entry or later.
    """
    listed, before = list(rules), None
    matched: list[tuple[Hit, Rule]] = []
    session.index.update()
    while hits := session.index.find(session.within(Query()), limit=1000, before=before):
        for hit in hits:
            rule = next((rule for rule in listed if rule.matches(hit)), None)
            ended = hit.decision != "open" and hit.index >= since
            if rule is not None and ended and not tasks_of(session, record_id=hit.record_id):
                matched.append((hit, rule))
        before = hits[-1].index
        if before <= since:
            break
    booked = []
    for hit, rule in reversed(matched):  # what came first waits longest
        with session.ledger.booking() as transaction:
            session.index.update()  # another desk may have queued it a moment ago
            if not tasks_of(session, record_id=hit.record_id):
                booked.append(_queue(session, transaction, hit, rule))
    session.index.update()
    return booked


def _queue(session: DeskSession, transaction: Transaction, hit: Hit, rule: Rule) -> Record:
    event = session.event(
        "review.queued",
        hit.record_id,
        {"queue": rule.queue, "priority": rule.priority},
        tenant=hit.tenant,
    )
    return session.ledger.book_within(transaction, event)

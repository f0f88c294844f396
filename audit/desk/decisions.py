"""Decisions on tasks, one or many, each booked where nobody else can decide in between.

Whether a task is free, or this person's, is asked inside the writing transaction of the log, after
the projection has followed to its end: no two desks, in whatever processes, can decide on the same
state.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from chopmark.audit.desk.allowances import allow_prompt
from chopmark.audit.desk.second_opinions import waits_again
from chopmark.audit.desk.tasks import not_on_lease, waiting_of
from chopmark.audit.log.clock import moment
from chopmark.errors import (
    ChopmarkError,
    DuplicateRecord,
    InvalidRequest,
    NotPermitted,
    RecordNotFound,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from chopmark.audit.desk.rules import Rule
    from chopmark.audit.desk.session import DeskSession
    from chopmark.audit.desk.tasks import ReviewDecision, Waiting
    from chopmark.audit.log.events import Record
    from chopmark.kit.database import Transaction
    from chopmark.kit.types import JsonValue

__all__ = ["MOST_AT_ONCE", "decide_many", "decide_one"]

MOST_AT_ONCE: Final = 1000
"""Decisions in one call."""


def decide_one(
    session: DeskSession,
    record_id: str,
    decision: ReviewDecision,
    *,
    rationale: str,
    allow_until: str | None,
    rules: Sequence[Rule],
) -> Record:
    """Decide on a task that this person holds; as ``desk.review.decide`` says."""
    allow = _check(decision, rationale, allow_until)
    with session.ledger.booking() as transaction:
        session.index.update()
        row = waiting_of(session, record_id)
        if row is None or not row.mine(session):
            raise not_on_lease(record_id)
        booked = _book(session, transaction, row, decision, rationale, rules)
        if allow is not None:
            # In the same transaction: a refused exception takes the decision back as well.
            allow_prompt(session, transaction, record_id, row.tenant, allow)
    session.index.update()
    return booked


def decide_many(
    session: DeskSession,
    record_ids: Sequence[str],
    decision: ReviewDecision,
    *,
    rationale: str,
    rules: Sequence[Rule],
) -> list[Record | ChopmarkError]:
    """Decide on many tasks for one reason; as ``desk.review.bulk`` says."""
    _check(decision, rationale, None)
    if not 0 < len(record_ids) <= MOST_AT_ONCE:
        raise InvalidRequest(f"{len(record_ids)} records, not 1 to {MOST_AT_ONCE}", param="records")
    answers: list[Record | ChopmarkError] = []
    done: set[str] = set()
    with session.ledger.booking() as transaction:
        session.index.update()
        for record_id in record_ids:
            row = waiting_of(session, record_id)
            if row is None:
                answers.append(RecordNotFound(f"no task of record {record_id[:16]}"))
            elif row.decision is not None or record_id in done:
                answers.append(DuplicateRecord(f"record {record_id} is decided already"))
            elif row.held() and not row.mine(session):
                answers.append(NotPermitted(f"somebody else has record {record_id} on lease"))
            elif row.for_others():
                answers.append(NotPermitted(f"somebody else decides on record {record_id} now"))
            else:
                done.add(record_id)
                answers.append(_book(session, transaction, row, decision, rationale, rules))
    session.index.update()
    return answers


def _check(decision: ReviewDecision, rationale: str, allow_until: str | None) -> str | None:
    if not rationale.strip():
        raise InvalidRequest("a decision needs a rationale")
    if allow_until is None:
        return None
    if decision != "overturned":
        raise InvalidRequest("only an overturned refusal makes an exception")
    return moment(allow_until)


def _book(
    session: DeskSession,
    transaction: Transaction,
    row: Waiting,
    decision: ReviewDecision,
    rationale: str,
    rules: Sequence[Rule],
) -> Record:
    """Book a decision; where somebody else is to decide, it waits again from then on."""
    public: dict[str, JsonValue] = {"decision": decision}
    if row.state == "second":
        public["second"] = True
    booked = session.ledger.book_within(
        transaction,
        session.event(
            "review.decided",
            row.record_id,
            public,
            {"rationale": rationale},
            tenant=row.tenant,
        ),
    )
    onward = waits_again(row, decision, rules)
    if onward is not None:
        session.ledger.book_within(
            transaction,
            session.event("review.queued", row.record_id, onward, tenant=row.tenant),
        )
    return booked

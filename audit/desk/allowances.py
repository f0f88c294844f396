"""Letting a prompt pass whose refusal was wrong: by an appeal, or by a reviewer."""

from __future__ import annotations

from typing import TYPE_CHECKING

from chopmark.audit.desk.prompt_exceptions import PromptExceptions
from chopmark.audit.desk.view import RecordViewer
from chopmark.audit.log.events import RESTRICTED
from chopmark.errors import NotPermitted

if TYPE_CHECKING:
    from chopmark.audit.desk.session import DeskSession
    from chopmark.kit.database import Transaction

__all__ = ["allow_prompt"]


def allow_prompt(
    session: DeskSession, transaction: Transaction, record_id: str, tenant: str, until: str
) -> None:
    """Let the prompt of an overturned refusal pass from now on.

    Args:
        session: Who does it.
        transaction: In which the refusal is overturned.
        record_id: What was refused.
        tenant: For whom the prompt passes.
        until: Till when, RFC 3339 in UTC.

    Raises:
        NotPermitted: It was refused in a category that is never excepted.
    """
    records = RecordViewer(session).records(record_id)
    for record in records:
        listed = record.public.get("categories")
        if isinstance(listed, list) and RESTRICTED.intersection(map(str, listed)):
            raise NotPermitted(
                "what was refused in this category is never excepted",
                hint="overturn it without an exception",
            )
    content = session.reader.content(records[0].index)
    if content is None or "prompt" not in content.private:
        return  # erased meanwhile: there is nothing left to make an exception for
    event = session.event(
        "exception.granted",
        record_id,
        {"until": until},
        {name: str(content.private.get(name, "")) for name in ("prompt", "negative_prompt")},
        tenant=tenant,
        subject=content.subject,
    )
    PromptExceptions(session.ledger, session.reader).grant(transaction, event)

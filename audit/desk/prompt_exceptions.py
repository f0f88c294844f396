"""Exceptions that overturned appeals granted: one prompt, one tenant, until a day.

They decide what leaves, so they stand in the log's own tables, where the full walk compares them
with the entries, and not in the projection, which nobody believes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from chopmark.audit.log.clock import now
from chopmark.audit.log.events import RESTRICTED
from chopmark.errors import RecordNotFound

if TYPE_CHECKING:
    from chopmark.audit.log.events import Event, Record
    from chopmark.audit.log.ledger import Ledger
    from chopmark.audit.log.reader import Reader
    from chopmark.kit.database import Transaction
    from chopmark.kit.types import JsonValue

__all__ = ["PromptException", "PromptExceptions"]


@dataclass(frozen=True, kw_only=True)
class PromptException:
    """One prompt that may pass although the policy blocks it.

    Attributes:
        index: The ``exception.granted`` entry.
        record_id: The refusal that was overturned.
        tenant: For whom.
        until: Till when, RFC 3339 in UTC.
        NEVER: Categories in which no appeal makes an exception.
    """

    NEVER: ClassVar[frozenset[str]] = RESTRICTED

    index: int
    record_id: str
    tenant: str
    until: str

    def to_dict(self) -> dict[str, JsonValue]:
        """Return the members for JSON."""
        return dict(vars(self))


class PromptExceptions:
    """The exceptions of a log.

    Args:
        ledger: Books them, and finds them by the keyed hash of their prompt.
        reader: Shows the entries that granted them.
    """

    def __init__(self, ledger: Ledger, reader: Reader) -> None:
        self._ledger, self._reader = ledger, reader

    def find(self, prompt: str, *, tenant: str, negative_prompt: str = "") -> Record | None:
        """Return the entry that lets this prompt pass, None when there is none that holds.

        The very prompt: case and white space may differ, nothing else. Whoever asks must not use
        it for what was blocked in a category of :attr:`PromptException.NEVER`.
        """
        tag = self._ledger.vault.prompt_tag(prompt, negative_prompt, tenant)
        with self._ledger.database.read() as transaction:
            rows = transaction.execute(
                "SELECT idx FROM exception WHERE tag = ? AND until > ? ORDER BY idx LIMIT 1",
                (tag, now()),
            )
        return self._reader.get(int(rows[0][0])) if rows else None

    def standing(self) -> list[PromptException]:
        """Return the exceptions that hold now, oldest first."""
        with self._ledger.database.read() as transaction:
            rows = transaction.execute(
                "SELECT idx, until FROM exception WHERE until > ? ORDER BY idx", (now(),)
            )
        return [
            PromptException(
                index=record.index,
                record_id=record.record_id,
                tenant=record.tenant,
                until=str(until),
            )
            for index, until in rows
            for record in (self._reader.get(int(index)),)
        ]

    def grant(self, transaction: Transaction, event: Event) -> Record:
        """Book an exception and put it into force, within the transaction that overturns.

        Args:
            transaction: From :meth:`Ledger.booking`.
            event: ``exception.granted`` with both prompts in its private part.
        """
        record = self._ledger.book_within(transaction, event)
        prompts = (str(event.private["prompt"]), str(event.private["negative_prompt"]))
        transaction.execute(
            "INSERT INTO exception (idx, tag, until) VALUES (?, ?, ?)",
            (
                record.index,
                self._ledger.vault.prompt_tag(*prompts, event.tenant),
                str(event.public["until"]),
            ),
        )
        return record

    def revoke(self, index: int, event: Event) -> Record:
        """Book that the exception of entry ``index`` ends, and end it.

        Raises:
            RecordNotFound: It was revoked already.
        """
        with self._ledger.booking() as transaction:
            if not transaction.execute("SELECT idx FROM exception WHERE idx = ?", (index,)):
                raise RecordNotFound(f"no exception stands at entry {index}")
            record = self._ledger.book_within(transaction, event)
            transaction.execute("DELETE FROM exception WHERE idx = ?", (index,))
        return record

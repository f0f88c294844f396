"""People who may ask for nothing until a day, or until somebody lets them in again.

A suspension decides who is served, so it stands in the log's own tables, where the full walk
compares it with the entries, and not in the projection, which nobody believes. It is found by the
keyed hash of the subject: erasing a person takes away what was written about them and leaves the
suspension, or whoever is suspended would only have to ask to be forgotten.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from chopmark.audit.log.clock import FOREVER, now
from chopmark.audit.log.events import SYSTEM_TENANT

if TYPE_CHECKING:
    from chopmark.audit.log.events import Event, Record
    from chopmark.audit.log.ledger import Ledger
    from chopmark.kit.database import Transaction
    from chopmark.kit.types import JsonValue

__all__ = ["Suspension", "Suspensions"]


@dataclass(frozen=True, kw_only=True)
class Suspension:
    """A person may ask for nothing now.

    Attributes:
        index: The ``person.suspended`` entry.
        until: When it ends by itself, RFC 3339 in UTC; None when only a reinstatement ends it.
    """

    index: int
    until: str | None

    def to_dict(self) -> dict[str, JsonValue]:
        """Return the members for JSON."""
        return dict(vars(self))


class Suspensions:
    """The suspensions of a log.

    Args:
        ledger: Books them, and finds them by the keyed hash of the subject.
    """

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    def find(self, subject: str) -> Suspension | None:
        """Return the suspension of a subject that ends last, None when none stands.

        Args:
            subject: As it is given with the events (``TENANT:IDENTIFIER``).

        Raises:
            LogUnavailable: It cannot be told; nobody is let in meanwhile.
        """
        with self._ledger.database.read() as transaction:
            rows = transaction.execute(
                "SELECT idx, until FROM suspension WHERE tag = ? AND until > ?"
                " ORDER BY until DESC, idx DESC LIMIT 1",
                (self._tag(subject), now()),
            )
        if not rows:
            return None
        index, until = int(rows[0][0]), str(rows[0][1])
        return Suspension(index=index, until=None if until == FOREVER else until)

    def place(self, transaction: Transaction, event: Event) -> Record:
        """Book a suspension and put it into force.

        Args:
            transaction: From :meth:`Ledger.booking`.
            event: ``person.suspended`` with its subject and ``until`` in its public part.
        """
        record = self._ledger.book_within(transaction, event)
        transaction.execute(
            "INSERT INTO suspension (idx, tag, until) VALUES (?, ?, ?)",
            (record.index, self._tag(str(event.subject)), event.public["until"] or FOREVER),
        )
        return record

    def standing(self, transaction: Transaction, subject: str) -> list[int]:
        """Return the entries that suspend a subject now, oldest first."""
        rows = transaction.execute(
            "SELECT idx FROM suspension WHERE tag = ? AND until > ? ORDER BY idx",
            (self._tag(subject), now()),
        )
        return [int(row[0]) for row in rows]

    def lift(self, transaction: Transaction, event: Event) -> Record:
        """Book that a person is let in again, and end the suspensions that the event names.

        Args:
            transaction: From :meth:`Ledger.booking`.
            event: ``person.reinstated`` with ``suspensions`` in its public part.
        """
        record = self._ledger.book_within(transaction, event)
        ended = event.public["suspensions"]
        listed = ended if isinstance(ended, list) else []
        transaction.many("DELETE FROM suspension WHERE idx = ?", [(index,) for index in listed])
        return record

    def _tag(self, subject: str) -> bytes:
        return self._ledger.vault.tag(subject, SYSTEM_TENANT)

"""Exceptions that overturned appeals granted: one prompt, one tenant, until a day.

They decide what leaves, so they stand in the log's own tables, where the full walk compares them
with the entries, and not in the projection, which nobody believes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from chopmark.audit.log.ledger import now
from chopmark.errors import RecordNotFound

if TYPE_CHECKING:
    from chopmark.audit.custody.vault import Vault
    from chopmark.audit.log.events import Event, Record
    from chopmark.audit.log.ledger import Ledger
    from chopmark.kit.database import Transaction
    from chopmark.kit.types import JsonValue

__all__ = [
    "PromptException",
    "excepted",
    "grant",
    "prompt_tag",
    "revoke",
    "standing",
]


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

    NEVER: ClassVar[frozenset[str]] = frozenset({"sexual/minors"})

    index: int
    record_id: str
    tenant: str
    until: str

    def to_dict(self) -> dict[str, JsonValue]:
        """Return the members for JSON."""
        return dict(vars(self))


def prompt_tag(vault: Vault, prompt: str, negative_prompt: str, tenant: str) -> bytes:
    """Return the keyed hash by which an excepted prompt is found: case and spaces fold."""
    said, unsaid = (" ".join(text.casefold().split()) for text in (prompt, negative_prompt))
    return vault.tag(f"prompt\n{tenant}\n{said}\n{unsaid}", tenant)


def grant(ledger: Ledger, transaction: Transaction, event: Event) -> Record:
    """Book an exception and put it into force, within the transaction that overturns."""
    record = ledger.book_within(transaction, event)
    said = {name: str(event.private[name]) for name in ("prompt", "negative_prompt")}
    transaction.execute(
        "INSERT INTO exception (idx, tag, until) VALUES (?, ?, ?)",
        (
            record.index,
            prompt_tag(ledger.vault, said["prompt"], said["negative_prompt"], event.tenant),
            str(event.public["until"]),
        ),
    )
    return record


def revoke(ledger: Ledger, index: int, event: Event) -> Record:
    """Book that an exception ends, and end it.

    Raises:
        RecordNotFound: It was revoked already.
    """
    with ledger.booking() as transaction:
        if not transaction.execute("SELECT idx FROM exception WHERE idx = ?", (index,)):
            raise RecordNotFound(f"no exception stands at entry {index}")
        record = ledger.book_within(transaction, event)
        transaction.execute("DELETE FROM exception WHERE idx = ?", (index,))
    return record


def excepted(ledger: Ledger, prompt: str, *, negative_prompt: str, tenant: str) -> int | None:
    """Return the entry of the exception for a prompt, None when there is none."""
    tag = prompt_tag(ledger.vault, prompt, negative_prompt, tenant)
    with ledger.database.read() as transaction:
        rows = transaction.execute(
            "SELECT idx FROM exception WHERE tag = ? AND until > ? ORDER BY idx LIMIT 1",
            (tag, now()),
        )
    return int(rows[0][0]) if rows else None


def standing(ledger: Ledger) -> list[tuple[int, str]]:
    """Return entry and end of every exception that holds now."""
    with ledger.database.read() as transaction:
        rows = transaction.execute(
            "SELECT idx, until FROM exception WHERE until > ? ORDER BY idx", (now(),)
        )
    return [(int(index), str(until)) for index, until in rows]

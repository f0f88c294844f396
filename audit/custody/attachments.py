"""Bytes that are kept beside an entry for a while: pictures that a repeated prompt may get again.

They are no part of the tree and prove nothing, so they may go at any time without a trace: when
there are too many of them, when they are old, when somebody says so. But they are as personal as
the entry's content, and share its fate: sealed under the same key, unreadable once that key is
destroyed, deleted in the transaction that takes the content away.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from chopmark.audit.custody.erasure import held
from chopmark.audit.log.events import SYSTEM_TENANT
from chopmark.audit.log.ledger import now
from chopmark.audit.log.schema import record_range
from chopmark.errors import InvalidRequest
from chopmark.kit.ids import record_of

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import timedelta

    from chopmark.audit.log.ledger import Ledger

__all__ = ["attach", "attachments", "detach", "detach_older"]


def attach(ledger: Ledger, index: int, files: Mapping[str, bytes], *, most_bytes: int) -> bool:
    """Keep files beside an entry; see :meth:`AuditLog.attach`."""
    if sum(map(len, files.values())) > most_bytes:
        return False
    with ledger.database.write() as transaction:
        rows = transaction.execute(
            "SELECT key_id, tenant FROM content JOIN entry ON entry.idx = content.idx"
            " WHERE content.idx = ?",
            (index,),
        )
        if not rows:
            return False  # erased meanwhile: nothing of it comes back by this way
        key_id, tenant = bytes(rows[0][0]), str(rows[0][1])
        transaction.many(
            "INSERT INTO attachment (idx, name, tenant, key_id, time, size, sealed)"
            " VALUES (?, ?, ?, ?, ?, ?, ?)",
            [
                (
                    index,
                    name,
                    tenant,
                    key_id,
                    now(),
                    len(data),
                    ledger.vault.close_up(key_id, data, label=_label(index, name)),
                )
                for name, data in files.items()
            ],
        )
        # The newest until the room is used up; what is beyond goes.
        transaction.execute(
            "DELETE FROM attachment WHERE idx IN (SELECT idx FROM (SELECT idx,"
            " sum(size) OVER (ORDER BY idx DESC) AS total FROM attachment WHERE tenant = ?) AS kept"
            " WHERE total > ?)",
            (tenant, most_bytes),
        )
    return True


def attachments(
    ledger: Ledger, index: int, *, subject: str | None, younger_than: timedelta
) -> dict[str, bytes] | None:
    """Return what is kept beside an entry whose content is of ``subject``, unless it is held."""
    with ledger.database.read() as transaction:
        if subject is not None and held(transaction, ledger.vault.tag(subject, SYSTEM_TENANT)):
            return None
        rows = transaction.execute(
            "SELECT name, key_id, sealed FROM attachment WHERE idx = ? AND time > ?",
            (index, now(-younger_than.total_seconds())),
        )
    return {
        name: ledger.vault.open_up(bytes(key_id), bytes(sealed), label=_label(index, name))
        for name, key_id, sealed in rows
    } or None


def detach(
    ledger: Ledger,
    *,
    record_id: str | None = None,
    subject: str | None = None,
    tenant: str | None = None,
) -> int:
    """Let go of what belongs to all that is named; see :meth:`AuditLog.detach`."""
    where: dict[str, tuple[object, ...]] = {}
    if record_id is not None:
        within = "idx IN (SELECT idx FROM entry WHERE event_id >= ? AND event_id < ?)"
        where[within] = record_range(record_of(record_id))
    if subject is not None:
        key_id = ledger.vault.stored_id(ledger.vault.tag(subject, SYSTEM_TENANT))
        where["key_id = ?"] = (key_id or b"",)
    if tenant is not None:
        where["tenant = ?"] = (tenant,)
    if not where:
        raise InvalidRequest("say what to let go of", hint="a record, a person or a tenant")
    return _delete(ledger, " AND ".join(where), tuple(v for group in where.values() for v in group))


def detach_older(ledger: Ledger, age: timedelta) -> int:
    """Let go of everything that was attached longer ago than ``age``."""
    return _delete(ledger, "time <= ?", (now(-age.total_seconds()),))


def _delete(ledger: Ledger, where: str, values: tuple[object, ...]) -> int:
    with ledger.database.write() as transaction:
        rows = transaction.execute(
            f"DELETE FROM attachment WHERE {where} RETURNING idx",  # noqa: S608 - clauses of ours
            values,
        )
    if rows:
        ledger.database.scrub()
    return len({row[0] for row in rows})


def _label(index: int, name: str) -> str:
    return f"attachment {index} {name}"

"""Bytes that are kept beside an entry for a while.

Pictures that a repeated prompt may get again, that wait for a decision, or that are public.

They are no part of the tree and prove nothing, so they may go at any time without a trace: when
there are too many of them, when they are old, when somebody says so. But they are as personal as
the entry's content, and share its fate: sealed under the same key, unreadable once that key is
destroyed, deleted in the transaction that takes the content away.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Final

from chopmark.audit.custody.holds import held
from chopmark.audit.log.clock import now
from chopmark.audit.log.events import SYSTEM_TENANT
from chopmark.audit.log.schema import record_range
from chopmark.audit.log.vault import KeyGone
from chopmark.errors import InvalidRequest
from chopmark.kit.ids import record_of

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import timedelta

    from chopmark.audit.log.ledger import Ledger
    from chopmark.audit.log.reader import Reader

__all__ = ["HELD_PREFIX", "PUBLIC_PREFIX", "Attachments"]

HELD_PREFIX: Final = "held:"
"""Names of attachments that wait for a person's decision; only their content's end takes them."""
PUBLIC_PREFIX: Final = "public:"
"""Names of small copies of what is public; likewise."""
_KINDS: Final = {
    prefix: f"(substr(name, 1, {len(prefix)}) = '{prefix}')"
    for prefix in (HELD_PREFIX, PUBLIC_PREFIX)
}
# Of no prefix: what a repeated prompt may get again, for a while.
_PASSING: Final = f"(NOT ({' OR '.join(_KINDS.values())}))"


class Attachments:
    """The attachments of a log.

    Args:
        ledger: Whose database and keys they lie in.
        reader: Opens the content that they belong to.
    """

    def __init__(self, ledger: Ledger, reader: Reader) -> None:
        self._ledger, self._reader = ledger, reader

    def keep(self, index: int, files: Mapping[str, bytes], *, most_bytes: int) -> bool:
        """Keep bytes beside an entry, under its subject's key; they go when its content goes.

        They are no part of the tree. Of one tenant no more than ``most_bytes`` are kept: what was
        attached to older entries goes first. What is held for a decision (every name begins with
        ``held:``) is counted for itself, and so is what is public (``public:``).

        Args:
            index: The entry; it must have content.
            files: The bytes by name.
            most_bytes: How much of the entry's tenant is kept in all.

        Returns:
            Whether they are kept; False when the content is gone, or they alone are too many.

        Raises:
            LogUnavailable: Nothing was kept.
        """
        if sum(map(len, files.values())) > most_bytes:
            return False
        # The key may be destroyed between the two statements: then nothing is kept, either.
        with contextlib.suppress(KeyGone), self._ledger.database.write() as transaction:
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
                        self._ledger.vault.close_up(key_id, data, label=_label(index, name)),
                    )
                    for name, data in files.items()
                ],
            )
            # A running total from the newest entry back: the rows past the room are those to go.
            kind = next(
                (
                    clause
                    for prefix, clause in _KINDS.items()
                    if all(name.startswith(prefix) for name in files)
                ),
                _PASSING,
            )
            transaction.execute(
                f"DELETE FROM attachment WHERE {kind} AND idx IN (SELECT idx FROM (SELECT idx,"  # noqa: S608 - clauses of ours
                " sum(size) OVER (ORDER BY idx DESC) AS total FROM attachment"
                f" WHERE tenant = ? AND {kind}) AS kept WHERE total > ?)",
                (tenant, most_bytes),
            )
            return True
        return False

    def of(self, index: int, *, younger_than: timedelta) -> dict[str, bytes] | None:
        """Return the bytes that are kept beside an entry, by name.

        None where there are none (any more), where they are too old, and where the content is
        erased or a hold stands on its subject: what must be kept as it is, is given to nobody.

        Raises:
            RecordNotFound: No such entry.
            LogCorrupt: They, or the content, are not what was kept.
        """
        content = self._reader.content(index)
        if content is None:
            return None
        vault, subject = self._ledger.vault, content.subject
        with self._ledger.database.read() as transaction:
            if subject is not None and held(transaction, vault.tag(subject, SYSTEM_TENANT)):
                return None
            rows = transaction.execute(
                "SELECT name, key_id, sealed FROM attachment WHERE idx = ? AND time > ?",
                (index, now(-younger_than.total_seconds())),
            )
        with contextlib.suppress(KeyGone):
            return {
                name: vault.open_up(bytes(key_id), bytes(sealed), label=_label(index, name))
                for name, key_id, sealed in rows
            } or None
        return None

    def drop(
        self,
        *,
        record_id: str | None = None,
        subject: str | None = None,
        tenant: str | None = None,
    ) -> int:
        """Let go of the attachments that belong to all that is named; content and entries stay.

        Returns:
            From how many entries something went.

        Raises:
            InvalidRequest: Nothing is named, or the record id is none.
        """
        where: dict[str, tuple[object, ...]] = {}
        if record_id is not None:
            within = "idx IN (SELECT idx FROM entry WHERE event_id >= ? AND event_id < ?)"
            where[within] = record_range(record_of(record_id))
        if subject is not None:
            vault = self._ledger.vault
            where["key_id = ?"] = (vault.stored_id(vault.tag(subject, SYSTEM_TENANT)) or b"",)
        if tenant is not None:
            where["tenant = ?"] = (tenant,)
        if not where:
            raise InvalidRequest("say what to let go of", hint="a record, a person or a tenant")
        values = tuple(value for group in where.values() for value in group)
        return self._delete(" AND ".join(where), values)

    def drop_older(self, age: timedelta) -> int:
        """Let go of every attachment older than ``age``; return from how many entries.

        What is held for a decision or public stays.
        """
        return self._delete(f"time <= ? AND {_PASSING}", (now(-age.total_seconds()),))

    def _delete(self, where: str, values: tuple[object, ...]) -> int:
        with self._ledger.database.write() as transaction:
            rows = transaction.execute(
                f"DELETE FROM attachment WHERE {where} RETURNING idx",  # noqa: S608 - clauses of ours
                values,
            )
        if rows:
            self._ledger.database.scrub()
        return len({row[0] for row in rows})


def _label(index: int, name: str) -> str:
    return f"attachment {index} {name}"

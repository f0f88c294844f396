"""Forgetting and keeping: erasure of a person, legal holds, and the end of retention.

An entry never goes; its content does. What takes content away books an event that covers the
places, so that whoever walks the log can tell forgetting from tampering.
"""

from __future__ import annotations

import json
import os
from hashlib import sha256
from typing import TYPE_CHECKING, Final, Literal

from chopmark.audit.custody.attachments import Attachments
from chopmark.audit.custody.holds import Holds, held, refuse_others, stated
from chopmark.audit.log.clock import now
from chopmark.audit.log.events import SYSTEM_TENANT, Event
from chopmark.audit.log.leaf import parse_leaf
from chopmark.audit.log.schema import record_range
from chopmark.errors import ErasureRefused, RecordNotFound
from chopmark.kit.ids import new_record_id

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable
    from datetime import timedelta

    from chopmark.audit.log.events import Record
    from chopmark.audit.log.ledger import Ledger
    from chopmark.audit.log.reader import Reader
    from chopmark.kit.database import Transaction
    from chopmark.kit.types import JsonValue

__all__ = [
    "Custody",
    "RetentionClass",
    "erase_again",
    "finish_erasures",
    "follow",
    "without_content",
]

RetentionClass = Literal["standard", "blocked", "report"]
_EXPIRE_BATCH: Final = 5000
_SALT: Final = 32


class Custody:
    """What is stored about people: how it goes, and what keeps it from going.

    Args:
        ledger: Books what is done.
        reader: Opens contents.
        gone: Called after content went, for what was derived from it.

    Attributes:
        holds: Legal holds.
        attachments: Bytes that are kept beside entries for a while.
    """

    def __init__(self, ledger: Ledger, reader: Reader, *, gone: Callable[[], None]) -> None:
        self._ledger, self._derived = ledger, gone
        self._followers: list[Callable[[], object]] = []
        self.holds = Holds(ledger, reader)
        self.attachments = Attachments(ledger, reader)

    def erase(
        self, subject: str, *, by: tuple[str, str], reason: str, tenant: str | None = None
    ) -> Record:
        """Forget a person: destroy the key and every content row of the subject.

        The entries stay, and every proof stays valid; what they commit to is gone, also from
        copies of the log, because the key is. No residue stays in the files.

        Args:
            subject: As it was given with the events.
            by: Two different persons who answer for it.
            reason: Why; kept with the names in the log.
            tenant: Refuse a subject whose content is not all of this tenant.

        Returns:
            The ``erasure.completed`` record; ``public["count"]`` rows are gone.

        Raises:
            ErasureRefused: A hold stands (which is booked), or one person was named twice.
            RecordNotFound: Nothing is stored about the subject.
            InvalidRequest: A name or the reason is empty.
            LogUnavailable: Try again: what was begun is finished when the log is next opened.
        """
        first, second = (stated("a person's name", name).strip() for name in by)
        if first == second:
            raise ErasureRefused("one person alone cannot erase", hint="name a second one")
        stated("reason", reason)
        try:
            self._start_erasure(subject, {"by": [first, second], "reason": reason}, tenant)
            return finish_erasures(self._ledger)[-1]
        finally:
            self._gone()

    def _gone(self) -> None:
        self._derived()
        for follower in self._followers:
            follower()

    def _start_erasure(
        self, subject: str, private: dict[str, JsonValue], tenant: str | None
    ) -> None:
        """Book that an erasure starts, or that a hold refuses it."""
        ledger = self._ledger
        tag = ledger.vault.tag(subject, SYSTEM_TENANT)
        with ledger.booking() as transaction:
            key_id = ledger.vault.stored_id(tag)
            refuse_others(transaction, key_id, tenant)
            hold = held(transaction, tag)
            if hold is not None:
                refused = Event(
                    kind="erasure.refused",
                    record_id=new_record_id(),
                    tenant=SYSTEM_TENANT,
                    public={"hold": hold},
                    private=private,
                )
                ledger.book_within(transaction, refused)
            elif key_id is not None:
                started = ledger.book_within(
                    transaction,
                    Event(
                        kind="erasure.started",
                        record_id=new_record_id(),
                        tenant=SYSTEM_TENANT,
                        # A digest, by which the walk knows whose content may be half gone.
                        public={"key": sha256(key_id).hexdigest()},
                        private=private,
                    ),
                )
                transaction.execute(
                    "INSERT INTO erasing (idx, tag, key_id) VALUES (?, ?, ?)",
                    (started.index, tag, key_id),
                )
        # Raised outside the transaction, so that what refuses is booked all the same.
        if hold is not None:
            raise ErasureRefused(
                f"a hold (entry {hold}) stands against it", hint="release the hold first"
            )
        if key_id is None:
            raise RecordNotFound("nothing is stored about this subject")

    def expire(
        self,
        periods: dict[RetentionClass, timedelta],
        *,
        tenant: str | None = None,
        but: frozenset[str] = frozenset(),
    ) -> list[Record]:
        """Take away content that is older than its class is kept; what is held stays.

        A record is ``report`` or ``blocked`` when one of its events says so in
        ``public["retention"]``, ``blocked`` also when it was refused, else ``standard``.

        Args:
            periods: How long each class is kept; a class that is not named is kept for ever.
            tenant: Only what is of this tenant.
            but: Nothing of these tenants, who keep theirs for another time.

        Returns:
            The ``retention.expired`` records, none when nothing was due.
        """
        limits = {name: now(-period.total_seconds()) for name, period in periods.items()}
        booked: list[Record] = []
        after: int | None = -1
        try:
            while after is not None:
                after = self._expire_some(limits, after, tenant, but, booked)
            if booked:
                self._ledger.database.scrub()
            return booked
        finally:
            self._gone()

    def _expire_some(
        self,
        limits: dict[RetentionClass, str],
        after: int,
        tenant: str | None,
        but: frozenset[str],
        booked: list[Record],
    ) -> int | None:
        """Work on the next few thousand contents; return the last one's place, None at the end."""
        ledger = self._ledger
        with ledger.booking() as transaction:
            tags = transaction.execute("SELECT tag FROM hold WHERE until > ?", (now(),))
            held_keys = {ledger.vault.stored_id(bytes(tag)) for (tag,) in tags}
            # In batches, because the write lock is held: a log of years must not stop the service.
            rows = transaction.execute(
                "SELECT content.idx, content.key_id, entry.record_id, entry.time, entry.tenant"
                " FROM content JOIN entry ON entry.idx = content.idx"
                " WHERE content.idx > ? AND entry.time < ? ORDER BY content.idx LIMIT ?",
                (after, max(limits.values(), default=""), _EXPIRE_BATCH),
            )
            over: dict[RetentionClass, list[int]] = {}
            for index, key_id, record_id, time, owner in rows:
                # The log's own papers (who looked, who erased) are nobody's to forget.
                if bytes(key_id) in held_keys or owner == SYSTEM_TENANT:
                    continue
                if owner in but or tenant not in {None, owner}:
                    continue
                name = _class_of(transaction, record_id)
                if time < limits.get(name, ""):
                    over.setdefault(name, []).append(int(index))
            for name, indexes in sorted(over.items()):
                public: dict[str, JsonValue] = {"class": name, "before": limits[name]}
                if tenant is not None:
                    public["of"] = tenant
                event = Event(
                    kind="retention.expired",
                    record_id=new_record_id(),
                    tenant=SYSTEM_TENANT,
                    public=public,
                )
                booked.append(_take_away(ledger, transaction, indexes, event, keys_destroyed=False))
        return int(rows[-1][0]) if len(rows) == _EXPIRE_BATCH else None

    def contentless(self, record_ids: Iterable[str]) -> list[str]:
        """Return those of the records of which something that was asked has no content any more.

        A record that is missing is one of them. Whoever keeps something about records beside the
        log asks this, so that it goes as well.
        """
        with self._ledger.database.read() as transaction:
            return [
                record_id
                for record_id in record_ids
                if not all(_contents(transaction, record_id) or [False])
            ]


def follow(custody: Custody, work: Callable[[], object]) -> None:
    """Have something done whenever content went, for what is kept beside the log."""
    custody._followers.append(work)  # noqa: SLF001  of this module


def without_content(custody: Custody, indexes: Iterable[int]) -> list[int]:
    """Return those of the entries that have no content, or none any more."""
    with custody._ledger.database.read() as transaction:  # noqa: SLF001  of this module
        return [
            index
            for index in indexes
            if not transaction.execute("SELECT idx FROM content WHERE idx = ?", (index,))
        ]


def _contents(transaction: Transaction, record_id: str) -> list[bool]:
    """Tell for each entry of what was asked that ever had content whether it still has it."""
    rows = transaction.execute(
        "SELECT entry.leaf, content.idx FROM entry LEFT JOIN content ON content.idx = entry.idx"
        " WHERE event_id >= ? AND event_id < ?"
        " AND (kind LIKE ? OR kind LIKE ?)",
        (*record_range(record_id), "request.%", "moderation.%"),
    )
    return [place is not None for leaf, place in rows if "commitment" in parse_leaf(bytes(leaf))]


def erase_again(ledger: Ledger, destroyed: Collection[str]) -> int:
    """Begin the erasure anew of those whose keys came back with a backup; return of how many.

    :func:`finish_erasures` ends it.

    Args:
        ledger: Of a log that was just opened.
        destroyed: SHA-256 of the ids of keys that were destroyed, hex.
    """
    returned = ledger.vault.returned(destroyed) if destroyed else []
    for key_id, tag in returned:
        with ledger.booking() as transaction:
            if transaction.execute("SELECT idx FROM erasing WHERE tag = ?", (tag,)):
                continue
            started = ledger.book_within(
                transaction,
                Event(
                    kind="erasure.started",
                    record_id=new_record_id(),
                    tenant=SYSTEM_TENANT,
                    public={"key": sha256(key_id).hexdigest()},
                    private={"reason": "erased before; the key came back with a backup"},
                ),
            )
            transaction.execute(
                "INSERT INTO erasing (idx, tag, key_id) VALUES (?, ?, ?)",
                (started.index, tag, key_id),
            )
    return len(returned)


def finish_erasures(ledger: Ledger) -> list[Record]:
    """Finish every erasure that was started, also one that a crash interrupted.

    Returns:
        The ``erasure.completed`` records.
    """
    finished = []
    while True:
        with ledger.booking() as transaction:
            rows = transaction.execute(
                "SELECT erasing.idx, tag, key_id, record_id FROM erasing"
                " JOIN entry ON entry.idx = erasing.idx ORDER BY erasing.idx LIMIT 1"
            )
            if not rows:
                break
            started, tag, key_id, record_id = rows[0]
            indexes = [
                int(row[0])
                for row in transaction.execute(
                    "SELECT idx FROM content WHERE key_id = ? ORDER BY idx", (bytes(key_id),)
                )
            ]
            completed = Event(
                kind="erasure.completed",
                record_id=record_id,
                tenant=SYSTEM_TENANT,
                public={"started": started},
            )
            finished.append(
                _take_away(ledger, transaction, indexes, completed, keys_destroyed=True)
            )
            transaction.execute("DELETE FROM erasing WHERE idx = ?", (started,))
            # The key, in its own file, before this transaction commits. A crash between the two
            # leaves the row in `erasing`, and the rest is done when the log is next opened; the
            # other way round it would leave a log that says erased, and a key that still opens.
            ledger.vault.destroy(bytes(tag))
    if finished:
        ledger.database.scrub()
    return finished


def _take_away(
    ledger: Ledger,
    transaction: Transaction,
    indexes: list[int],
    event: Event,
    *,
    keys_destroyed: bool,
) -> Record:
    """Delete content rows and book the event that covers them, in one transaction."""
    salt, ranges, commitment = _cover(indexes)
    covered = Event(
        kind=event.kind,
        record_id=event.record_id,
        tenant=event.tenant,
        public={**event.public, "count": len(indexes), "cover": commitment},
        private=event.private,
    )
    record = ledger.book_within(transaction, covered, keys_destroyed=keys_destroyed)
    transaction.execute(
        "INSERT INTO cover (idx, salt, ranges) VALUES (?, ?, ?)", (record.index, salt, ranges)
    )
    for table in ("content", "exception", "attachment"):
        transaction.many(f"DELETE FROM {table} WHERE idx = ?", [(index,) for index in indexes])  # noqa: S608 - fixed names
    return record


def _cover(indexes: list[int]) -> tuple[bytes, bytes, str]:
    """Return salt, ranges and the commitment to them that goes into the leaf.

    The places are not in the leaf itself, because they would tell everybody which entries were of
    one person.
    """
    found: list[list[int]] = []
    for index in indexes:  # ascending numbers become closed ranges
        if found and found[-1][1] == index - 1:
            found[-1][1] = index
        else:
            found.append([index, index])
    salt, ranges = os.urandom(_SALT), json.dumps(found).encode()
    return salt, ranges, sha256(salt + ranges).hexdigest()


def _class_of(transaction: Transaction, record_id: str) -> RetentionClass:
    """Return the class of a record: what its events say, else by how it ended."""
    name: RetentionClass = "standard"
    for kind, leaf in transaction.execute(
        "SELECT kind, leaf FROM entry WHERE event_id >= ? AND event_id < ?", record_range(record_id)
    ):
        retention = parse_leaf(bytes(leaf))["public"].get("retention")
        if retention == "report":
            return "report"
        if kind == "request.refused" or retention == "blocked":
            name = "blocked"
    return name

"""Forgetting and keeping: erasure of a person, legal holds, and the end of retention.

An entry never goes; its content does. What takes content away books an event that covers the
places, so that whoever walks the log can tell forgetting from tampering.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, field
from datetime import UTC, datetime
from hashlib import sha256
from typing import TYPE_CHECKING, Final, Literal

from chopmark.audit.log.events import EVERY_TENANT, SYSTEM_TENANT, Event
from chopmark.audit.log.ledger import Ledger, now
from chopmark.audit.log.schema import record_range
from chopmark.errors import ErasureRefused, InvalidRequest, RecordNotFound
from chopmark.kit.ids import new_record_id

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import timedelta

    from chopmark.audit.log.events import Record
    from chopmark.kit.database import Transaction
    from chopmark.kit.types import JsonValue

__all__ = [
    "Hold",
    "RetentionClass",
    "erase",
    "expire",
    "held",
    "holds",
    "moment",
    "place_hold",
    "release_hold",
    "resume",
]

RetentionClass = Literal["standard", "blocked", "report"]
_FOREVER: Final = "9999-12-31T23:59:59.999999Z"
_EXPIRE_BATCH: Final = 5000
_SALT: Final = 32


@dataclass(frozen=True, kw_only=True)
class Hold:
    """A duty to keep what is stored about a subject.

    Attributes:
        index: The ``hold.placed`` entry.
        until: When it ends by itself, RFC 3339 in UTC; None when only a release ends it.
        basis: On what ground, as it was given.
        by: Who placed it.
        subject: Whose content is held.
        tenant: Whose person placed it; None where an operator did.
    """

    index: int
    until: str | None
    basis: str
    by: str
    subject: str | None
    tenant: str | None

    def to_dict(self) -> dict[str, JsonValue]:
        """Return the members for JSON."""
        return dict(vars(self))


def _text(name: str, value: str) -> str:
    if not value.strip():
        raise InvalidRequest(f"{name} is empty", hint="it stays in the log; say who and why")
    return value


def moment(text: str) -> str:
    """Return a time in the one form that is compared as text."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise InvalidRequest(f"{text!r} is not a time", hint="RFC 3339, with Z or offset") from None
    if moment.tzinfo is None:
        raise InvalidRequest(f"{text!r} does not say of which zone it is", hint="end it with Z")
    return moment.astimezone(UTC).isoformat(timespec="microseconds")[:-6] + "Z"


def _ranges(indexes: Iterable[int]) -> list[list[int]]:
    """Return ascending numbers as closed ranges."""
    found: list[list[int]] = []
    for index in indexes:
        if found and found[-1][1] == index - 1:
            found[-1][1] = index
        else:
            found.append([index, index])
    return found


def _cover(indexes: list[int]) -> tuple[bytes, bytes, str]:
    """Return salt, ranges and the commitment to them that goes into the leaf.

    The places are not in the leaf itself, because they would tell everybody which entries were of
    one person.
    """
    salt, ranges = os.urandom(_SALT), json.dumps(_ranges(indexes)).encode()
    return salt, ranges, sha256(salt + ranges).hexdigest()


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


def _only_of(transaction: Transaction, key_id: bytes | None, tenant: str | None) -> None:
    """Refuse a subject of which other tenants have content too, or only they."""
    if tenant is None:
        return
    rows = transaction.execute(
        "SELECT DISTINCT tenant FROM content JOIN entry ON entry.idx = content.idx"
        " WHERE key_id = ?",
        (key_id or b"",),
    )
    owners = {row[0] for row in rows} - {SYSTEM_TENANT}
    if tenant not in owners:
        raise RecordNotFound("nothing is stored about this subject")
    if owners != {tenant}:
        raise ErasureRefused(
            "the subject is not this tenant's alone", hint="an operator of every tenant can do it"
        )


def erase(
    ledger: Ledger, subject: str, *, by: tuple[str, str], reason: str, tenant: str | None = None
) -> Record:
    """Destroy a subject's key and content; see :meth:`AuditLog.erase`."""
    first, second = (_text("a person's name", name).strip() for name in by)
    if first == second:
        raise ErasureRefused("one person alone cannot erase", hint="name a second one")
    _text("reason", reason)
    tag = ledger.vault.tag(subject, SYSTEM_TENANT)
    said: dict[str, JsonValue] = {"by": [first, second], "reason": reason}
    with ledger.booking() as transaction:
        key_id = ledger.vault.stored_id(tag)
        _only_of(transaction, key_id, tenant)
        standing = held(transaction, tag)
        if standing is not None:
            refused = Event(
                kind="erasure.refused",
                record_id=new_record_id(),
                tenant=SYSTEM_TENANT,
                public={"hold": standing},
                private=said,
            )
            ledger.book_within(transaction, refused)
        elif key_id is not None:
            started = ledger.book_within(
                transaction,
                Event(
                    kind="erasure.started",
                    record_id=new_record_id(),
                    tenant=SYSTEM_TENANT,
                    public={"key": sha256(key_id).hexdigest()},
                    private=said,
                ),
            )
            transaction.execute(
                "INSERT INTO erasing (idx, tag, key_id) VALUES (?, ?, ?)",
                (started.index, tag, key_id),
            )
    if standing is not None:
        raise ErasureRefused(
            f"a hold (entry {standing}) stands against it", hint="release the hold first"
        )
    if key_id is None:
        raise RecordNotFound("nothing is stored about this subject")
    return resume(ledger)[-1]


def resume(ledger: Ledger) -> list[Record]:
    """Finish every erasure that was started, also one that a crash interrupted.

    The key goes before the transaction commits. A crash between the two leaves the started event
    and its row, and this function does the rest when the log is next opened.
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
            ledger.vault.destroy(bytes(tag))
    if finished:
        ledger.database.scrub()
    return finished


def held(transaction: Transaction, tag: bytes) -> int | None:
    """Return the entry of a hold that stands on a subject's content now, None without one."""
    rows = transaction.execute(
        "SELECT idx FROM hold WHERE tag = ? AND until > ? ORDER BY idx", (tag, now())
    )
    return int(rows[0][0]) if rows else None


def place_hold(
    ledger: Ledger,
    subject: str,
    *,
    basis: str,
    by: str,
    until: str | None = None,
    tenant: str | None = None,
) -> Record:
    """Forbid erasure and expiry of a subject's content; see :meth:`AuditLog.place_hold`."""
    _text("basis", basis)
    _text("by", by)
    if until is not None:
        until = moment(until)
    tag = ledger.vault.tag(subject, SYSTEM_TENANT)
    with ledger.booking() as transaction:
        if transaction.execute("SELECT idx FROM erasing WHERE tag = ?", (tag,)):
            raise ErasureRefused("this subject is being erased already")
        _only_of(transaction, ledger.vault.stored_id(tag), tenant)
        record = ledger.book_within(
            transaction,
            Event(
                kind="hold.placed",
                record_id=new_record_id(),
                tenant=SYSTEM_TENANT,
                subject=subject,
                public={"until": until},
                private={"basis": basis, "by": by, "of": tenant or EVERY_TENANT},
            ),
        )
        transaction.execute(
            "INSERT INTO hold (idx, tag, until) VALUES (?, ?, ?)",
            (record.index, tag, until or _FOREVER),
        )
    return record


def release_hold(ledger: Ledger, index: int, *, by: str, reason: str) -> Record:
    """End a hold; see :meth:`AuditLog.release_hold`."""
    _text("by", by)
    _text("reason", reason)
    with ledger.booking() as transaction:
        if not transaction.execute("SELECT idx FROM hold WHERE idx = ?", (index,)):
            raise RecordNotFound(f"no hold stands at entry {index}")
        record = ledger.book_within(
            transaction,
            Event(
                kind="hold.released",
                record_id=new_record_id(),
                tenant=SYSTEM_TENANT,
                public={"hold": index},
                private={"by": by, "reason": reason},
            ),
        )
        transaction.execute("DELETE FROM hold WHERE idx = ?", (index,))
    return record


def holds(ledger: Ledger) -> list[tuple[int, str | None]]:
    """Return entry and end of the holds that stand now."""
    with ledger.database.read() as transaction:
        rows = transaction.execute(
            "SELECT idx, until FROM hold WHERE until > ? ORDER BY idx", (now(),)
        )
    return [(int(index), None if until == _FOREVER else until) for index, until in rows]


@dataclass
class _Expiry:
    """Content rows whose time is over, by class."""

    places: dict[RetentionClass, list[int]] = field(default_factory=dict)

    def add(self, name: RetentionClass, index: int) -> None:
        self.places.setdefault(name, []).append(index)


def expire(
    ledger: Ledger,
    periods: dict[RetentionClass, timedelta],
    *,
    tenant: str | None = None,
    but: frozenset[str] = frozenset(),
) -> list[Record]:
    """Take away content whose retention is over; see :meth:`AuditLog.expire`."""
    limits = {name: now(-period.total_seconds()) for name, period in periods.items()}
    latest = max(limits.values(), default="")
    booked: list[Record] = []
    after = -1
    while True:
        with ledger.booking() as transaction:
            tags = {
                bytes(row[0])
                for row in transaction.execute("SELECT tag FROM hold WHERE until > ?", (now(),))
            }
            kept_keys = {ledger.vault.stored_id(tag) for tag in tags}
            rows = transaction.execute(
                "SELECT content.idx, content.key_id, entry.record_id, entry.time, entry.tenant"
                " FROM content JOIN entry ON entry.idx = content.idx"
                " WHERE content.idx > ? AND entry.time < ? ORDER BY content.idx LIMIT ?",
                (after, latest, _EXPIRE_BATCH),
            )
            over = _Expiry()
            for index, key_id, record_id, time, owner in rows:
                if bytes(key_id) in kept_keys or owner == SYSTEM_TENANT:
                    continue
                if owner in but or tenant not in {None, owner}:
                    continue
                name = _class_of(transaction, record_id)
                if time < limits.get(name, ""):
                    over.add(name, int(index))
            for name, indexes in sorted(over.places.items()):
                said: dict[str, JsonValue] = {"class": name, "before": limits[name]}
                if tenant is not None:
                    said["of"] = tenant
                event = Event(
                    kind="retention.expired",
                    record_id=new_record_id(),
                    tenant=SYSTEM_TENANT,
                    public=said,
                )
                booked.append(_take_away(ledger, transaction, indexes, event, keys_destroyed=False))
        if len(rows) < _EXPIRE_BATCH:
            break
        after = int(rows[-1][0])
    if booked:
        ledger.database.scrub()
    return booked


def _class_of(transaction: Transaction, record_id: str) -> RetentionClass:
    """Return the class of a record: what its events say, else by how it ended."""
    name: RetentionClass = "standard"
    for kind, leaf in transaction.execute(
        "SELECT kind, leaf FROM entry WHERE event_id >= ? AND event_id < ?", record_range(record_id)
    ):
        said = json.loads(bytes(leaf))["public"].get("retention")
        if said == "report":
            return "report"
        if kind == "request.refused" or said == "blocked":
            name = "blocked"
    return name

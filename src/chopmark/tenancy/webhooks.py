"""Webhooks: whom a tenant wants told of what, and the messages that are on their way.

They lie in ``home/tenancy/webhooks.db``, so that a restart neither forgets nor repeats one. The
signing secrets are there in clear, since each message is signed with one; the folder is its
owner's alone.
"""

from __future__ import annotations

import base64
import json
import secrets
import time
from collections import Counter
from dataclasses import dataclass, field
from operator import itemgetter
from typing import TYPE_CHECKING, Any, Final, Literal, Self, cast, get_args

from chopmark.errors import InvalidRequest, RecordNotFound
from chopmark.kit.stores import open_tenancy_store

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from pathlib import Path

    from chopmark.kit.database import Database, Transaction

__all__ = [
    "COOP",
    "WEBHOOK_EVENTS",
    "Delivery",
    "Message",
    "Told",
    "Webhook",
    "WebhookEvent",
    "Webhooks",
]

WebhookEvent = Literal[
    "review.queued",
    "decision.made",
    "appeal.opened",
    "appeal.decided",
    "output.withdrawn",
    "person.suspended",
    "person.reinstated",
    "batch.completed",
    "batch.failed",
    "batch.expired",
    "batch.cancelled",
    "job.completed",
    "job.expired",
    "job.cancelled",
    "*",
]
WEBHOOK_EVENTS: Final[tuple[WebhookEvent, ...]] = get_args(WebhookEvent)
Told = WebhookEvent | Literal["coop.item"]
"""What a message is of: an event, or an item for a Coop server, which no webhook can ask for."""
COOP: Final = "coop.item"
#: Seconds until the next attempt, after each that failed; then the message is a dead letter.
BACK_OFF_S: Final = (5, 300, 1800, 7200, 18_000, 36_000, 50_400, 72_000, 86_400)
_CLAIMED_S: Final = 60
_MOST_HOOKS: Final = 20
_SHOWN: Final = 50
_SCHEMA = """
CREATE TABLE IF NOT EXISTS hook (
    id TEXT PRIMARY KEY, tenant TEXT, url TEXT NOT NULL, events TEXT NOT NULL, secret TEXT NOT NULL,
    since {integer} NOT NULL, created {real} NOT NULL, created_by TEXT NOT NULL, disabled TEXT
){strict};;
CREATE TABLE IF NOT EXISTS delivery (
    id TEXT PRIMARY KEY, hook TEXT NOT NULL REFERENCES hook (id), type TEXT NOT NULL,
    body TEXT NOT NULL, created {real} NOT NULL, attempts {integer} NOT NULL, next {real} NOT NULL,
    state TEXT NOT NULL, error TEXT, entry {integer} NOT NULL DEFAULT 0
){strict};;
CREATE INDEX IF NOT EXISTS delivery_due ON delivery (state, next);;
CREATE INDEX IF NOT EXISTS delivery_hook ON delivery (hook);;
CREATE INDEX IF NOT EXISTS delivery_next ON delivery (hook, state, next);;
CREATE TABLE IF NOT EXISTS cursor (id {integer} PRIMARY KEY, upto {integer} NOT NULL){strict}
"""
_ADDED: Final = {"delivery": {"entry": "{integer} NOT NULL DEFAULT 0"}}


@dataclass(frozen=True, kw_only=True)
class Webhook:
    """Somebody who is told.

    Attributes:
        hook_id: 24 hex digits.
        tenant: Whose events; None is every tenant's.
        url: Where to.
        events: Of what.
        created: Unix time in seconds.
        created_by: Who asked for it.
        disabled: Why nothing is sent any more; None while it is.
        counts: Messages by state: ``waiting``, ``done``, ``dead``.
    """

    hook_id: str
    tenant: str | None
    url: str
    events: tuple[Told, ...]
    created: float
    created_by: str
    disabled: str | None = None
    counts: dict[str, int] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """Return the members for JSON; never the secret."""
        return {
            "id": self.hook_id,
            "tenant": self.tenant,
            "url": self.url,
            "events": list(self.events),
            "created": self.created,
            "created_by": self.created_by,
            "disabled": self.disabled,
            "deliveries": {name: self.counts.get(name, 0) for name in ("waiting", "done", "dead")},
        }


@dataclass(frozen=True, kw_only=True)
class Message:
    """What is told.

    Attributes:
        name: Of the message, the same for every hook; the log's entry makes it.
        index: The log's entry.
        tenant: Whose event.
        type: Of which kind.
        body: JSON.
    """

    name: str
    index: int
    tenant: str
    type: Told
    body: str


@dataclass(frozen=True, kw_only=True)
class Delivery:
    """A message on its way to one hook.

    Attributes:
        tenant: Whose hook; None is every tenant's.
        type: Of what it tells.
        attempts: How many were made.
    """

    delivery_id: str
    hook_id: str
    tenant: str | None
    type: Told
    url: str
    secret: str = field(repr=False)
    body: str = field(repr=False)
    attempts: int


class Webhooks:
    """Open it with :meth:`open`; use it from any thread, and from several processes."""

    def __init__(
        self,
        database: Database,
        *,
        clock: Callable[[], float] = time.time,
        back_off_s: Sequence[float] = BACK_OFF_S,
    ) -> None:
        self._database, self._clock, self._back_off_s = database, clock, tuple(back_off_s)

    @classmethod
    def open(cls, home: Path, *, database: str = "") -> Self:
        """Open ``home/tenancy/webhooks.db``, or make it.

        Args:
            home: The home folder.
            database: ``postgresql://...`` to keep them there instead.

        Raises:
            ConfigurationError: The file or the address cannot be used.
            DatabaseUnavailable: The database does not answer.
        """
        return cls(open_tenancy_store(home, "webhooks", _SCHEMA, database=database, added=_ADDED))

    def close(self) -> None:
        """Close the file. Idempotent."""
        self._database.close()

    def add(
        self, *, tenant: str | None, url: str, events: Iterable[WebhookEvent], by: str, since: int
    ) -> tuple[Webhook, str]:
        """Tell somebody from now on; return the hook, and its secret, which is shown this once.

        Args:
            tenant: Whose events; None is every tenant's.
            url: Where to; the caller has checked that it may be visited.
            events: Of what.
            by: Who asks for it.
            since: The log's size: of what was booked before, nothing is told.

        Raises:
            InvalidRequest: There are 20 of the tenant already.
        """
        hook = Webhook(
            hook_id=secrets.token_hex(12),
            tenant=tenant,
            url=url,
            events=tuple(dict.fromkeys(events)),
            created=self._clock(),
            created_by=by,
        )
        secret = "whsec_" + base64.b64encode(secrets.token_bytes(32)).decode()
        with self._database.write() as transaction:
            rows = transaction.execute(
                "SELECT count(*) FROM hook WHERE coalesce(tenant, '') = ?", (tenant or "",)
            )
            if int(rows[0][0]) >= _MOST_HOOKS:
                raise InvalidRequest(f"there are {_MOST_HOOKS} webhooks already", hint="delete one")
            transaction.execute(
                "INSERT INTO hook (id, tenant, url, events, secret, since, created, created_by)"
                " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    hook.hook_id,
                    tenant,
                    url,
                    " ".join(hook.events),
                    secret,
                    since,
                    hook.created,
                    by,
                ),
            )
        return hook, secret

    def keep_coop(self, url: str | None, *, tenant: str | None, since: int) -> None:
        """Send items to this Coop server from now on, and to no other; None sends none.

        Args:
            url: Where its items go.
            tenant: Whose items; None is every tenant's.
            since: As for :meth:`add`, where the server is a new one.
        """
        with self._database.write() as transaction:
            rows = transaction.execute("SELECT id, url, tenant FROM hook WHERE events = ?", (COOP,))
            for hook_id, known, whose in rows:
                if (known, whose) != (url, tenant):
                    transaction.execute("DELETE FROM delivery WHERE hook = ?", (hook_id,))
                    transaction.execute("DELETE FROM hook WHERE id = ?", (hook_id,))
            if url is not None and (url, tenant) not in {row[1:3] for row in rows}:
                transaction.execute(
                    "INSERT INTO hook (id, tenant, url, events, secret, since, created, created_by)"
                    " VALUES (?, ?, ?, ?, '', ?, ?, 'settings')",
                    (secrets.token_hex(12), tenant, url, COOP, since, self._clock()),
                )

    def all(self, tenant: str | None) -> list[Webhook]:
        """Return the hooks that a tenant's people manage, oldest first; None manages all."""
        with self._database.read() as transaction:
            rows = transaction.execute(
                "SELECT id, tenant, url, events, created, created_by, disabled FROM hook"
                " WHERE tenant = ? OR ? = '' ORDER BY created, id",
                (tenant, tenant or ""),
            )
            return [
                Webhook(
                    hook_id=row[0],
                    tenant=row[1],
                    url=row[2],
                    events=tuple(cast("list[Told]", row[3].split())),
                    created=row[4],
                    created_by=row[5],
                    disabled=row[6],
                    counts=_counts(transaction, row[0]),
                )
                for row in rows
            ]

    def dead(self, hook_id: str) -> list[dict[str, Any]]:
        """Return the newest messages to a hook that were given up, and why."""
        with self._database.read() as transaction:
            rows = transaction.execute(
                "SELECT id, type, created, attempts, error FROM delivery"
                " WHERE hook = ? AND state = 'dead' ORDER BY created DESC LIMIT ?",
                (hook_id, _SHOWN),
            )
        names = ("id", "type", "created", "attempts", "error")
        return [dict(zip(names, row, strict=True)) for row in rows]

    def _mine(self, hook_id: str, tenant: str | None) -> None:
        if hook_id not in {hook.hook_id for hook in self.all(tenant)}:
            raise RecordNotFound(f"no webhook {hook_id[:32]}")

    def remove(self, hook_id: str, tenant: str | None) -> None:
        """Tell somebody no more; what is on its way to them goes.

        Raises:
            RecordNotFound: No such hook, or another tenant's.
        """
        self._mine(hook_id, tenant)
        with self._database.write() as transaction:
            transaction.execute("DELETE FROM delivery WHERE hook = ?", (hook_id,))
            transaction.execute("DELETE FROM hook WHERE id = ?", (hook_id,))

    def retry(self, hook_id: str, tenant: str | None) -> int:
        """Send the dead letters of a hook again, and let it be used again; return how many.

        Raises:
            RecordNotFound: No such hook, or another tenant's.
        """
        self._mine(hook_id, tenant)
        with self._database.write() as transaction:
            transaction.execute("UPDATE hook SET disabled = NULL WHERE id = ?", (hook_id,))
            return len(
                transaction.execute(
                    "UPDATE delivery SET state = 'waiting', attempts = 0, next = ?"
                    " WHERE hook = ? AND state = 'dead' RETURNING id",
                    (self._clock(), hook_id),
                )
            )

    # What the worker does

    def follow(self, read: Callable[[int], tuple[int, list[Message]]], *, size: int) -> int:
        """Put what the log says since the last look on its way; once, whoever else looks.

        Args:
            read: From an entry on: up to which entry was read, and what is to be told of it.
            size: The log's size, where a first look begins.

        Returns:
            From where the look began.
        """
        with self._database.write() as transaction:
            rows = transaction.execute("SELECT upto FROM cursor")
            begin = int(rows[0][0]) if rows else size
            end, messages = read(begin)
            if messages:
                self._post(transaction, messages)
            if not rows or end != begin:
                transaction.execute(
                    "INSERT INTO cursor (id, upto) VALUES (1, ?)"
                    " ON CONFLICT (id) DO UPDATE SET upto = excluded.upto",
                    (end,),
                )
            return begin

    def post(self, messages: list[Message]) -> None:
        """Put messages on their way that no entry of the log makes; of one name, once."""
        with self._database.write() as transaction:
            self._post(transaction, messages)

    def upto(self) -> int | None:
        """Return how far the log was followed; None before the first look."""
        with self._database.read() as transaction:
            rows = transaction.execute("SELECT upto FROM cursor")
        return int(rows[0][0]) if rows else None

    def _post(self, transaction: Transaction, messages: list[Message]) -> None:
        hooks = transaction.execute(
            "SELECT id, tenant, events, since FROM hook WHERE disabled IS NULL"
        )
        now = self._clock()
        for message in messages:
            for hook_id, tenant, events, since in hooks:
                wanted = set(str(events).split())
                # An item for Coop is no event: a hook that is told of everything is not told of it.
                matching = {message.type} if message.type == COOP else {message.type, "*"}
                if (
                    message.index >= since
                    and tenant in {None, message.tenant}
                    and wanted & matching
                ):
                    transaction.execute(
                        "INSERT INTO delivery (id, hook, type, body, created, attempts,"
                        " next, state, entry) VALUES (?, ?, ?, ?, ?, 0, ?, 'waiting', ?)"
                        " ON CONFLICT (id) DO NOTHING",
                        (f"{message.name}_{hook_id[:8]}", hook_id, message.type, message.body,
                         now, now, message.index),
                    )  # fmt: skip

    def due(
        self, most: int = 20, *, busy: Mapping[str, str | None] | None = None, of_one: int = 20
    ) -> list[Delivery]:
        """Take what is to be sent now, one message of a hook; nobody else takes it for a minute.

        Args:
            most: At most so many.
            busy: Hooks to which something is on its way already, each with its tenant: they wait,
                so that a hook gets its messages in order and one that answers slowly delays only
                its own.
            of_one: At most so many hooks of one tenant at once, those that are busy included.
        """
        now, busy = self._clock(), busy or {}
        with self._database.read() as transaction:
            # Mostly nothing is due, and looking must not cost a write.
            if not transaction.execute(
                "SELECT 1 FROM delivery WHERE state = 'waiting' AND next <= ? LIMIT 1", (now,)
            ):
                return []
        with self._database.write() as transaction:
            found = self._next_of_each(transaction, now, busy)
            taken: list[Delivery] = []
            at_once = Counter(busy.values())
            for _, delivery in sorted(found, key=itemgetter(0)):
                if len(taken) < most and at_once[delivery.tenant] < of_one:
                    at_once[delivery.tenant] += 1
                    taken.append(delivery)
            transaction.many(
                "UPDATE delivery SET next = ? WHERE id = ?",
                [(now + _CLAIMED_S, delivery.delivery_id) for delivery in taken],
            )
        return taken

    def _next_of_each(
        self, transaction: Transaction, now: float, busy: Mapping[str, str | None]
    ) -> list[tuple[float, Delivery]]:
        found = []
        for hook_id, tenant, url, secret in transaction.execute(
            "SELECT id, tenant, url, secret FROM hook WHERE disabled IS NULL"
        ):
            rows = () if hook_id in busy else transaction.execute(
                "SELECT next, id, type, body, attempts FROM delivery WHERE hook = ?"
                " AND state = 'waiting' AND next <= ? ORDER BY next, created, entry, id LIMIT 1",
                (hook_id, now),
            )  # fmt: skip
            found += [
                (
                    float(due),
                    Delivery(
                        delivery_id=delivery_id,
                        hook_id=hook_id,
                        tenant=tenant,
                        type=type_,
                        url=url,
                        secret=secret,
                        body=body,
                        attempts=attempts,
                    ),
                )
                for due, delivery_id, type_, body, attempts in rows
            ]
        return found

    def done(self, delivery: Delivery) -> None:
        """Note that a message arrived; its body is not needed any more."""
        with self._database.write() as transaction:
            transaction.execute(
                "UPDATE delivery SET state = 'done', attempts = ?, body = '', error = NULL"
                " WHERE id = ?",
                (delivery.attempts + 1, delivery.delivery_id),
            )

    def failed(self, delivery: Delivery, why: str, *, gone: bool = False) -> None:
        """Note that a message did not arrive: it is tried again, later each time, or given up.

        Args:
            delivery: Which.
            why: What happened.
            gone: Whoever is there wants nothing more (410): the hook is switched off.
        """
        attempts = delivery.attempts + 1
        last = gone or attempts > len(self._back_off_s)
        wait_s = 0.0 if last else self._back_off_s[attempts - 1]
        with self._database.write() as transaction:
            transaction.execute(
                "UPDATE delivery SET state = ?, attempts = ?, next = ?, error = ? WHERE id = ?",
                (
                    "dead" if last else "waiting",
                    attempts,
                    self._clock() + wait_s,
                    why[:300],
                    delivery.delivery_id,
                ),
            )
            if gone:
                transaction.execute(
                    "UPDATE hook SET disabled = ? WHERE id = ?", (why[:300], delivery.hook_id)
                )


def message_body(type_: WebhookEvent, time_: str, data: dict[str, Any]) -> str:
    """Return a message's JSON (Standard Webhooks: ``type``, ``timestamp``, ``data``)."""
    return json.dumps({"type": type_, "timestamp": time_, "data": data}, separators=(",", ":"))


def _counts(transaction: Transaction, hook_id: str) -> dict[str, int]:
    rows = transaction.execute(
        "SELECT state, count(*) FROM delivery WHERE hook = ? GROUP BY state", (hook_id,)
    )
    return {str(state): int(count) for state, count in rows}

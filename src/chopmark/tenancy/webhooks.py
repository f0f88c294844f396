"""Webhooks: whom a tenant wants told of what. The messages are in :mod:`chopmark.tenancy.outbox`.

They lie in ``home/tenancy/webhooks.db``, so that a restart neither forgets nor repeats one. The
signing secrets are there in clear, since each message is signed with one; the folder is its
owner's alone.
"""

from __future__ import annotations

import base64
import json
import secrets
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Self, cast

from chopmark.errors import InvalidRequest, RecordNotFound
from chopmark.kit.stores import open_tenancy_store
from chopmark.tenancy.outbox import BACK_OFF_S, Delivery, Outbox
from chopmark.tenancy.webhook_events import COOP

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from pathlib import Path

    from chopmark.kit.database import Database, Transaction
    from chopmark.tenancy.webhook_events import Told, WebhookEvent

__all__ = ["Webhook", "Webhooks"]

_MOST_HOOKS: Final = 20
_SCHEMA = """
CREATE TABLE IF NOT EXISTS hook (
    id TEXT PRIMARY KEY, tenant TEXT, url TEXT NOT NULL, events TEXT NOT NULL, secret TEXT NOT NULL,
    since {integer} NOT NULL, created {real} NOT NULL, created_by TEXT NOT NULL, disabled TEXT,
    name TEXT NOT NULL DEFAULT '', changed {real}, earlier_secret TEXT, earlier_until {real}
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
_ADDED: Final = {
    "delivery": {"entry": "{integer} NOT NULL DEFAULT 0"},
    "hook": {
        "name": "TEXT NOT NULL DEFAULT ''",
        "changed": "{real}",
        "earlier_secret": "TEXT",
        "earlier_until": "{real}",
    },
}


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
        name: What its owner calls it; may be empty.
        changed: Unix time in seconds of the last change of it or its secret.
        secret_hint: The end of the secret, to tell it from others.
    """

    hook_id: str
    tenant: str | None
    url: str
    events: tuple[Told, ...]
    created: float
    created_by: str
    disabled: str | None = None
    counts: dict[str, int] = field(default_factory=dict)
    name: str = ""
    changed: float = 0.0
    secret_hint: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Return the members for JSON; never the secret."""
        return {
            "id": self.hook_id,
            "tenant": self.tenant,
            "name": self.name,
            "url": self.url,
            "events": list(self.events),
            "created": self.created,
            "created_by": self.created_by,
            "disabled": self.disabled,
            "deliveries": {name: self.counts.get(name, 0) for name in ("waiting", "done", "dead")},
        }


class Webhooks:
    """Open it with :meth:`open`; use it from any thread, and from several processes.

    Attributes:
        outbox: The messages on their way.
    """

    def __init__(
        self,
        database: Database,
        *,
        clock: Callable[[], float] = time.time,
        back_off_s: Sequence[float] = BACK_OFF_S,
    ) -> None:
        self._database, self._clock = database, clock
        self.outbox = Outbox(database, clock=clock, back_off_s=back_off_s)

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
        self,
        *,
        tenant: str | None,
        url: str,
        events: Iterable[WebhookEvent],
        by: str,
        since: int,
        name: str = "",
    ) -> tuple[Webhook, str]:
        """Tell somebody from now on; return the hook, and its secret, which is shown this once.

        Args:
            tenant: Whose events; None is every tenant's.
            url: Where to; the caller has checked that it may be visited.
            events: Of what.
            by: Who asks for it.
            since: The log's size: of what was booked before, nothing is told.
            name: What its owner calls it.

        Raises:
            InvalidRequest: There are 20 of the tenant already.
        """
        secret, now = new_secret(), self._clock()
        hook = Webhook(
            hook_id=secrets.token_hex(12),
            tenant=tenant,
            url=url,
            events=tuple(dict.fromkeys(events)),
            created=now,
            created_by=by,
            name=name,
            changed=now,
            secret_hint=_hint(secret),
        )
        with self._database.write() as transaction:
            rows = transaction.execute(
                "SELECT count(*) FROM hook WHERE coalesce(tenant, '') = ?", (tenant or "",)
            )
            if int(rows[0][0]) >= _MOST_HOOKS:
                raise InvalidRequest(f"there are {_MOST_HOOKS} webhooks already", hint="delete one")
            transaction.execute(
                "INSERT INTO hook"
                " (id, tenant, url, events, secret, since, created, created_by, name)"
                " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    hook.hook_id,
                    tenant,
                    url,
                    " ".join(hook.events),
                    secret,
                    since,
                    hook.created,
                    by,
                    name,
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
                "SELECT id, tenant, url, events, created, created_by, disabled, name,"
                " coalesce(changed, created), secret FROM hook"
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
                    name=row[7],
                    changed=row[8],
                    secret_hint=_hint(row[9]),
                )
                for row in rows
            ]

    def change(
        self,
        hook_id: str,
        tenant: str | None,
        *,
        name: str | None = None,
        url: str | None = None,
        events: Iterable[WebhookEvent] | None = None,
    ) -> None:
        """Change what is given of a hook; what is on its way goes to the new address.

        Raises:
            RecordNotFound: No such hook, or another tenant's.
        """
        self._mine(hook_id, tenant)
        told = None if events is None else " ".join(dict.fromkeys(events))
        with self._database.write() as transaction:
            transaction.execute(
                "UPDATE hook SET name = coalesce(?, name), url = coalesce(?, url),"
                " events = coalesce(?, events), changed = ? WHERE id = ?",
                (name, url, told, self._clock(), hook_id),
            )

    def rotate(self, hook_id: str, tenant: str | None, *, keep_s: float) -> str:
        """Give a hook a new secret, and return it, this once.

        Args:
            hook_id: Which.
            tenant: Whose.
            keep_s: Seconds in which messages are signed with the earlier one as well.

        Raises:
            RecordNotFound: No such hook, or another tenant's.
        """
        self._mine(hook_id, tenant)
        secret, now = new_secret(), self._clock()
        with self._database.write() as transaction:
            transaction.execute(
                "UPDATE hook SET earlier_secret = CASE WHEN ? > 0 THEN secret END,"
                " earlier_until = ?, secret = ?, changed = ? WHERE id = ?",
                (keep_s, now + keep_s, secret, now, hook_id),
            )
        return secret

    def sample(self, hook_id: str, tenant: str | None, type_: WebhookEvent) -> Delivery:
        """Return a message that says nothing, for a look at whether it arrives.

        Raises:
            RecordNotFound: No such hook, or another tenant's.
        """
        self._mine(hook_id, tenant)
        now = int(self._clock())
        body = {
            "id": f"evt_{secrets.token_hex(12)}",
            "object": "event",
            "created_at": now,
            "type": type_,
            "data": {"id": "test"},
        }
        with self._database.read() as transaction:
            rows = transaction.execute("SELECT url, secret FROM hook WHERE id = ?", (hook_id,))
        return Delivery(
            delivery_id=f"msg_test_{secrets.token_hex(8)}",
            hook_id=hook_id,
            tenant=tenant,
            type=type_,
            url=rows[0][0],
            secret=rows[0][1],
            body=json.dumps(body, separators=(",", ":")),
            attempts=0,
        )

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


def new_secret() -> str:
    """Return a new secret that messages are signed with (Standard Webhooks: ``whsec_``)."""
    return "whsec_" + base64.b64encode(secrets.token_bytes(32)).decode()


def _hint(secret: str) -> str:
    return f"whsec_...{secret[-5:]}" if secret else ""


def _counts(transaction: Transaction, hook_id: str) -> dict[str, int]:
    rows = transaction.execute(
        "SELECT state, count(*) FROM delivery WHERE hook = ? GROUP BY state", (hook_id,)
    )
    return {str(state): int(count) for state, count in rows}

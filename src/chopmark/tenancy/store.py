"""Tenants, keys and the day's use, in one file."""

from __future__ import annotations

import re
from dataclasses import asdict, fields
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, NamedTuple, Self, cast

from chopmark.errors import (
    AccessKeyNotFound,
    InvalidKey,
    InvalidRequest,
    QuotaExhausted,
    TenantNotFound,
)
from chopmark.kit.stores import open_tenancy_store
from chopmark.tenancy.keys import (
    SCOPES,
    USUAL_SCOPES,
    Key,
    NewKey,
    Scope,
    digest_of,
    new_text,
    parse,
    same,
)
from chopmark.tenancy.tenants import Tenant

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from chopmark.kit.database import Database

__all__ = ["AccessStore"]

_SCHEMA = """
CREATE TABLE IF NOT EXISTS tenant (
    name {key} PRIMARY KEY, policy TEXT, requests_per_minute {integer}, images_per_day {integer},
    abuse TEXT, retention_days {integer}, blocked_retention_days {integer}
){strict};;
CREATE TABLE IF NOT EXISTS api_key (
    key_id TEXT PRIMARY KEY, tenant TEXT NOT NULL REFERENCES tenant (name), digest {blob} NOT NULL,
    scopes TEXT NOT NULL, label TEXT NOT NULL, created_at TEXT NOT NULL, expires_at TEXT,
    revoked_at TEXT
){strict};;
CREATE TABLE IF NOT EXISTS day_use (
    tenant TEXT NOT NULL, day TEXT NOT NULL, images {integer} NOT NULL, PRIMARY KEY (tenant, day)
){strict}
"""
_ADDED = {
    "tenant": {
        "abuse": "TEXT",
        "retention_days": "{integer}",
        "blocked_retention_days": "{integer}",
    }
}
_TENANT_COLUMNS = tuple(field.name for field in fields(Tenant))
_LABEL = re.compile(r"[^\x00-\x1f\x7f]{0,100}")
_DEFAULT = "default"


class _KeyRow(NamedTuple):
    """The columns of ``api_key`` that a :class:`Key` is made of, in the order of a query."""

    key_id: str
    tenant: str
    scopes: str
    label: str
    created_at: str
    expires_at: str | None
    revoked_at: str | None

    def key(self) -> Key:
        return Key(
            key_id=self.key_id,
            tenant=self.tenant,
            scopes=frozenset(cast("list[Scope]", self.scopes.split())),
            label=self.label,
            created_at=self.created_at,
            expires_at=self.expires_at,
            revoked_at=self.revoked_at,
        )


_KEY_COLUMNS = ", ".join(_KeyRow._fields)


class AccessStore:
    """Open it with :meth:`open`; use it from any thread, and from several processes."""

    def __init__(self, database: Database) -> None:
        self._database = database

    @classmethod
    def open(cls, home: Path, *, database: str = "") -> Self:
        """Open ``home/tenancy/access.db``, or make it.

        Args:
            home: The home folder.
            database: ``postgresql://...`` to keep it there instead.

        Raises:
            ConfigurationError: The file or the address cannot be used.
            DatabaseUnavailable: The database does not answer.
        """
        opened = open_tenancy_store(home, "access", _SCHEMA, database=database, added=_ADDED)
        with opened.write() as transaction:
            transaction.execute(
                "INSERT INTO tenant (name) VALUES (?) ON CONFLICT (name) DO NOTHING", (_DEFAULT,)
            )
        return cls(opened)

    def close(self) -> None:
        """Close the file. Idempotent."""
        self._database.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def set_tenant(self, tenant: Tenant) -> Tenant:
        """Make a tenant, or change one; what is ``None`` stays as it was."""
        given = {name: value for name, value in asdict(tenant).items() if value is not None}
        columns = ", ".join(given)
        marks = ", ".join("?" for _ in given)
        changes = ", ".join(f"{name} = excluded.{name}" for name in given)
        with self._database.write() as transaction:
            transaction.execute(
                f"INSERT INTO tenant ({columns}) VALUES ({marks})"  # noqa: S608 - our own names
                f" ON CONFLICT (name) DO UPDATE SET {changes}",
                tuple(given.values()),
            )
        return self.tenant(tenant.name)

    def tenant(self, name: str) -> Tenant:
        """Return a tenant.

        Raises:
            TenantNotFound: There is none of this name.
        """
        with self._database.read() as transaction:
            rows = transaction.execute(
                f"SELECT {', '.join(_TENANT_COLUMNS)} FROM tenant WHERE name = ?",  # noqa: S608
                (name,),
            )
        if not rows:
            raise TenantNotFound(
                f"no tenant of the name {name!r}",
                hint="`chopmark access create --tenant NAME` makes it",
            )
        return Tenant(**dict(zip(_TENANT_COLUMNS, rows[0], strict=True)))

    def tenants(self) -> list[Tenant]:
        """Return every tenant, by name."""
        with self._database.read() as transaction:
            rows = transaction.execute("SELECT name FROM tenant ORDER BY name")
        return [self.tenant(name) for (name,) in rows]

    def create_key(
        self,
        tenant: str,
        *,
        scopes: Iterable[str] = USUAL_SCOPES,
        label: str = "",
        days: int | None = None,
    ) -> NewKey:
        """Make a key for an existing tenant.

        Args:
            tenant: Whose key.
            scopes: What it allows.
            label: What the operator calls it; at most 100 characters.
            days: After so many days it expires.

        Raises:
            InvalidRequest: A scope that does not exist, or a value out of range.
            TenantNotFound: No such tenant.
        """
        allowed = sorted(set(scopes))
        unknown = [scope for scope in allowed if scope not in SCOPES]
        if unknown or not allowed:
            raise InvalidRequest(
                f"no scope of the name {unknown[0]!r}" if unknown else "a key needs a scope",
                hint=f"scopes are {', '.join(SCOPES)}",
                param="scopes",
            )
        if not _LABEL.fullmatch(label):
            raise InvalidRequest("a label has at most 100 printable characters", param="label")
        if days is not None and not 1 <= days <= 36_500:
            raise InvalidRequest(f"days is {days}, not in 1..36500", param="days")
        self.tenant(tenant)
        now = datetime.now(UTC)
        key_id, text = new_text()
        key = Key(
            key_id=key_id,
            tenant=tenant,
            scopes=frozenset(cast("list[Scope]", allowed)),
            label=label,
            created_at=_text(now),
            expires_at=None if days is None else _text(now + timedelta(days=days)),
        )
        with self._database.write() as transaction:
            transaction.execute(
                "INSERT INTO api_key (key_id, tenant, digest, scopes, label, created_at,"
                " expires_at) VALUES (?, ?, ?, ?, ?, ?, ?)",
                (
                    key_id,
                    tenant,
                    digest_of(text),
                    " ".join(allowed),
                    label,
                    key.created_at,
                    key.expires_at,
                ),
            )
        return NewKey(text=text, key=key)

    def keys(self) -> list[Key]:
        """Return every key that was ever made, the newest first."""
        with self._database.read() as transaction:
            rows = transaction.execute(
                f"SELECT {_KEY_COLUMNS} FROM api_key ORDER BY created_at DESC, key_id"  # noqa: S608
            )
        return [_KeyRow(*row).key() for row in rows]

    def has_keys(self) -> bool:
        """Tell whether a key was ever made; a server whose keys are all revoked stays closed."""
        with self._database.read() as transaction:
            return bool(transaction.execute("SELECT 1 FROM api_key LIMIT 1"))

    def revoke(self, key_id: str) -> Key:
        """Make a key useless from now on. Idempotent.

        Raises:
            AccessKeyNotFound: No such key.
        """
        now = _text(datetime.now(UTC))
        with self._database.write() as transaction:
            transaction.execute(
                "UPDATE api_key SET revoked_at = coalesce(revoked_at, ?) WHERE key_id = ?",
                (now, key_id),
            )
            rows = transaction.execute(
                f"SELECT {_KEY_COLUMNS} FROM api_key WHERE key_id = ?",  # noqa: S608
                (key_id,),
            )
        if not rows:
            raise AccessKeyNotFound(f"no API key {key_id!r}", hint="see `chopmark access list`")
        return _KeyRow(*rows[0]).key()

    def authenticate(self, text: str) -> tuple[Key, Tenant]:
        """Return the key that a text is, and its tenant.

        Raises:
            InvalidKey: Not a key of ours, or no longer good. The message says which only to
                somebody who knows the whole key.
        """
        key_id = parse(text)
        with self._database.read() as transaction:
            rows = transaction.execute(
                f"SELECT digest, {_KEY_COLUMNS} FROM api_key WHERE key_id = ?",  # noqa: S608
                (key_id,),
            )
        # A text of no key costs the same comparison, against zeros.
        if not same(text, bytes(rows[0][0]) if rows else None):
            raise InvalidKey("the API key is not known here", hint="check it, or ask for a new one")
        key = _KeyRow(*rows[0][1:]).key()
        _check_good(key)
        return key, self.tenant(key.tenant)

    def good_key(self, key_id: str) -> Key:
        """Return a key that somebody used a while ago, if it would still let them in.

        Raises:
            InvalidKey: There is none, or it was revoked or has expired.
        """
        with self._database.read() as transaction:
            rows = transaction.execute(
                f"SELECT {_KEY_COLUMNS} FROM api_key WHERE key_id = ?",  # noqa: S608
                (key_id,),
            )
        key = _KeyRow(*rows[0]).key() if rows else None
        if key is None:
            raise InvalidKey("the API key is not known here", hint="ask for a new one")
        _check_good(key)
        return key

    def reserve_images(self, tenant: Tenant, images: int) -> str:
        """Count pictures towards the tenant's day; return the day, for :meth:`return_images`.

        Raises:
            QuotaExhausted: The day would go over ``images_per_day``. Nothing is counted.
        """
        now = datetime.now(UTC)
        day = now.date().isoformat()
        with self._database.write() as transaction:
            rows = transaction.execute(
                "INSERT INTO day_use (tenant, day, images) VALUES (?, ?, ?)"
                " ON CONFLICT (tenant, day) DO UPDATE SET images = day_use.images + excluded.images"
                " RETURNING images",
                (tenant.name, day, images),
            )
            used = int(rows[0][0])
            if tenant.images_per_day is not None and used > tenant.images_per_day:
                # The exception rolls the count back.
                midnight = datetime.combine(now.date() + timedelta(days=1), now.min.time(), UTC)
                raise QuotaExhausted(
                    f"{tenant.images_per_day} pictures a day are allowed,"
                    f" {used - images} were made and {images} asked for",
                    hint="the day ends at 00:00 UTC; the operator can raise the quota",
                    retry_after_s=(midnight - now).total_seconds(),
                )
        return day

    def return_images(self, tenant: str, day: str, images: int) -> None:
        """Take back what was reserved and not made."""
        with self._database.write() as transaction:
            transaction.execute(
                "UPDATE day_use SET images = CASE WHEN images > ? THEN images - ? ELSE 0 END"
                " WHERE tenant = ? AND day = ?",
                (images, images, tenant, day),
            )

    def images_on(self, tenant: str, day: str) -> int:
        """Return how many pictures a tenant made on a day (ISO date, UTC)."""
        with self._database.read() as transaction:
            rows = transaction.execute(
                "SELECT images FROM day_use WHERE tenant = ? AND day = ?", (tenant, day)
            )
        return int(rows[0][0]) if rows else 0


def _check_good(key: Key) -> None:
    if key.revoked_at is not None:
        raise InvalidKey("the API key was revoked", hint="ask the operator for a new one")
    if key.expires_at is not None and key.expires_at <= _text(datetime.now(UTC)):
        raise InvalidKey("the API key has expired", hint="ask the operator for a new one")


def _text(time: datetime) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ")

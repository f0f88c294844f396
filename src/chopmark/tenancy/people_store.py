"""People, their one-time links and their sessions, in ``home/tenancy/people.db``."""

from __future__ import annotations

import json
import threading
import time
from typing import TYPE_CHECKING, Final, NamedTuple, Self, cast

from chopmark.errors import (
    NotSignedIn,
    PersonNotFound,
    RateLimited,
    SignInFailed,
)
from chopmark.kit.sqlite import open_store
from chopmark.tenancy.passwords import hash_password, password_is
from chopmark.tenancy.people import Person, PersonRole, check_name, roles_of
from chopmark.tenancy.sessions import NewSession, Session, csrf_token, new_token, token_digest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from chopmark.kit.database import Database

__all__ = ["People"]

_SCHEMA = """
CREATE TABLE IF NOT EXISTS person (
    name TEXT PRIMARY KEY, tenant TEXT, roles TEXT NOT NULL, password TEXT, created REAL NOT NULL,
    disabled REAL
) STRICT;
CREATE TABLE IF NOT EXISTS link (
    digest BLOB PRIMARY KEY, name TEXT NOT NULL REFERENCES person (name), expires REAL NOT NULL
) STRICT;
CREATE TABLE IF NOT EXISTS session (
    digest BLOB PRIMARY KEY, name TEXT NOT NULL, vouched TEXT, created REAL NOT NULL,
    used REAL NOT NULL, csrf TEXT NOT NULL
) STRICT;
CREATE INDEX IF NOT EXISTS session_name ON session (name);
"""
_LINK_S: Final = 24 * 3600
# A request more often than this does not write to the file.
_TOUCH_S: Final = 60
_MOST_FAILURES: Final = 10
_FAILURES_S: Final = 900
_MOST_NAMES: Final = 10_000


class _PersonRow(NamedTuple):
    """The columns of ``person`` that a :class:`Person` is made of, in the order of a query."""

    name: str
    tenant: str | None
    roles: str

    def person(self) -> Person:
        roles = cast("list[PersonRole]", self.roles.split())
        return Person(name=self.name, tenant=self.tenant, roles=frozenset(roles))


class _SessionRow(NamedTuple):
    """A session with what its person may do now; no roles where there is no such person any more.

    ``vouched`` is the JSON of tenant and roles where an OIDC provider vouches for somebody who is
    no local person.
    """

    name: str
    vouched: str | None
    created: float
    used: float
    csrf: str
    tenant: str | None
    roles: str | None

    def person(self) -> Person:
        if self.vouched is not None:
            claims = json.loads(self.vouched)
            return Person(name=self.name, tenant=claims["tenant"], roles=frozenset(claims["roles"]))
        if self.roles is None:
            raise NotSignedIn("the person was disabled", hint="ask the operator")
        return _PersonRow(self.name, self.tenant, self.roles).person()


class People:
    """Open it with :meth:`open`; use it from any thread, and from several processes.

    Attributes:
        idle_s: Seconds without a request after which a session ends.
        longest_s: Seconds after which it ends in any case.
    """

    def __init__(
        self,
        database: Database,
        *,
        idle_s: float = 3600,
        longest_s: float = 12 * 3600,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.idle_s = idle_s
        self.longest_s = longest_s
        self._database = database
        self._clock = clock
        self._lock = threading.Lock()
        self._failed: dict[str, list[float]] = {}
        self._any = False

    @classmethod
    def open(
        cls,
        home: Path,
        *,
        idle_s: float = 3600,
        longest_s: float = 12 * 3600,
        clock: Callable[[], float] = time.time,
    ) -> Self:
        """Open ``home/tenancy/people.db``, or make it.

        Raises:
            ConfigurationError: The file cannot be used.
        """
        database = open_store(home / "tenancy" / "people.db", _SCHEMA)
        return cls(database, idle_s=idle_s, longest_s=longest_s, clock=clock)

    def close(self) -> None:
        """Close the file. Idempotent."""
        self._database.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # Who there is

    def add(
        self,
        name: str,
        *,
        roles: Iterable[str],
        tenant: str | None,
        password: str | None = None,
    ) -> Person:
        """Make a local person, or change one: roles and tenant are what is given now.

        Args:
            name: 1 to 100 characters of a-z, 0-9 and ``._@-``.
            roles: What they may do.
            tenant: Whose records they see; ``None`` is all tenants.
            password: 15 characters or more; ``None`` leaves it as it was (a new person then signs
                in by :meth:`link`).

        Raises:
            InvalidRequest: A value cannot be used.
        """
        person = Person(name=check_name(name), tenant=tenant, roles=roles_of(roles))
        hashed = None if password is None else hash_password(password)
        with self._database.write() as transaction:
            transaction.execute(
                "INSERT INTO person (name, tenant, roles, password, created) VALUES (?, ?, ?, ?, ?)"
                " ON CONFLICT (name) DO UPDATE SET tenant = excluded.tenant,"
                " roles = excluded.roles, password = coalesce(excluded.password, password),"
                " disabled = NULL",
                (name, tenant, " ".join(sorted(person.roles)), hashed, self._clock()),
            )
            if password is not None:
                # Who changes a password because somebody knows it wants that somebody gone.
                transaction.execute("DELETE FROM session WHERE name = ?", (name,))
        return person

    def set_password(self, name: str, password: str) -> None:
        """Give a person a password; their sessions end.

        Raises:
            PersonNotFound: There is no such person.
            InvalidRequest: Too short or too long.
        """
        person = self.person(name)
        self.add(name, roles=person.roles, tenant=person.tenant, password=password)

    def disable(self, name: str) -> None:
        """Let a person in no more: their sessions and links end now.

        Raises:
            PersonNotFound: There is no such person.
        """
        self.person(name)
        with self._database.write() as transaction:
            transaction.execute(
                "UPDATE person SET disabled = ?, password = NULL WHERE name = ?",
                (self._clock(), name),
            )
            for table in ("session", "link"):
                transaction.execute(f"DELETE FROM {table} WHERE name = ?", (name,))  # noqa: S608

    def person(self, name: str) -> Person:
        """Return a local person who may sign in.

        Raises:
            PersonNotFound: There is none, or they were disabled.
        """
        with self._database.read() as transaction:
            rows = transaction.execute(
                "SELECT name, tenant, roles FROM person WHERE name = ? AND disabled IS NULL",
                (name,),
            )
        if not rows:
            raise PersonNotFound(
                f"no person of the name {name[:100]!r}", hint="see `chopmark access person list`"
            )
        return _PersonRow(*rows[0]).person()

    def now(self, name: str) -> Person | None:
        """Return who bears a name now: a local person, or somebody signed in whom OIDC vouches for.

        None where they were disabled, or their last session has ended.
        """
        since = self._clock()
        with self._database.read() as transaction:
            rows = transaction.execute(
                "SELECT session.name, vouched, session.created, used, csrf, tenant, roles"
                " FROM session LEFT JOIN person ON person.name = session.name AND disabled IS NULL"
                " WHERE session.name = ? AND vouched IS NOT NULL AND session.created > ?"
                " AND used > ? ORDER BY session.created DESC LIMIT 1",
                (name, since - self.longest_s, since - self.idle_s),
            )
        try:
            return self.person(name)
        except PersonNotFound:
            return _SessionRow(*rows[0]).person() if rows else None

    def everybody(self) -> list[Person]:
        """Return every local person who may sign in, by name."""
        with self._database.read() as transaction:
            rows = transaction.execute(
                "SELECT name, tenant, roles FROM person WHERE disabled IS NULL ORDER BY name"
            )
        return [_PersonRow(*row).person() for row in rows]

    def any(self) -> bool:
        """Tell whether there ever was a local person; a server that had one stays closed."""
        if not self._any:
            with self._database.read() as transaction:
                self._any = bool(transaction.execute("SELECT 1 FROM person LIMIT 1"))
        return self._any

    # Signing in

    def link(self, name: str, *, lasts_s: float = _LINK_S) -> str:
        """Return the token of a link that signs a person in once; earlier links end.

        Raises:
            PersonNotFound: There is no such person.
        """
        self.person(name)
        token = new_token()
        with self._database.write() as transaction:
            transaction.execute("DELETE FROM link WHERE name = ?", (name,))
            transaction.execute(
                "INSERT INTO link VALUES (?, ?, ?)",
                (token_digest(token), name, self._clock() + lasts_s),
            )
        return token

    def redeem(self, token: str) -> NewSession:
        """Begin a session by a one-time link.

        Raises:
            SignInFailed: No such link, used before, or too old.
        """
        with self._database.write() as transaction:
            rows = transaction.execute(
                "DELETE FROM link WHERE digest = ? RETURNING name, expires", (token_digest(token),)
            )
        if not rows or rows[0][1] <= self._clock():
            raise SignInFailed(
                "the sign-in link is not good, or was used before",
                hint="ask the operator for a new one: `chopmark access person link NAME`",
            )
        return self.begin(self.person(rows[0][0]))

    def sign_in(self, name: str, password: str) -> NewSession:
        """Begin a session by a password.

        Raises:
            SignInFailed: Name and password do not belong together; it does not say which is wrong.
            RateLimited: Too many wrong passwords for this name.
        """
        self._slow_down(name)
        with self._database.read() as transaction:
            rows = transaction.execute(
                "SELECT password, name, tenant, roles FROM person"
                " WHERE name = ? AND disabled IS NULL",
                (name,),
            )
        # A name that is nobody's costs a password hash too.
        if not password_is(password, rows[0][0] if rows else None):
            self._count_failure(name)
            raise SignInFailed(
                "name and password do not belong together",
                hint="the operator can make a one-time link: `chopmark access person link NAME`",
            )
        with self._lock:
            self._failed.pop(name, None)
        return self.begin(_PersonRow(*rows[0][1:]).person())

    def begin(self, person: Person, *, vouched: bool = False) -> NewSession:
        """Begin a session.

        Args:
            person: Who.
            vouched: Somebody else (an OIDC provider) says who they are: their roles are kept with
                the session, since there is nobody of the name here.
        """
        token, now = new_token(), self._clock()
        claims = json.dumps({"tenant": person.tenant, "roles": sorted(person.roles)})
        csrf = csrf_token(token)
        with self._database.write() as transaction:
            transaction.execute("DELETE FROM session WHERE created < ?", (now - self.longest_s,))
            transaction.execute(
                "INSERT INTO session VALUES (?, ?, ?, ?, ?, ?)",
                (token_digest(token), person.name, claims if vouched else None, now, now, csrf),
            )
        return NewSession(
            token=token,
            session=Session(person=person, csrf=csrf, expires_at=now + self.longest_s),
        )

    def session(self, token: str) -> Session:
        """Return the session of a token, and count this as its use.

        Raises:
            NotSignedIn: No such session, or it has ended.
        """
        digest, now = token_digest(token), self._clock()
        with self._database.read() as transaction:
            rows = transaction.execute(
                "SELECT session.name, vouched, session.created, used, csrf, tenant, roles"
                " FROM session LEFT JOIN person ON person.name = session.name AND disabled IS NULL"
                " WHERE digest = ? AND session.created > ? AND used > ?",
                (digest, now - self.longest_s, now - self.idle_s),
            )
        if not rows:
            raise NotSignedIn("the session has ended", hint="sign in again")
        row = _SessionRow(*rows[0])
        person = row.person()
        if now - row.used > _TOUCH_S:
            with self._database.write() as transaction:
                transaction.execute("UPDATE session SET used = ? WHERE digest = ?", (now, digest))
        return Session(person=person, csrf=row.csrf, expires_at=row.created + self.longest_s)

    def end(self, token: str) -> None:
        """End a session. Idempotent."""
        with self._database.write() as transaction:
            transaction.execute("DELETE FROM session WHERE digest = ?", (token_digest(token),))

    def end_all(self, name: str) -> int:
        """End every session of a person; return how many there were."""
        with self._database.write() as transaction:
            return len(
                transaction.execute("DELETE FROM session WHERE name = ? RETURNING 1", (name,))
            )

    # Guessing

    def _slow_down(self, name: str) -> None:
        now = self._clock()
        with self._lock:
            recent = [at for at in self._failed.get(name, ()) if at > now - _FAILURES_S]
        if len(recent) >= _MOST_FAILURES:
            raise RateLimited(
                "too many wrong passwords for this name",
                hint="wait, or ask the operator for a one-time link",
                retry_after_s=recent[0] + _FAILURES_S - now,
            )

    def _count_failure(self, name: str) -> None:
        now = self._clock()
        with self._lock:
            recent = [at for at in self._failed.pop(name, ()) if at > now - _FAILURES_S]
            self._failed[name] = [*recent, now]
            if len(self._failed) > _MOST_NAMES:
                self._failed.pop(next(iter(self._failed)))

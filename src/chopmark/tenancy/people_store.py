"""People, their one-time links, sessions and browsers, in ``home/tenancy/people.db``."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Final, NamedTuple, Self, cast

from chopmark.errors import (
    NotSignedIn,
    PersonNotFound,
    SignInFailed,
)
from chopmark.kit.stores import open_tenancy_store
from chopmark.tenancy.devices import SCHEMA, known_device, remember_device
from chopmark.tenancy.guesses import Guesses
from chopmark.tenancy.passwords import hash_password, password_is
from chopmark.tenancy.people import VOUCHED, Person, PersonRole, check_name, roles_of
from chopmark.tenancy.sessions import NewSession, Session, csrf_token, new_token, token_digest
from chopmark.tenancy.shared_state import MemoryState

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from chopmark.kit.database import Database
    from chopmark.tenancy.shared_state import SharedState

__all__ = ["People"]

_SCHEMA = """
CREATE TABLE IF NOT EXISTS person (
    name {key} PRIMARY KEY, tenant TEXT, roles TEXT NOT NULL, password TEXT,
    created {real} NOT NULL, disabled {real}
){strict};;
CREATE TABLE IF NOT EXISTS link (
    digest {blob} PRIMARY KEY, name {key} NOT NULL REFERENCES person (name), expires {real} NOT NULL
){strict};;
CREATE TABLE IF NOT EXISTS session (
    digest {blob} PRIMARY KEY, name TEXT NOT NULL, vouched TEXT, created {real} NOT NULL,
    used {real} NOT NULL, csrf TEXT NOT NULL
){strict};;
CREATE INDEX IF NOT EXISTS session_name ON session (name);;
"""
_LINK_S: Final = 24 * 3600
# A request more often than this does not write to the file.
_TOUCH_S: Final = 60


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
        state: SharedState | None = None,
    ) -> None:
        self.idle_s = idle_s
        self.longest_s = longest_s
        self._database = database
        self._clock = clock
        self._guesses = Guesses(state or MemoryState(clock))
        self._any = False

    @classmethod
    def open(
        cls,
        home: Path,
        *,
        idle_s: float = 3600,
        longest_s: float = 12 * 3600,
        clock: Callable[[], float] = time.time,
        database: str = "",
        state: SharedState | None = None,
    ) -> Self:
        """Open ``home/tenancy/people.db``, or make it.

        Args:
            home: The home folder.
            idle_s: As the attribute.
            longest_s: As the attribute.
            clock: Seconds since 1970.
            database: ``postgresql://...`` to keep them there instead.
            state: Where wrong passwords are counted; in memory where it is not given.

        Raises:
            ConfigurationError: The file or the address cannot be used.
            DatabaseUnavailable: The database does not answer.
        """
        opened = open_tenancy_store(home, "people", _SCHEMA + SCHEMA, database=database)
        return cls(opened, idle_s=idle_s, longest_s=longest_s, clock=clock, state=state)

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
                " roles = excluded.roles, password = coalesce(excluded.password, person.password),"
                " disabled = NULL",
                (name, tenant, " ".join(sorted(person.roles)), hashed, self._clock()),
            )
            if password is not None:
                # Who changes a password because somebody knows it wants that somebody gone.
                for table in ("session", "device"):
                    transaction.execute(f"DELETE FROM {table} WHERE name = ?", (name,))  # noqa: S608
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
            for table in ("session", "link", "device"):
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

    def as_now(self, then: Person, *, seen: float) -> Person:
        """Return somebody who asked for something a while ago, with the roles that they have now.

        Whoever an OIDC provider vouched for is as their newest session says; without one they stay
        as they were for as long as a session would have lasted.

        Args:
            then: As they were when they asked.
            seen: When that was, in seconds since 1970.

        Raises:
            PersonNotFound: They are nobody any more, or see other records now.
        """
        now = self.now(then.name)
        if now is None and then.name.startswith(VOUCHED) and self._clock() - seen < self.longest_s:
            now = then
        if now is None or now.tenant not in {None, then.tenant}:
            raise PersonNotFound(f"{then.name[:100]!r} is nobody here now, or of another tenant")
        return Person(name=now.name, tenant=then.tenant, roles=now.roles)

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

    def sign_in(
        self, name: str, password: str, *, address: str = "", device: str | None = None
    ) -> NewSession:
        """Begin a session by a password.

        Args:
            name: Who it is said to be.
            password: Theirs, or a guess.
            address: Where it comes from.
            device: What the browser has of an earlier sign-in (:attr:`NewSession.device`).

        Raises:
            SignInFailed: Name and password do not belong together; it does not say which is wrong.
            RateLimited: Too many wrong passwords, from there or for this name
                (:mod:`chopmark.tenancy.guesses`).
        """
        with self._database.read() as transaction:
            known = known_device(transaction, name, device, now=self._clock())
            rows = transaction.execute(
                "SELECT password, name, tenant, roles FROM person"
                " WHERE name = ? AND disabled IS NULL",
                (name,),
            )
        self._guesses.check(name, device=known)
        # A name that is nobody's costs a password hash too.
        if not password_is(password, rows[0][0] if rows else None):
            self._guesses.wrong(name, address=address, device=known)
            raise SignInFailed(
                "name and password do not belong together",
                hint="the operator can make a one-time link: `chopmark access person link NAME`",
            )
        self._guesses.right(name, address=address, device=known)
        return self.begin(_PersonRow(*rows[0][1:]).person())

    def begin(self, person: Person, *, vouched: bool = False) -> NewSession:
        """Begin a session.

        Args:
            person: Who.
            vouched: Somebody else (an OIDC provider) says who they are: their roles are kept with
                the session, since there is nobody of the name here.
        """
        token, now = new_token(), self._clock()
        device = "" if vouched else new_token()
        claims = json.dumps({"tenant": person.tenant, "roles": sorted(person.roles)})
        csrf = csrf_token(token)
        with self._database.write() as transaction:
            transaction.execute("DELETE FROM session WHERE created < ?", (now - self.longest_s,))
            transaction.execute(
                "INSERT INTO session VALUES (?, ?, ?, ?, ?, ?)",
                (token_digest(token), person.name, claims if vouched else None, now, now, csrf),
            )
            if device:
                remember_device(transaction, person.name, device, now=now)
        return NewSession(
            token=token,
            device=device,
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

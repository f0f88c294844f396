"""Answers kept by Idempotency-Key (draft-ietf-httpapi-idempotency-key-header-07).

A client that lost the answer asks again with the same key and gets the same bytes, and nothing is
made or booked twice. Kept for a day, in ``home/tenancy/replays.db`` or a database that several
servers share: these are whole answers, with their pictures. When there are too many bytes of them,
the oldest go first.

What a request is about to end in is kept too, before the log says so. A server that dies between
that and its answer leaves it behind, and the key leads to it.

They are sealed with a key made of the client's Idempotency-Key and of the request, neither of which
is kept: without the client nobody opens them. Beside each stands the record that it belongs to, so
that it goes when that is erased.

Where servers share them, each says every few seconds that it is there. What a server was working on
that has been silent for the time of a lease is anybody's.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Self

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from chopmark.errors import (
    AnswerErased,
    ConfigurationError,
    IdempotencyInFlight,
    IdempotencyMismatch,
    InvalidRequest,
)
from chopmark.kit.files import random_secret
from chopmark.kit.stores import open_tenancy_store

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from chopmark.kit.database import Database, Transaction

__all__ = ["BEAT_S", "FILE", "LEASE_S", "KeptAnswer", "Replays", "Unanswered"]

FILE: Final = "tenancy/replays.db"
KEPT_S: Final = 24 * 3600
MAX_BYTES: Final = 2**30
_KEY = re.compile(r"[\x21-\x7e]{1,255}")
_NONCE: Final = 12
#: A server that has not said for so long that it is there has died; it says so so often.
LEASE_S: Final = 12.0
BEAT_S: Final = 3.0
_SCHEMA = """
DROP TABLE IF EXISTS replay;;
CREATE TABLE IF NOT EXISTS sealed_replay (
    name {blob} PRIMARY KEY, fingerprint {blob} NOT NULL, created {real} NOT NULL, sealed {blob},
    record_id TEXT, ending {blob}, running {integer} NOT NULL DEFAULT 0,
    owner TEXT NOT NULL DEFAULT ''
){strict};;
CREATE INDEX IF NOT EXISTS sealed_replay_created ON sealed_replay (created);;
CREATE TABLE IF NOT EXISTS server (owner TEXT PRIMARY KEY, seen {real} NOT NULL){strict}
"""
_ADDED: Final = {
    "sealed_replay": {
        "record_id": "TEXT",
        "ending": "{blob}",
        "running": "{integer} NOT NULL DEFAULT 0",
        "owner": "TEXT NOT NULL DEFAULT ''",
    }
}


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptAnswer:
    """One whole HTTP answer.

    Attributes:
        status: Of HTTP.
        headers: Names and values.
        body: All of it.
        record_id: The record that it tells of, where it tells of one.
    """

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes
    record_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Unanswered:
    """What a request was about to end in when its server died, or its client went away.

    Attributes:
        record_id: Its record; the log says whether it ended so.
        ending: As it was given to :meth:`Replays.end`.
    """

    record_id: str
    ending: bytes


class Replays:
    """Open it with :meth:`open`; use it from any thread of one server.

    Args:
        database: Where they lie.
        clock: Seconds since 1970.
        max_bytes: Of all that is kept.
        owner: Names this server among those that share the database.
    """

    def __init__(
        self,
        database: Database,
        *,
        clock: Callable[[], float] = time.time,
        max_bytes: int = MAX_BYTES,
        owner: str = "",
    ) -> None:
        self._database = database
        self._clock = clock
        self._max_bytes = max_bytes
        self._owner = owner

    @classmethod
    def open(
        cls,
        home: Path,
        *,
        clock: Callable[[], float] = time.time,
        max_bytes: int = MAX_BYTES,
        running: bool = True,
        database: str = "",
    ) -> Self:
        """Open the file, or make it.

        What an earlier process of this home left running is forgotten, but for what it was about
        to end in.

        Args:
            home: The home folder.
            clock: Seconds since 1970.
            max_bytes: Of all that is kept.
            running: False where a server may have it open: then its requests do run.
            database: ``postgresql://...`` to keep them there instead, for several servers.

        Raises:
            ConfigurationError: The file or the address cannot be used.
            DatabaseUnavailable: The database does not answer.
        """
        # Whole answers, up to a GiB: zeros over each that goes would cost as much as keeping them,
        # and hide nothing, since what is sealed opens for its client alone.
        opened = open_tenancy_store(
            home, "replays", _SCHEMA, database=database, added=_ADDED, secure_delete=False
        )
        # The home's, not the process's: after a restart what was its own is its own at once.
        owner = random_secret(home / "tenancy" / "server", length=16).hex() if database else ""
        if running:
            with opened.write() as transaction:
                transaction.execute(
                    "DELETE FROM sealed_replay WHERE sealed IS NULL AND ending IS NULL"
                    " AND record_id IS NULL AND owner = ?",
                    (owner,),
                )
                transaction.execute(
                    "UPDATE sealed_replay SET running = 0 WHERE running = 1 AND owner = ?", (owner,)
                )
        kept = cls(opened, clock=clock, max_bytes=max_bytes, owner=owner)
        if running:
            kept.beat()
        return kept

    def beat(self) -> None:
        """Say that this server is there; what those that do not say so work on can be taken."""
        with self._database.write() as transaction:
            transaction.execute(
                "INSERT INTO server (owner, seen) VALUES (?, ?)"
                " ON CONFLICT (owner) DO UPDATE SET seen = excluded.seen",
                (self._owner, self._clock()),
            )

    def close(self) -> None:
        """Close the file. Idempotent."""
        self._database.close()

    def begin(self, tenant: str, key: str, fingerprint: bytes) -> KeptAnswer | Unanswered | None:
        """Claim a key; return what it led to before, if it led to anything.

        Whoever gets an answer has claimed nothing; else the key is theirs until :meth:`finish` or
        :meth:`drop`.

        Args:
            tenant: Whose key; those of different callers are different keys.
            key: 1 to 255 visible ASCII characters.
            fingerprint: Digest of the request.

        Raises:
            InvalidRequest: The key has another form.
            IdempotencyInFlight: The first request with this key still runs.
            IdempotencyMismatch: The key belongs to a request with another fingerprint.
            AnswerErased: What it led to was erased.
        """
        if not _KEY.fullmatch(key):
            raise InvalidRequest(
                "the Idempotency-Key is not 1 to 255 visible ASCII characters",
                hint="a UUID is a good one",
                param="Idempotency-Key",
            )
        now, name = self._clock(), _digest("name", tenant, key)
        mark = _digest("fingerprint", tenant, key, fingerprint)
        with self._database.write() as transaction:
            transaction.execute("DELETE FROM sealed_replay WHERE created < ?", (now - KEPT_S,))
            rows = transaction.execute(
                "SELECT fingerprint, sealed, record_id, ending, running, sealed_replay.owner, seen"
                " FROM sealed_replay LEFT JOIN server ON server.owner = sealed_replay.owner"
                " WHERE name = ?",
                (name,),
            )
            if not rows:
                transaction.execute(
                    "INSERT INTO sealed_replay (name, fingerprint, created, running, owner)"
                    " VALUES (?, ?, ?, 1, ?)",
                    (name, mark, now, self._owner),
                )
                return None
            first, sealed, record_id, ending, running, owner, seen = rows[0]
            if running and owner != self._owner and (seen is None or seen < now - LEASE_S):
                running = 0  # its server has died
                if sealed is None and ending is None and record_id is None and first == mark:
                    self._take(transaction, name)
                    return None
            unanswered = bytes(first) == mark and sealed is None and not running
            if unanswered and ending is not None:
                self._take(transaction, name)
        if bytes(first) != mark:
            raise IdempotencyMismatch(
                "this Idempotency-Key was used for another request",
                hint="use a new key for a new request",
                param="Idempotency-Key",
            )
        if sealed is not None:
            return _answer(_open(bytes(sealed), tenant, key, fingerprint), record_id)
        if not unanswered:
            raise IdempotencyInFlight(
                "the first request with this Idempotency-Key still runs",
                hint="try again in a moment",
                param="Idempotency-Key",
            )
        if ending is None:
            raise AnswerErased(
                "what this Idempotency-Key led to was erased",
                hint="use a new key for a new request",
                param="Idempotency-Key",
            )
        return Unanswered(
            record_id=str(record_id), ending=_open(bytes(ending), tenant, key, fingerprint)
        )

    def _take(self, transaction: Transaction, name: bytes) -> None:
        transaction.execute(
            "UPDATE sealed_replay SET running = 1, owner = ? WHERE name = ?", (self._owner, name)
        )

    def end(self, tenant: str, key: str, fingerprint: bytes, ending: Unanswered) -> None:
        """Keep what the request of a claimed key is about to end in; durable when this returns.

        Raises:
            IdempotencyInFlight: This server was silent for so long that another one has taken the
                key over; this request must come to nothing.
        """
        sealed = _seal(ending.ending, tenant, key, fingerprint)
        with self._database.write() as transaction:
            kept = transaction.execute(
                "UPDATE sealed_replay SET record_id = ?, ending = ? WHERE name = ? AND owner = ?"
                " RETURNING name",
                (ending.record_id, sealed, _digest("name", tenant, key), self._owner),
            )
        if not kept:
            raise IdempotencyInFlight(
                "another server has taken this request over",
                hint="ask again with the same key",
                param="Idempotency-Key",
            )

    def renew(self, tenant: str, key: str) -> None:
        """Forget what a claimed key led to, since it never came to that; the key stays claimed."""
        with self._database.write() as transaction:
            transaction.execute(
                "UPDATE sealed_replay SET record_id = NULL, ending = NULL WHERE name = ?",
                (_digest("name", tenant, key),),
            )

    def finish(self, tenant: str, key: str, fingerprint: bytes, answer: KeptAnswer) -> None:
        """Keep the answer to a key that was claimed, for the request with this fingerprint."""
        sealed = _seal(_whole(answer), tenant, key, fingerprint)
        with self._database.write() as transaction:
            transaction.execute(
                "UPDATE sealed_replay SET sealed = ?, ending = NULL, running = 0,"
                " record_id = coalesce(?, record_id) WHERE name = ? AND running = 1 AND owner = ?",
                (sealed, answer.record_id, _digest("name", tenant, key), self._owner),
            )
            transaction.execute(
                # Newest first, until the bytes are used up; what is beyond goes.
                "DELETE FROM sealed_replay WHERE name IN (SELECT name FROM (SELECT name,"
                " sum(coalesce(length(sealed), 0) + coalesce(length(ending), 0))"
                " OVER (ORDER BY created DESC, name) AS total, running"
                " FROM sealed_replay) AS kept WHERE total > ? AND running = 0)",
                (self._max_bytes,),
            )

    def drop(self, tenant: str, key: str) -> None:
        """Let go of a key whose request gave no answer that is worth keeping.

        What it was about to end in stays: the log may say that it did.
        """
        name = _digest("name", tenant, key)
        with self._database.write() as transaction:
            transaction.execute(
                "DELETE FROM sealed_replay WHERE name = ? AND ending IS NULL", (name,)
            )
            transaction.execute("UPDATE sealed_replay SET running = 0 WHERE name = ?", (name,))

    def records(self) -> list[str]:
        """Return the records that something is kept of."""
        with self._database.read() as transaction:
            rows = transaction.execute(
                "SELECT DISTINCT record_id FROM sealed_replay WHERE record_id IS NOT NULL"
            )
        return [str(row[0]) for row in rows]

    def forget(self, record_ids: Iterable[str]) -> None:
        """Take away what is kept of these records; their keys lead to nothing any more.

        The keys stay known until their day is over: a request that comes again is told so, and
        nothing is made anew for somebody who was erased.
        """
        with self._database.write() as transaction:
            transaction.many(
                "UPDATE sealed_replay SET sealed = NULL, ending = NULL, running = 0"
                " WHERE record_id = ?",
                [(record_id,) for record_id in record_ids],
            )


def _digest(purpose: str, tenant: str, key: str, fingerprint: bytes = b"") -> bytes:
    text = json.dumps([purpose, tenant, key]).encode() + b"\0" + fingerprint
    return hashlib.sha256(text).digest()


def _cipher(tenant: str, key: str, fingerprint: bytes) -> AESGCM:
    derivation = HKDF(algorithm=SHA256(), length=32, salt=None, info=b"chopmark replay 1")
    return AESGCM(derivation.derive(_digest("key", tenant, key, fingerprint)))


def _seal(plain: bytes, tenant: str, key: str, fingerprint: bytes) -> bytes:
    nonce = os.urandom(_NONCE)
    return nonce + _cipher(tenant, key, fingerprint).encrypt(nonce, plain, None)


def _open(sealed: bytes, tenant: str, key: str, fingerprint: bytes) -> bytes:
    try:
        return _cipher(tenant, key, fingerprint).decrypt(sealed[:_NONCE], sealed[_NONCE:], None)
    except InvalidTag as error:
        raise ConfigurationError(
            "a kept answer does not open", hint="was home/tenancy/replays.db changed by hand?"
        ) from error


def _whole(answer: KeptAnswer) -> bytes:
    head = json.dumps([answer.status, answer.headers]).encode()
    return len(head).to_bytes(4, "big") + head + answer.body


def _answer(plain: bytes, record_id: str | None) -> KeptAnswer:
    end = 4 + int.from_bytes(plain[:4], "big")
    status, headers = json.loads(plain[4:end])
    return KeptAnswer(
        status=status,
        headers=tuple((name, value) for name, value in headers),
        body=plain[end:],
        record_id=record_id,
    )

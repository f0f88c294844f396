"""Answers kept by Idempotency-Key (draft-ietf-httpapi-idempotency-key-header-07).

A client that lost the answer asks again with the same key and gets the same bytes, and nothing is
made or booked twice. Kept for a day, in ``home/tenancy/replays.db``: these are whole answers, with
their pictures. When there are too many bytes of them, the oldest go first.

They are sealed with a key made of the client's Idempotency-Key and of the request, neither of which
is kept: without the client nobody opens them, so what is erased in the log is not left here.
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
    ConfigurationError,
    IdempotencyInFlight,
    IdempotencyMismatch,
    InvalidRequest,
)
from chopmark.kit.sqlite import open_store

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from chopmark.kit.database import Database

__all__ = ["KeptAnswer", "Replays"]

KEPT_S: Final = 24 * 3600
MAX_BYTES: Final = 2**30
_KEY = re.compile(r"[\x21-\x7e]{1,255}")
_NONCE: Final = 12
_SCHEMA = """
DROP TABLE IF EXISTS replay;
CREATE TABLE IF NOT EXISTS sealed_replay (
    name BLOB PRIMARY KEY, fingerprint BLOB NOT NULL, created REAL NOT NULL, sealed BLOB
) STRICT;
CREATE INDEX IF NOT EXISTS sealed_replay_created ON sealed_replay (created);
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptAnswer:
    """One whole HTTP answer."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes


class Replays:
    """Open it with :meth:`open`; use it from any thread of one server."""

    def __init__(
        self,
        database: Database,
        *,
        clock: Callable[[], float] = time.time,
        max_bytes: int = MAX_BYTES,
    ) -> None:
        self._database = database
        self._clock = clock
        self._max_bytes = max_bytes

    @classmethod
    def open(
        cls, home: Path, *, clock: Callable[[], float] = time.time, max_bytes: int = MAX_BYTES
    ) -> Self:
        """Open the file, or make it. What an earlier process left running is forgotten.

        Raises:
            ConfigurationError: The file cannot be used.
        """
        # Whole answers, up to a GiB: zeros over each that goes would cost as much as keeping them,
        # and hide nothing, since what is sealed opens for its client alone.
        database = open_store(home / "tenancy" / "replays.db", _SCHEMA, secure_delete=False)
        with database.write() as transaction:
            transaction.execute("DELETE FROM sealed_replay WHERE sealed IS NULL")
        return cls(database, clock=clock, max_bytes=max_bytes)

    def close(self) -> None:
        """Close the file. Idempotent."""
        self._database.close()

    def begin(self, tenant: str, key: str, fingerprint: bytes) -> KeptAnswer | None:
        """Claim a key; return the answer that it had before, if it had one.

        Args:
            tenant: Whose key; those of different callers are different keys.
            key: 1 to 255 visible ASCII characters.
            fingerprint: Digest of the request.

        Raises:
            InvalidRequest: The key has another form.
            IdempotencyInFlight: The first request with this key still runs.
            IdempotencyMismatch: The key belongs to a request with another fingerprint.
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
                "SELECT fingerprint, sealed FROM sealed_replay WHERE name = ?", (name,)
            )
            if not rows:
                transaction.execute(
                    "INSERT INTO sealed_replay (name, fingerprint, created) VALUES (?, ?, ?)",
                    (name, mark, now),
                )
                return None
        first, sealed = rows[0]
        if bytes(first) != mark:
            raise IdempotencyMismatch(
                "this Idempotency-Key was used for another request",
                hint="use a new key for a new request",
                param="Idempotency-Key",
            )
        if sealed is None:
            raise IdempotencyInFlight(
                "the first request with this Idempotency-Key still runs",
                hint="try again in a moment",
                param="Idempotency-Key",
            )
        return _open(bytes(sealed), tenant, key, fingerprint)

    def finish(self, tenant: str, key: str, fingerprint: bytes, answer: KeptAnswer) -> None:
        """Keep the answer to a key that was claimed, for the request with this fingerprint."""
        sealed = _seal(answer, tenant, key, fingerprint)
        with self._database.write() as transaction:
            transaction.execute(
                "UPDATE sealed_replay SET sealed = ? WHERE name = ?",
                (sealed, _digest("name", tenant, key)),
            )
            transaction.execute(
                # Newest first, until the bytes are used up; what is beyond goes.
                "DELETE FROM sealed_replay WHERE rowid IN (SELECT rowid FROM (SELECT rowid,"
                " sum(length(sealed)) OVER (ORDER BY created DESC, rowid DESC) AS total"
                " FROM sealed_replay WHERE sealed IS NOT NULL) WHERE total > ?)",
                (self._max_bytes,),
            )

    def drop(self, tenant: str, key: str) -> None:
        """Let go of a key whose request came to nothing that is worth keeping."""
        with self._database.write() as transaction:
            transaction.execute(
                "DELETE FROM sealed_replay WHERE name = ?", (_digest("name", tenant, key),)
            )


def _digest(purpose: str, tenant: str, key: str, fingerprint: bytes = b"") -> bytes:
    text = json.dumps([purpose, tenant, key]).encode() + b"\0" + fingerprint
    return hashlib.sha256(text).digest()


def _cipher(tenant: str, key: str, fingerprint: bytes) -> AESGCM:
    derivation = HKDF(algorithm=SHA256(), length=32, salt=None, info=b"chopmark replay 1")
    return AESGCM(derivation.derive(_digest("key", tenant, key, fingerprint)))


def _seal(answer: KeptAnswer, tenant: str, key: str, fingerprint: bytes) -> bytes:
    head = json.dumps([answer.status, answer.headers]).encode()
    nonce = os.urandom(_NONCE)
    plain = len(head).to_bytes(4, "big") + head + answer.body
    return nonce + _cipher(tenant, key, fingerprint).encrypt(nonce, plain, None)


def _open(sealed: bytes, tenant: str, key: str, fingerprint: bytes) -> KeptAnswer:
    try:
        plain = _cipher(tenant, key, fingerprint).decrypt(sealed[:_NONCE], sealed[_NONCE:], None)
    except InvalidTag as error:
        raise ConfigurationError(
            "a kept answer does not open", hint="was home/tenancy/replays.db changed by hand?"
        ) from error
    end = 4 + int.from_bytes(plain[:4], "big")
    status, headers = json.loads(plain[4:end])
    return KeptAnswer(
        status=status,
        headers=tuple((name, value) for name, value in headers),
        body=plain[end:],
    )

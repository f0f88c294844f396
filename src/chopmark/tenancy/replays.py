"""Answers kept by Idempotency-Key (draft-ietf-httpapi-idempotency-key-header-07).

A client that lost the answer asks again with the same key and gets the same bytes, and nothing is
made or booked twice. Kept for a day, in ``home/tenancy/replays.db``: these are whole answers, with
their pictures. When there are too many bytes of them, the oldest go first.
"""

from __future__ import annotations

import json
import re
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Self

from chopmark.errors import IdempotencyInFlight, IdempotencyMismatch, InvalidRequest
from chopmark.tenancy.database import Database

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

__all__ = ["Answer", "Replays"]

KEPT_S: Final = 24 * 3600
MAX_BYTES: Final = 2**30
_KEY = re.compile(r"[\x21-\x7e]{1,255}")
_SCHEMA = """
CREATE TABLE IF NOT EXISTS replay (
    tenant TEXT NOT NULL, key TEXT NOT NULL, fingerprint BLOB NOT NULL, created REAL NOT NULL,
    status INTEGER, headers TEXT, body BLOB, PRIMARY KEY (tenant, key)
) STRICT;
CREATE INDEX IF NOT EXISTS replay_created ON replay (created);
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
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
        database = Database(home / "tenancy" / "replays.db", _SCHEMA)
        with database.transaction(write=True) as transaction:
            transaction.execute("DELETE FROM replay WHERE status IS NULL")
        return cls(database, clock=clock, max_bytes=max_bytes)

    def close(self) -> None:
        """Close the file. Idempotent."""
        self._database.close()

    def begin(self, tenant: str, key: str, fingerprint: bytes) -> Answer | None:
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
        now = self._clock()
        with self._database.transaction(write=True) as transaction:
            transaction.execute("DELETE FROM replay WHERE created < ?", (now - KEPT_S,))
            row = transaction.execute(
                "SELECT fingerprint, status, headers, body FROM replay"
                " WHERE tenant = ? AND key = ?",
                (tenant, key),
            ).fetchone()
            if row is None:
                transaction.execute(
                    "INSERT INTO replay (tenant, key, fingerprint, created) VALUES (?, ?, ?, ?)",
                    (tenant, key, fingerprint, now),
                )
                return None
        kept, status, headers, body = row
        if bytes(kept) != fingerprint:
            raise IdempotencyMismatch(
                "this Idempotency-Key was used for another request",
                hint="use a new key for a new request",
                param="Idempotency-Key",
            )
        if status is None:
            raise IdempotencyInFlight(
                "the first request with this Idempotency-Key still runs",
                hint="try again in a moment",
                param="Idempotency-Key",
            )
        return Answer(
            status=status,
            headers=tuple((name, value) for name, value in json.loads(headers)),
            body=bytes(body),
        )

    def finish(self, tenant: str, key: str, answer: Answer) -> None:
        """Keep the answer to a key that was claimed."""
        with self._database.transaction(write=True) as transaction:
            transaction.execute(
                "UPDATE replay SET status = ?, headers = ?, body = ? WHERE tenant = ? AND key = ?",
                (answer.status, json.dumps(answer.headers), answer.body, tenant, key),
            )
            transaction.execute(
                # Newest first, until the bytes are used up; what is beyond goes.
                "DELETE FROM replay WHERE rowid IN (SELECT rowid FROM (SELECT rowid,"
                " sum(length(body)) OVER (ORDER BY created DESC, rowid DESC) AS total FROM replay"
                " WHERE status IS NOT NULL) WHERE total > ?)",
                (self._max_bytes,),
            )

    def drop(self, tenant: str, key: str) -> None:
        """Let go of a key whose request came to nothing that is worth keeping."""
        with self._database.transaction(write=True) as transaction:
            transaction.execute("DELETE FROM replay WHERE tenant = ? AND key = ?", (tenant, key))

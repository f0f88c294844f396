"""Browsers that signed in before: each is known by a random token, of which a digest is kept.

It names nobody and opens nothing. Its one use is that wrong passwords typed elsewhere do not count
for it (:mod:`chopmark.tenancy.guesses`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from chopmark.tenancy.sessions import token_digest

if TYPE_CHECKING:
    from chopmark.kit.database import Transaction

__all__ = ["DEVICE_S", "SCHEMA", "known_device", "remember_device"]

#: A browser is known for so many seconds, and so many of one person are.
DEVICE_S: Final = 180 * 24 * 3600
_MOST: Final = 20
SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS device (
    digest {blob} PRIMARY KEY, name TEXT NOT NULL, created {real} NOT NULL
){strict};;
CREATE INDEX IF NOT EXISTS device_name ON device (name)
"""


def known_device(
    transaction: Transaction, name: str, token: str | None, *, now: float
) -> str | None:
    """Return a name for a browser that signed in to this name before, by its token."""
    digest = token_digest(token) if token else None
    if digest is None:
        return None
    known = transaction.execute(
        "SELECT 1 FROM device WHERE digest = ? AND name = ? AND created > ?",
        (digest, name, now - DEVICE_S),
    )
    return digest.hex() if known else None


def remember_device(transaction: Transaction, name: str, token: str, *, now: float) -> None:
    """Know a browser from now on; the oldest of too many are forgotten."""
    transaction.execute("INSERT INTO device VALUES (?, ?, ?)", (token_digest(token), name, now))
    transaction.execute(
        "DELETE FROM device WHERE name = ? AND (created < ? OR digest NOT IN (SELECT digest"
        " FROM device WHERE name = ? ORDER BY created DESC LIMIT ?))",
        (name, now - DEVICE_S, name, _MOST),
    )

"""Passwords, hashed with Argon2id (RFC 9106) by argon2-cffi with its own parameters."""

from __future__ import annotations

import threading
from functools import cache
from typing import TYPE_CHECKING

from chopmark.errors import InvalidRequest
from chopmark.kit.limits import PASSWORD

if TYPE_CHECKING:
    from argon2 import PasswordHasher

__all__ = ["hash_password", "password_is"]

# Each hash takes 64 MiB: many sign-ins at once must not take all the memory.
_one_at_a_time = threading.Lock()


def hash_password(password: str) -> str:
    """Return what is kept of a password.

    Raises:
        InvalidRequest: Shorter than 15 or longer than 1024 characters.
    """
    if not PASSWORD.least <= len(password) <= PASSWORD.most:
        raise InvalidRequest(
            f"the password has {len(password)} characters, not {PASSWORD.least} to {PASSWORD.most}",
            hint="several words are easier to keep in mind than one with odd letters",
            param="password",
        )
    with _one_at_a_time:
        return _hasher().hash(password)


def password_is(password: str, kept: str | None) -> bool:
    """Compare; takes as long for somebody who has no password or does not exist."""
    from argon2.exceptions import InvalidHashError, VerificationError

    with _one_at_a_time:
        try:
            right = _hasher().verify(kept or _nobodys(), password[: PASSWORD.most])
        except (VerificationError, InvalidHashError):
            return False
    return right and kept is not None


@cache
def _hasher() -> PasswordHasher:
    from argon2 import PasswordHasher

    return PasswordHasher()


@cache
def _nobodys() -> str:
    return _hasher().hash("somebody who is not there")

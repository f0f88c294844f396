"""Passwords, hashed with Argon2id (RFC 9106) by argon2-cffi with its own parameters."""

from __future__ import annotations

import threading
from functools import cache
from typing import TYPE_CHECKING, Final

from chopmark.errors import InvalidRequest

if TYPE_CHECKING:
    from argon2 import PasswordHasher

__all__ = ["MIN_LENGTH", "hash_password", "password_is"]

# NIST SP 800-63B-4 section 3.1.1.2: 15 characters where the password is the only factor.
MIN_LENGTH: Final = 15
_MAX_LENGTH: Final = 1024
# Each hash takes 64 MiB: many sign-ins at once must not take all the memory.
_one_at_a_time = threading.Lock()


def hash_password(password: str) -> str:
    """Return what is kept of a password.

    Raises:
        InvalidRequest: Shorter than 15 or longer than 1024 characters.
    """
    if not MIN_LENGTH <= len(password) <= _MAX_LENGTH:
        raise InvalidRequest(
            f"the password has {len(password)} characters, not {MIN_LENGTH} to {_MAX_LENGTH}",
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
            right = _hasher().verify(kept or _nobodys(), password[:_MAX_LENGTH])
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

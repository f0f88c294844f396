"""API keys: their text, and what is kept of it."""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from dataclasses import dataclass
from typing import Final, Literal, get_args

from chopmark.errors import InvalidKey

__all__ = [
    "SCOPES",
    "USUAL_SCOPES",
    "Key",
    "NewKey",
    "Scope",
    "digest_of",
    "new_text",
    "parse",
    "same",
]

Scope = Literal[
    "erase",
    "fetch:manifests",
    "generate",
    "hold",
    "metrics",
    "moderate",
    "read",
    "review",
    "seal",
    "store:bindings",
    "store:manifests",
    "verify",
]
SCOPES: Final[tuple[Scope, ...]] = get_args(Scope)
#: Of a key that is made without naming any: the least that an application needs which makes
#: pictures and looks at them. What writes, erases, or tells of other tenants is named on purpose.
USUAL_SCOPES: Final[tuple[Scope, ...]] = (
    "fetch:manifests",
    "generate",
    "moderate",
    "read",
    "verify",
)
_TEXT = re.compile(r"cm_([0-9a-f]{12})_([A-Za-z0-9_-]{43})")


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """What is known of an API key; enough to list and revoke it, not to use it.

    Attributes:
        key_id: 12 hex digits, the part of the text that may be shown.
        tenant: Whose key it is.
        scopes: What it allows.
        label: What the operator called it.
        created_at: RFC 3339, UTC.
        expires_at: RFC 3339, UTC; ``None`` for never.
        revoked_at: RFC 3339, UTC; ``None`` while it is good.
    """

    key_id: str
    tenant: str
    scopes: frozenset[Scope]
    label: str
    created_at: str
    expires_at: str | None = None
    revoked_at: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class NewKey:
    """A key that was just made, with the text that is shown this once."""

    text: str
    key: Key

    def __repr__(self) -> str:
        """Return a form without the secret: values end up in logs."""
        return f"NewKey(key={self.key!r})"


def new_text() -> tuple[str, str]:
    """Return a fresh key id and the whole text of its key."""
    key_id = secrets.token_hex(6)
    return key_id, f"cm_{key_id}_{secrets.token_urlsafe(32)}"


def digest_of(text: str) -> bytes:
    """Return what is kept of a key.

    The text holds 256 random bits, so there is nothing to guess and a slow hash (which passwords
    need) would only slow down every request.
    """
    return hashlib.sha256(text.encode()).digest()


def parse(text: str) -> str:
    """Return the key id that a text claims.

    Raises:
        InvalidKey: The text does not have the form of a key.
    """
    match = _TEXT.fullmatch(text)
    if match is None:
        raise InvalidKey(
            "the API key does not have the form of one",
            hint="a key starts with cm_; make one with `chopmark access create`",
        )
    return match[1]


def same(text: str, kept: bytes | None) -> bool:
    """Compare in constant time; takes as long when there is nothing to compare with."""
    right = hmac.compare_digest(digest_of(text), kept or bytes(32))
    return right and kept is not None

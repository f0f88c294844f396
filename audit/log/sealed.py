"""Content under the key of its subject: what is stored, and what it says once it is opened."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from cryptography.exceptions import InvalidTag

from chopmark.errors import LogCorrupt

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

__all__ = ["NONCE", "Content", "DataKey", "Sealed", "decrypted", "encrypted"]

NONCE: Final = 12
"""Bytes of a nonce, which stands before each ciphertext."""


@dataclass(frozen=True, kw_only=True, slots=True)
class DataKey:
    """The key of one subject.

    Attributes:
        key_id: 16 random bytes; all that the log's own file says about the subject.
        tag: Keyed hash of the subject, by which the key is found again.
        cipher: AES-256-GCM under the data key.
        secret: The data key itself, 32 bytes.
        wrapped: The data key under the key-encryption key, as stored.
    """

    key_id: bytes
    tag: bytes
    cipher: AESGCM
    secret: bytes = field(repr=False)
    wrapped: bytes


@dataclass(frozen=True, kw_only=True, slots=True)
class Sealed:
    """One content row and what its leaf says about it."""

    key: DataKey
    ciphertext: bytes
    commitment: bytes


@dataclass(frozen=True, kw_only=True, slots=True)
class Content:
    """What a content row says, once decrypted."""

    private: dict[str, Any]
    subject: str | None
    canonical: bytes


def encrypted(key: DataKey, plain: bytes, event_id: str, nonce: bytes) -> bytes:
    """Return nonce and ciphertext of what belongs to an event."""
    # AES-GCM (SP 800-38D) with a random 96-bit nonce: section 8.3 allows 2**32 of them a key, and a
    # key is one subject's. Bound to the event, so that two rows of a subject cannot change places.
    return nonce + key.cipher.encrypt(nonce, plain, key.key_id + event_id.encode())


def decrypted(key: DataKey, ciphertext: bytes, event_id: str) -> bytes:
    """Return what :func:`encrypted` was given.

    Raises:
        LogCorrupt: The bytes do not decrypt, or belong to another event.
    """
    try:
        return key.cipher.decrypt(
            ciphertext[:NONCE], ciphertext[NONCE:], key.key_id + event_id.encode()
        )
    except (InvalidTag, ValueError):
        raise LogCorrupt("a content row does not decrypt") from None

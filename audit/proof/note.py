"""C2SP signed notes and tlog checkpoints.

https://c2sp.org/signed-note and https://c2sp.org/tlog-checkpoint, read in their v1.0.0 text. A
checkpoint is three lines (origin, tree size, root in base64) and, after an empty line, one
signature line per key: an em dash, the key's name, and base64 of key hash and signature.
"""

from __future__ import annotations

import base64
import binascii
import re
from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING, ClassVar, Self

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import (
    Ed25519PrivateKey,
    Ed25519PublicKey,
)

from chopmark.errors import InvalidRequest

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = [
    "Checkpoint",
    "NoteKey",
    "NoteSigner",
    "note_parts",
    "open_checkpoint",
    "parse_keys",
    "signer_of",
]

_NAME = re.compile(r"[^\s+]+")
_SIZE = re.compile(r"0|[1-9][0-9]{0,18}")
_MAX_NOTE = 64 * 1024
_HASH_SIZE = 32
_KEY_HASH_SIZE = 4
_SIGNATURE_SIZE = 64
_HEADER_LINES = 3


def _decode(text: str, size: int | None = None) -> bytes:
    """Decode strict base64: the canonical spelling only, of ``size`` bytes when it is given."""
    try:
        raw = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise InvalidRequest("the note holds something that is not base64") from None
    if base64.b64encode(raw).decode() != text or (size is not None and len(raw) != size):
        raise InvalidRequest("the note holds base64 of a wrong form or length")
    return raw


@dataclass(frozen=True, kw_only=True)
class NoteKey:
    """The public key that notes of one name are checked with.

    Attributes:
        name: The key's name; for a log it is the origin. No white space, no plus sign.
        public: The 32 raw bytes of the Ed25519 public key (RFC 8032).
        algorithm: The signature type of such keys.
    """

    name: str
    public: bytes

    algorithm: ClassVar[bytes] = b"\x01"

    @property
    def key_hash(self) -> bytes:
        """The first four bytes of SHA-256 over name, line feed, algorithm byte and key."""
        return sha256(self.name.encode() + b"\n" + self.algorithm + self.public).digest()[:4]

    def __str__(self) -> str:
        """Return the verifier key in the text form of the signed-note specification."""
        key = base64.b64encode(self.algorithm + self.public).decode()
        return f"{self.name}+{self.key_hash.hex()}+{key}"

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read the text form of a verifier key.

        Raises:
            InvalidRequest: Not a verifier key of an Ed25519 signer.
        """
        name, _, rest = text.strip().partition("+")
        key_hash, _, encoded = rest.partition("+")
        if not _NAME.fullmatch(name):
            raise InvalidRequest("this is not a verifier key", hint="name+hash+base64")
        raw = _decode(encoded, 1 + _HASH_SIZE)
        key = cls(name=name, public=raw[1:])
        if raw[:1] != cls.algorithm or key.key_hash.hex() != key_hash:
            raise InvalidRequest("the verifier key's hash does not fit its name and key")
        return key

    def verify(self, text: bytes, signature: bytes) -> bool:
        """Tell whether ``signature`` (64 bytes) is this key's over ``text``."""
        try:
            Ed25519PublicKey.from_public_bytes(self.public).verify(signature, text)
        except (InvalidSignature, ValueError):
            return False
        return True


@dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """What a log says about itself at one size.

    Attributes:
        origin: The log's name.
        size: Number of entries, ``0 <= size < 2**63``.
        root: Root of the Merkle tree over them, 32 bytes.
        note: The signed note, as published: text ending in a line feed.
    """

    origin: str
    size: int
    root: bytes
    note: str

    def to_dict(self) -> dict[str, str | int]:
        """Return the members for JSON; the root in hex."""
        return {
            "origin": self.origin,
            "size": self.size,
            "root": self.root.hex(),
            "note": self.note,
        }


class NoteSigner:
    """Makes signed checkpoints of one log."""

    def __init__(self, name: str, key: Ed25519PrivateKey) -> None:
        public = key.public_key().public_bytes(
            serialization.Encoding.Raw, serialization.PublicFormat.Raw
        )
        if not _NAME.fullmatch(name):
            raise InvalidRequest(f"{name!r} cannot name a log", hint="no white space, no plus sign")
        self.key = NoteKey(name=name, public=public)
        self._private = key

    def signature(self, data: bytes) -> bytes:
        """Return this key's Ed25519 signature (64 bytes) over something else than a note.

        Raises:
            ValueError: It could be taken for a note's text, which has line feeds.
        """
        if b"\n" in data:
            raise ValueError("what is signed beside notes holds no line feed")
        return self._private.sign(data)

    def sign(self, size: int, root: bytes) -> Checkpoint:
        """Sign the statement that the tree of ``size`` entries has ``root`` (32 bytes)."""
        # tlog-checkpoint: origin, size, root, each on a line; the signature covers the line feeds.
        body = f"{self.key.name}\n{size}\n{base64.b64encode(root).decode()}\n"
        signature = self.key.key_hash + self._private.sign(body.encode())
        line = f"\u2014 {self.key.name} {base64.b64encode(signature).decode()}\n"
        return Checkpoint(origin=self.key.name, size=size, root=root, note=f"{body}\n{line}")


def parse_keys(text: str) -> tuple[NoteKey, ...]:
    """Read the verifier keys of a log, one a line: the one in use first, then earlier ones.

    Raises:
        InvalidRequest: A line is not a verifier key, there is none, or they name several logs.
    """
    keys = tuple(NoteKey.parse(line) for line in text.splitlines() if line.strip())
    if len({key.name for key in keys}) != 1:
        raise InvalidRequest("these are not the verifier keys of one log", hint="name+hash+base64")
    return keys


def open_checkpoint(note: str, key: NoteKey | Iterable[NoteKey] | None) -> Checkpoint:
    """Read a checkpoint and check that ``key`` signed it.

    Signatures by other keys (witnesses) may stand beside it and are not looked at.

    Args:
        note: The signed note.
        key: Whose signature is asked for, or several of one log, of which one must have signed;
            None reads without checking any signature.

    Raises:
        InvalidRequest: Not a checkpoint, another log's, or not signed by ``key``.
    """
    text, signatures = note_parts(note)
    lines = text.decode("utf-8", "replace").split("\n")
    if (
        len(lines) <= _HEADER_LINES
        or not _NAME.fullmatch(lines[0])
        or not _SIZE.fullmatch(lines[1])
    ):
        raise InvalidRequest("the note is not a checkpoint", hint="origin, size, root")
    root = _decode(lines[2], _HASH_SIZE)
    if key is not None:
        keys = (key,) if isinstance(key, NoteKey) else tuple(key)
        names = {each.name for each in keys}
        if lines[0] not in names:
            raise InvalidRequest(f"the checkpoint is of {lines[0]!r}, not of {min(names)!r}")
        if not any(_signed_by(each, text, signatures) for each in keys):
            raise InvalidRequest(f"the checkpoint is not signed by the key of {lines[0]!r}")
    return Checkpoint(origin=lines[0], size=int(lines[1]), root=root, note=note)


def signer_of(note: str, keys: Iterable[NoteKey]) -> NoteKey | None:
    """Return which of the keys signed a note, the first of them; None where none did."""
    try:
        text, signatures = note_parts(note)
        return next((key for key in keys if _signed_by(key, text, signatures)), None)
    except InvalidRequest:
        return None


def note_parts(note: str) -> tuple[bytes, list[str]]:
    """Return a signed note's text, which is what is signed, and its signature lines.

    Raises:
        InvalidRequest: Not a signed note.
    """
    # The last empty line divides (signed-note, "Format"): a text may hold empty lines itself.
    body, separator, signatures = note.rpartition("\n\n")
    if len(note) > _MAX_NOTE or not separator or not note.endswith("\n"):
        raise InvalidRequest("this is not a signed note", hint="a text, an empty line, signatures")
    return f"{body}\n".encode("utf-8", "replace"), signatures.splitlines()


def _signed_by(key: NoteKey, body: bytes, signatures: list[str]) -> bool:
    """Tell whether one of the signature lines is good and ``key``'s."""
    for line in signatures:
        mark, _, rest = line.partition(" ")
        name, _, encoded = rest.partition(" ")
        if mark != "\u2014" or name != key.name:
            continue
        raw = _decode(encoded)
        if raw[:_KEY_HASH_SIZE] != key.key_hash:
            continue
        # A line that claims our key and fails must fail the whole note (signed-note, "Verifying").
        return len(raw) == _KEY_HASH_SIZE + _SIGNATURE_SIZE and key.verify(
            body, raw[_KEY_HASH_SIZE:]
        )
    return False

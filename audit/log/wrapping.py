"""The key-encryption key: it wraps the data keys, and it can be changed while the log is in use.

The file ``kek`` holds it. A rotation draws the next one into ``kek.next``, wraps every data key
again in one transaction, which also says by which key, and then gives the next one the file's name;
after a crash in between, both are there and the table says which one counts. The secret by which
subjects are found again comes from the first key and stays (``tagger``): other tags would lose
every subject.
"""

from __future__ import annotations

import contextlib
import hmac
import os
from hashlib import sha256
from typing import TYPE_CHECKING, Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from chopmark.errors import LogCorrupt, LogUnavailable
from chopmark.kit.files import random_secret, read_private, secret_file, write_private

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["Wrapping"]

_KEY: Final = 32
_NONCE: Final = 12
_ID: Final = 16


class _Kek:
    """One key-encryption key."""

    def __init__(self, secret: bytes) -> None:
        if len(secret) != _KEY:
            raise LogCorrupt("the key-encryption key does not have 32 bytes")
        # One stored secret, several keys: what finds a subject must not be what unwraps its key.
        self.cipher = AESGCM(hmac.digest(secret, b"chopmark wrap v1", "sha256"))
        self.tagger = hmac.digest(secret, b"chopmark tag v1", "sha256")
        self.id = sha256(hmac.digest(secret, b"chopmark kek id v1", "sha256")).digest()[:_ID]


class Wrapping:
    """Wraps data keys, and unwraps them whichever key of a rotation they are wrapped by.

    Args:
        folder: Where the files lie.
        make: Whether to draw a key where there is none.

    Raises:
        LogUnavailable: A file cannot be read or made.
        LogCorrupt: It does not hold a key.
    """

    def __init__(self, folder: Path, *, make: bool) -> None:
        self._folder = folder
        if make:
            random_secret(self._path, length=_KEY, error=LogUnavailable)
        self._known = self._read()
        self._current = self._known[0]

    @property
    def _path(self) -> Path:
        return self._folder / "kek"

    @property
    def _next(self) -> Path:
        return self._folder / "kek.next"

    @property
    def id(self) -> bytes:
        """What the table calls the key that wraps now, 16 bytes; tells nothing of the key."""
        return self._current.id

    @property
    def tagger(self) -> bytes:
        """The secret that subjects are found by, 32 bytes; the same before and after a rotation."""
        path = self._folder / "tagger"
        if path.is_file():
            return read_private(path, length=_KEY, error=LogUnavailable)
        return self._known[0].tagger

    def wrap(self, key: bytes, *, bound: bytes) -> bytes:
        """Return a data key under the key that wraps now, bound to what it is for."""
        nonce = os.urandom(_NONCE)
        return nonce + self._current.cipher.encrypt(nonce, key, bound)

    def unwrap(self, wrapped: bytes, *, bound: bytes) -> bytes:
        """Return a data key; another process may have changed the key that wraps.

        Raises:
            LogCorrupt: No key of ours unwraps it.
        """
        for kek in self._candidates():
            with contextlib.suppress(InvalidTag, ValueError):
                return kek.cipher.decrypt(wrapped[:_NONCE], wrapped[_NONCE:], bound)
        raise LogCorrupt("a subject's key does not unwrap")

    def use(self, name: bytes) -> None:
        """Wrap by the key of this id from now on.

        Raises:
            LogCorrupt: There is none.
        """
        if name == self.id:
            return
        found = [kek for kek in (*self._known, *self._read_again()) if kek.id == name]
        if not found:
            raise LogCorrupt(
                "the data keys are wrapped by another key-encryption key than the file's",
                hint="bring back vault/kek and vault/keys.db from the same backup",
            )
        self._current = found[0]

    def begin(self) -> None:
        """Draw the next key, once, and keep what finds subjects; then wrap by it."""
        tagger = self._known[0].tagger
        secret_file(self._folder / "tagger", lambda: tagger, length=_KEY, error=LogUnavailable)
        random_secret(self._next, length=_KEY, error=LogUnavailable)
        self._current = _Kek(read_private(self._next, length=_KEY, error=LogUnavailable))

    def finish(self) -> None:
        """Give the key that wraps now its file; the earlier one is gone then."""
        if self._next.is_file():
            secret = read_private(self._next, length=_KEY, error=LogUnavailable)
            if _Kek(secret).id == self.id:
                write_private(self._path, secret, error=LogUnavailable)
            self._next.unlink()
        self._known = self._read()

    def _candidates(self) -> Iterator[_Kek]:
        """Give the keys that are known, and only where these do not do, those on the disk."""
        yield from tuple(self._known)
        yield from self._read_again()

    def _read_again(self) -> list[_Kek]:
        found: dict[bytes, _Kek] = {}
        for kek in (*self._read(), *self._known):
            found.setdefault(kek.id, kek)
        self._known = list(found.values())
        return self._known

    def _read(self) -> list[_Kek]:
        paths = [path for path in (self._path, self._next) if path.is_file()]
        if not paths:
            raise LogUnavailable(f"cannot read {self._path}")
        return [_Kek(read_private(path, length=_KEY, error=LogUnavailable)) for path in paths]

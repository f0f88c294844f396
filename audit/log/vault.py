"""The erasable side: per-subject data keys in a file of their own, and content sealed under them.

Destroying one row of the key file makes everything about that subject unreadable, wherever copies
of the log have gone. The key file therefore needs a shorter backup retention than the log.
"""

from __future__ import annotations

import contextlib
import hmac
import json
import os
import secrets
import threading
from hashlib import sha256
from typing import TYPE_CHECKING, Final

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from chopmark.audit.log.sealed import NONCE, Content, DataKey, Sealed, decrypted, encrypted
from chopmark.errors import LogCorrupt

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator

    from chopmark.audit.log.wrapping import Wrapping
    from chopmark.kit.database import Database, Transaction

__all__ = ["SCHEMA", "KeyGone", "Vault"]

SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS subject_key (
  key_id {blob} PRIMARY KEY, tag {blob} NOT NULL UNIQUE, wrapped {blob} NOT NULL
){strict};;
CREATE TABLE IF NOT EXISTS wrapped_by (id {integer} PRIMARY KEY, kek {blob} NOT NULL){strict}
"""
_SALT: Final = 32
_KEY: Final = 32
_CACHE: Final = 10_000
_CHUNK: Final = 500  # tags in one statement


class KeyGone(Exception):
    """The data key does not exist (any more)."""


class Vault:
    """Makes, keeps, finds and destroys data keys; seals and opens content.

    Args:
        database: Where the wrapped keys are.
        wrapping: Wraps them.
        remember: Whether keys that were opened stay in memory; for a walk over the whole log.
        destroyed: Takes the id of each key that is destroyed.
    """

    def __init__(
        self,
        database: Database,
        wrapping: Wrapping,
        *,
        remember: bool = False,
        destroyed: Callable[[bytes], None] | None = None,
    ) -> None:
        self._database = database
        self._wrapping, self._destroyed = wrapping, destroyed
        self._tagger = wrapping.tagger
        self._guard = threading.Lock()
        self._by_tag: dict[bytes, DataKey] = {}
        self._stored: set[bytes] = set()
        self._tags: dict[str, bytes] = {}
        self._generation = 0
        self._opened: dict[bytes, DataKey] | None = {} if remember else None

    def close(self) -> None:
        """Let go of the key file and of every cached key."""
        self.forget()
        self._database.close()

    def tag(self, subject: str | None, tenant: str) -> bytes:
        """Return the keyed hash by which a subject's key is found (32 bytes).

        What has no subject shares one key per tenant.
        """
        name = f"s:{subject}" if subject is not None else f"t:{tenant}"
        tag = self._tags.get(name)
        if tag is None:
            tag = hmac.digest(self._tagger, name.encode("utf-8", "surrogatepass"), "sha256")
            if len(self._tags) >= _CACHE:
                self._tags.clear()
            self._tags[name] = tag
        return tag

    def prompt_tag(self, prompt: str, negative_prompt: str, tenant: str) -> bytes:
        """Return the keyed hash by which an excepted prompt is found: case and spaces fold."""
        folded, negative = (" ".join(text.casefold().split()) for text in (prompt, negative_prompt))
        return self.tag(f"prompt\n{tenant}\n{folded}\n{negative}", tenant)

    def forget(self) -> None:
        """Drop every cached key, after keys were destroyed."""
        with self._guard:
            self._generation += 1
            self._by_tag.clear()
            self._tags.clear()
            self._stored.clear()

    def key_for(self, tag: bytes) -> DataKey:
        """Return the key of a tag: cached, stored, or a fresh one that is not stored yet."""
        with self._guard:
            known, generation = self._by_tag.get(tag), self._generation
        if known is not None:
            return known
        with self._database.read() as transaction:
            found = self._find(transaction, tag)
        with self._guard:
            if found is not None:
                if generation == self._generation:  # else it may have been destroyed meanwhile
                    self._remember(found)
                return found
            fresh = self._by_tag.get(tag)
            if fresh is None:
                fresh = self._make(tag)
                self._by_tag[tag] = fresh
            return fresh

    def _remember(self, key: DataKey) -> None:
        if len(self._by_tag) >= _CACHE:
            self._by_tag.clear()
            self._stored.clear()
        self._by_tag[key.tag] = key
        self._stored.add(key.key_id)

    def _make(self, tag: bytes) -> DataKey:
        key_id, dek = secrets.token_bytes(16), secrets.token_bytes(_KEY)
        # Id and tag as associated data: a wrapped key put into another subject's row fails.
        wrapped = self._wrapping.wrap(dek, bound=key_id + tag)
        return DataKey(key_id=key_id, tag=tag, cipher=AESGCM(dek), secret=dek, wrapped=wrapped)

    def _unwrap(self, key_id: bytes, tag: bytes, wrapped: bytes) -> DataKey:
        dek = self._wrapping.unwrap(wrapped, bound=key_id + tag)
        return DataKey(key_id=key_id, tag=tag, cipher=AESGCM(dek), secret=dek, wrapped=wrapped)

    def _find(self, transaction: Transaction, tag: bytes) -> DataKey | None:
        rows = transaction.execute("SELECT key_id, wrapped FROM subject_key WHERE tag = ?", (tag,))
        return self._unwrap(bytes(rows[0][0]), tag, bytes(rows[0][1])) if rows else None

    def _find_all(self, transaction: Transaction, tags: list[bytes]) -> dict[bytes, DataKey]:
        """Return the keys that are stored for some of the tags, by tag."""
        found = {}
        for first in range(0, len(tags), _CHUNK):
            part = tags[first : first + _CHUNK]
            marks = ", ".join("?" * len(part))
            for key_id, tag, wrapped in transaction.execute(
                f"SELECT key_id, tag, wrapped FROM subject_key WHERE tag IN ({marks})",  # noqa: S608 - marks only
                part,
            ):
                found[bytes(tag)] = self._unwrap(bytes(key_id), bytes(tag), bytes(wrapped))
        return found

    def stored_id(self, tag: bytes) -> bytes | None:
        """Return the id of the key that is stored for a tag, None when there is none."""
        with self._database.read() as transaction:
            rows = transaction.execute("SELECT key_id FROM subject_key WHERE tag = ?", (tag,))
        return bytes(rows[0][0]) if rows else None

    def known(self, key_id: bytes, tag: bytes, wrapped: bytes) -> DataKey:
        """Return a key as another process wrapped it.

        Raises:
            LogCorrupt: It is not wrapped under our key-encryption key.
        """
        with self._guard:
            cached = self._by_tag.get(tag)
        if cached is not None and cached.key_id == key_id:
            return cached
        return self._unwrap(key_id, tag, wrapped)

    def settle(self, keys: Iterable[DataKey]) -> None:
        """Forget keys that we made and another process stored, or replaced by its own."""
        with self._guard:
            for key in keys:
                if key.key_id not in self._stored:
                    self._by_tag.pop(key.tag, None)

    def store(self, keys: Iterable[DataKey]) -> dict[bytes, DataKey]:
        """Make keys durable; of two keys for one tag the first stored wins.

        Returns:
            For each tag given, the key that is stored.
        """
        wanted = {key.tag: key for key in keys}
        with self._guard:
            new = [key for key in wanted.values() if key.key_id not in self._stored]
        if not new:
            return wanted
        with self._database.write() as transaction:
            self._follow(transaction)
            # In a few statements for all of them: the log's own lock is held meanwhile.
            found = self._find_all(transaction, [key.tag for key in new])
            wanted |= found
            # Wrapped now, inside the transaction: the key that wraps may have changed.
            transaction.many(
                "INSERT INTO subject_key (key_id, tag, wrapped) VALUES (?, ?, ?)",
                [
                    (
                        key.key_id,
                        key.tag,
                        self._wrapping.wrap(key.secret, bound=key.key_id + key.tag),
                    )
                    for key in new
                    if key.tag not in found
                ],
            )
        with self._guard:
            for key in new:
                self._remember(wanted[key.tag])
        return wanted

    def destroy(self, tag: bytes) -> bool:
        """Delete the key of a tag for good; tell whether there was one."""
        with self._database.write() as transaction:
            gone = transaction.execute(
                "DELETE FROM subject_key WHERE tag = ? RETURNING key_id", (tag,)
            )
        self.forget()
        self._database.scrub()  # the deleted row's bytes go from the pages and the WAL, too
        if self._destroyed is not None:
            for (key_id,) in gone:
                self._destroyed(bytes(key_id))
        return bool(gone)

    def _follow(self, transaction: Transaction) -> None:
        """Wrap by the key that the table names, if a rotation has named one."""
        rows = transaction.execute("SELECT kek FROM wrapped_by")
        if rows:
            self._wrapping.use(bytes(rows[0][0]))

    def rotate(self) -> int:
        """Wrap every data key by a new key-encryption key; return how many there are.

        Subjects are found as before, contents stay as they are, and nothing has to stop: whoever
        has the log open finds the new key by itself. A run that was cut short is taken up again.

        Raises:
            LogCorrupt: A data key does not unwrap; nothing is changed then.
            LogUnavailable: A file cannot be written.
        """
        with self._database.write() as transaction:
            self._follow(transaction)
            self._wrapping.finish()  # an earlier run that was cut short after its commit
            self._wrapping.begin()
            rows = transaction.execute("SELECT key_id, tag, wrapped FROM subject_key")
            keys = [self._unwrap(bytes(one), bytes(two), bytes(three)) for one, two, three in rows]
            transaction.many(
                "UPDATE subject_key SET wrapped = ? WHERE key_id = ?",
                [
                    (self._wrapping.wrap(key.secret, bound=key.key_id + key.tag), key.key_id)
                    for key in keys
                ],
            )
            transaction.execute("DELETE FROM wrapped_by")
            transaction.execute(
                "INSERT INTO wrapped_by (id, kek) VALUES (1, ?)", (self._wrapping.id,)
            )
        self._wrapping.finish()
        self._database.scrub()  # what the old key wrapped goes from the pages and the WAL
        return len(keys)

    @property
    def wrapped_by(self) -> str:
        """Id of the key-encryption key, hex; tells nothing of the key."""
        return self._wrapping.id.hex()

    def returned(self, destroyed: Collection[str]) -> list[tuple[bytes, bytes]]:
        """Return id and tag of keys that are here although they were destroyed once.

        Args:
            destroyed: SHA-256 of the ids of destroyed keys, hex.
        """
        with self._database.read() as transaction:
            rows = transaction.execute("SELECT key_id, tag FROM subject_key")
        return [
            (bytes(key_id), bytes(tag))
            for key_id, tag in rows
            if sha256(bytes(key_id)).hexdigest() in destroyed
        ]

    def check(self) -> Iterator[str]:
        """Unwrap every key; say which do not."""
        with self._database.read() as transaction:
            for key_id, tag, wrapped in transaction.stream(
                "SELECT key_id, tag, wrapped FROM subject_key"
            ):
                try:
                    self._unwrap(bytes(key_id), bytes(tag), bytes(wrapped))
                except LogCorrupt:
                    yield f"the key {bytes(key_id).hex()} does not unwrap"

    def seal(self, data: bytes, *, event_id: str, tag: bytes) -> Sealed:
        """Commit to ``data`` and encrypt it under the key of ``tag``.

        The salt travels inside the ciphertext, so that once the key is gone the commitment in the
        leaf cannot be tried against guessed prompts.
        """
        salt, nonce = secrets.token_bytes(_SALT), secrets.token_bytes(NONCE)
        plain = salt + data
        key = self.key_for(tag)
        return Sealed(
            key=key,
            ciphertext=encrypted(key, plain, event_id, nonce),
            commitment=sha256(plain).digest(),
        )

    def reseal(self, sealed: Sealed, key: DataKey, *, event_id: str) -> Sealed:
        """Encrypt the same salt and data under another key."""
        plain = decrypted(sealed.key, sealed.ciphertext, event_id)
        return Sealed(
            key=key,
            ciphertext=encrypted(key, plain, event_id, os.urandom(NONCE)),
            commitment=sealed.commitment,
        )

    def open(
        self, key_id: bytes, ciphertext: bytes, *, event_id: str, commitment: bytes
    ) -> Content:
        """Decrypt a content row and check it against its commitment.

        Raises:
            KeyGone: The key was destroyed.
            LogCorrupt: The row does not decrypt, or does not open the commitment.
        """
        plain = decrypted(self._by_id(key_id), ciphertext, event_id)
        if sha256(plain).digest() != commitment:
            raise LogCorrupt("a content row does not open its leaf's commitment")
        try:
            members = json.loads(plain[_SALT:])
        except (ValueError, RecursionError):
            members = None
        if not isinstance(members, dict) or not isinstance(members.get("private"), dict):
            raise LogCorrupt("a content row holds something else than content")
        return Content(
            private=members["private"], subject=members.get("subject"), canonical=plain[_SALT:]
        )

    def close_up(self, key_id: bytes, data: bytes, *, label: str) -> bytes:
        """Encrypt bytes that no leaf commits to, under a key that exists.

        Args:
            key_id: From a content row.
            data: What is kept.
            label: What it is; the same is needed to open it, and no event has such an id.

        Raises:
            KeyGone: The key was destroyed.
        """
        return encrypted(self._by_id(key_id), data, label, os.urandom(NONCE))

    def open_up(self, key_id: bytes, ciphertext: bytes, *, label: str) -> bytes:
        """Decrypt what :meth:`close_up` made.

        Raises:
            KeyGone: The key was destroyed.
            LogCorrupt: The bytes do not decrypt, or were kept as something else.
        """
        return decrypted(self._by_id(key_id), ciphertext, label)

    def commitment_of(self, key_id: bytes, ciphertext: bytes, *, event_id: str) -> str:
        """Return what a content row commits to, in hex, without reading what it says.

        Raises:
            KeyGone: The key was destroyed.
            LogCorrupt: The row does not decrypt.
        """
        return sha256(decrypted(self._by_id(key_id), ciphertext, event_id)).hexdigest()

    @contextlib.contextmanager
    def remembering(self) -> Iterator[None]:
        """Keep opened keys in memory inside the block, for many contents in a row."""
        self._opened = {}
        try:
            yield
        finally:
            self._opened = None

    def _by_id(self, key_id: bytes) -> DataKey:
        opened = self._opened
        if opened is not None and key_id in opened:
            return opened[key_id]
        with self._database.read() as transaction:
            rows = transaction.execute(
                "SELECT tag, wrapped FROM subject_key WHERE key_id = ?", (key_id,)
            )
        if not rows:
            raise KeyGone
        key = self._unwrap(key_id, bytes(rows[0][0]), bytes(rows[0][1]))
        if opened is not None:
            if len(opened) >= _CACHE:
                opened.clear()
            opened[key_id] = key
        return key

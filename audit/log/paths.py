"""Where the log keeps what."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["Paths"]


@dataclass(frozen=True)
class Paths:
    """Where the log keeps what, under one home folder."""

    home: Path

    @property
    def folder(self) -> Path:
        """The log's folder in the home."""
        return self.home / "audit"

    @property
    def log(self) -> Path:
        """Entries, tree and sealed content."""
        return self.folder / "log.db"

    @property
    def keys(self) -> Path:
        """Wrapped data keys, one a subject."""
        return self.folder / "vault" / "keys.db"

    @property
    def kek(self) -> Path:
        """Key-encryption key."""
        return self.folder / "vault" / "kek"

    @property
    def signing_key(self) -> Path:
        """Key that signs checkpoints."""
        return self.folder / "signer" / "checkpoint.pem"

    @property
    def checkpoint(self) -> Path:
        """The newest checkpoint, kept outside the database on purpose."""
        return self.folder / "checkpoint"

    @property
    def next_key(self) -> Path:
        """The key that comes next, while a rotation is under way."""
        return self.folder / "signer" / "next.pem"

    @property
    def signed(self) -> Path:
        """What the signer signed last, beside its key."""
        return self.folder / "signer" / "signed"

    @property
    def marks(self) -> Path:
        """What is remembered of the log outside its folder, among the other keys."""
        return self.home / "keys" / "log"

    @property
    def destroyed(self) -> Path:
        """Which data keys were destroyed."""
        return self.marks / "destroyed"

    @property
    def manifests(self) -> Path:
        """The folder of manifests, which may not be there."""
        return self.home / "manifests"

    @property
    def public_key(self) -> Path:
        """Verifier keys of the checkpoints, a line each: the one in use, then earlier ones."""
        return self.folder / "log.vkey"

    @property
    def public_keys_kept(self) -> Path:
        """The same list among the other keys."""
        return self.marks / "log.vkey"

    @property
    def search(self) -> Path:
        """The search projection; it can be made anew."""
        return self.folder / "search.db"

    @property
    def verified(self) -> Path:
        """How far the log was walked without a problem."""
        return self.folder / "verified"

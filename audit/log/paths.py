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
    def public_key(self) -> Path:
        """Verifier key of the checkpoints."""
        return self.folder / "log.vkey"

    @property
    def search(self) -> Path:
        """The search projection; it can be made anew."""
        return self.folder / "search.db"

    @property
    def verified(self) -> Path:
        """How far the log was walked without a problem."""
        return self.folder / "verified"

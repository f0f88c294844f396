"""Where the log keeps what, and how a file is replaced in one step."""

from __future__ import annotations

import os
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING

from chopmark.errors import LogUnavailable

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["Paths", "replace_file"]


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
    def lock(self) -> Path:
        """Orders the writers of all processes."""
        return self.folder / "log.lock"

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


def replace_file(path: Path, data: bytes) -> None:
    """Put ``data`` in the place of a file, durably and in one step, mode 0644.

    Raises:
        LogUnavailable: It cannot be written.
    """
    draft = path.with_name(f".{path.name}.{os.getpid()}.{threading.get_ident()}")
    try:
        try:
            with draft.open("wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            draft.replace(path)
        finally:
            draft.unlink(missing_ok=True)
    except OSError as error:
        raise LogUnavailable(f"cannot write {path}: {error.strerror}") from None

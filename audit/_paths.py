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
        return self.home / "audit"

    @property
    def log(self) -> Path:
        return self.folder / "log.db"

    @property
    def keys(self) -> Path:
        return self.folder / "vault" / "keys.db"

    @property
    def kek(self) -> Path:
        return self.folder / "vault" / "kek"

    @property
    def signing_key(self) -> Path:
        return self.folder / "signer" / "checkpoint.pem"

    @property
    def checkpoint(self) -> Path:
        return self.folder / "checkpoint"

    @property
    def lock(self) -> Path:
        return self.folder / "log.lock"

    @property
    def public_key(self) -> Path:
        return self.folder / "log.vkey"

    @property
    def search(self) -> Path:
        return self.folder / "search.db"

    @property
    def verified(self) -> Path:
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

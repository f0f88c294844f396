"""Files that must be whole, durable and nobody else's."""

from __future__ import annotations

import contextlib
import fcntl
import os
import tempfile
from typing import TYPE_CHECKING

from chopmark.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["exclusive", "make_private_folder", "read_private", "write_private"]


def make_private_folder(folder: Path) -> None:
    """Make a folder (and its parents) that only its owner may enter.

    Raises:
        ConfigurationError: It cannot be made.
    """
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigurationError(
            f"the folder {folder} cannot be made: {error.strerror}",
            hint="set CHOPMARK_HOME to a folder that you may write to",
        ) from error


def write_private(path: Path, data: bytes) -> None:
    """Write a file of mode 0600 that is either the old one or the new one, also after a crash.

    Raises:
        ConfigurationError: It cannot be written.
    """
    make_private_folder(path.parent)
    try:
        # mkstemp makes the file with mode 0600: there is no moment at which others may read it.
        descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, path)  # noqa: PTH105 - the atomic one, by name
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(temporary)  # noqa: PTH108
            raise
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    except OSError as error:
        raise ConfigurationError(
            f"{path} cannot be written: {error.strerror}", hint="is the disk full, or read-only?"
        ) from error


@contextlib.contextmanager
def exclusive(folder: Path) -> Iterator[None]:
    """Keep other processes out of a folder for a while; those that ask wait.

    Raises:
        ConfigurationError: The folder cannot be written to.
    """
    make_private_folder(folder)
    try:
        descriptor = os.open(folder / ".lock", os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise ConfigurationError(f"{folder} cannot be written to: {error.strerror}") from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)  # which lets go of the lock too


def read_private(path: Path, *, group: bool = False) -> bytes:
    """Read a file that holds a key, unless others (or, without ``group``, its group) may read it.

    Raises:
        ConfigurationError: It cannot be read, or its mode lets others in.
    """
    try:
        if path.stat().st_mode & (0o007 if group else 0o077):
            raise ConfigurationError(
                f"{path} holds a private key and others may read it",
                hint=f"chmod 600 {path}",
            )
        return path.read_bytes()
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be read: {error.strerror}") from error

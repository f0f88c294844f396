"""Files that must be whole, durable or secret: the one place that writes them.

A file is written under another name in the same folder, synced, and only then given its name; after
a crash or on a full disk there is the old file or the new one, never half of one. What is private
has mode 0600 from its first byte, in folders of mode 0700.

Every function takes ``error``: the class of ours that a failure of the disk becomes, so that the
log stays at :class:`~chopmark.errors.LogUnavailable` and a hash list at
:class:`~chopmark.errors.HashListError`.

>>> import tempfile
>>> from pathlib import Path
>>> path = Path(tempfile.mkdtemp()) / "keys" / "example.key"
>>> random_secret(path) == random_secret(path)
True
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import secrets
import shutil
from typing import TYPE_CHECKING, Final

from chopmark.errors import ChopmarkError, ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

__all__ = [
    "append_private",
    "exclusive",
    "install_folder",
    "make_private_folder",
    "random_secret",
    "read_private",
    "secret_file",
    "write_private",
    "write_public",
]

_PRIVATE: Final = 0o600
_PUBLIC: Final = 0o644
_FULL: Final = "is the disk full, or read-only?"
_FOLDER: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_NEW: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC


def make_private_folder(folder: Path, *, error: type[ChopmarkError] = ConfigurationError) -> None:
    """Make a folder, and those above it that are missing, so that only the owner may enter.

    Raises:
        ChopmarkError: An ``error``: it cannot be made.
    """
    try:
        missing = [each for each in (folder, *folder.parents) if not each.exists()]
        for each in reversed(missing):
            each.mkdir(mode=0o700, exist_ok=True)
            # A file that is synced in a folder whose own name is not would go with the folder. Who
            # may not read the parent (some container's mount point) cannot sync it either.
            with contextlib.suppress(PermissionError):
                _sync(each.parent, _FOLDER)
        folder.mkdir(exist_ok=True)  # raises where something else has the name
    except OSError as failure:
        raise error(
            f"the folder {folder} cannot be made: {failure.strerror}",
            hint="set CHOPMARK_HOME to a folder that you may write to",
        ) from failure


def write_private(
    path: Path, data: bytes, *, error: type[ChopmarkError] = ConfigurationError
) -> None:
    """Put a file of mode 0600 in place: after a crash it is the old one or the new one.

    Its folder is made (mode 0700) where it is missing.

    Raises:
        ChopmarkError: An ``error``: it cannot be written, and the old one stands.
    """
    make_private_folder(path.parent, error=error)
    try:
        _replace(path, data, _PRIVATE, durable=True)
    except OSError as failure:
        raise _unwritable(path, failure, error) from failure


def write_public(
    path: Path,
    data: bytes,
    *,
    durable: bool = True,
    error: type[ChopmarkError] = ConfigurationError,
) -> None:
    """Put a file of mode 0644 (less the umask) in place; see :func:`write_private`.

    Args:
        path: The file; its folder is made where it is missing.
        data: All of it.
        durable: False for one of many that the caller syncs at once (``os.sync``) before it writes
            the file that speaks of them.
        error: What a failure becomes.

    Raises:
        ChopmarkError: An ``error``: it cannot be written, and the old one stands.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _replace(path, data, _PUBLIC, durable=durable)
    except OSError as failure:
        raise _unwritable(path, failure, error) from failure


def append_private(
    path: Path, data: bytes, *, error: type[ChopmarkError] = ConfigurationError
) -> None:
    """Add to the end of a file of mode 0600, which is made where it is missing; durable.

    A crash may leave a part of ``data``, but takes nothing of what stood there.

    Raises:
        ChopmarkError: An ``error``: it cannot be written.
    """
    make_private_folder(path.parent, error=error)
    try:
        new = not path.exists()
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, _PRIVATE)
        try:
            os.write(descriptor, data)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        if new:
            _sync(path.parent, _FOLDER)
    except OSError as failure:
        raise _unwritable(path, failure, error) from failure


def random_secret(
    path: Path, *, length: int = 32, error: type[ChopmarkError] = ConfigurationError
) -> bytes:
    """Return the ``length`` random bytes that a file holds; drawn on first use.

    Raises:
        ChopmarkError: As for :func:`secret_file`.
    """
    return secret_file(path, lambda: secrets.token_bytes(length), length=length, error=error)


def secret_file(
    path: Path,
    make: Callable[[], bytes],
    *,
    length: int | None = None,
    error: type[ChopmarkError] = ConfigurationError,
) -> bytes:
    """Return the secret that a file holds; where there is none, make it first, once and for good.

    Two processes or threads that come at once end with the same bytes, and no file that is there
    is ever replaced.

    Args:
        path: The file, mode 0600; its folder is made (mode 0700) where it is missing.
        make: Gives the secret; called only where there is no file.
        length: Bytes that it must have; ``None`` takes any number but 0.
        error: What a failure becomes.

    Raises:
        ChopmarkError: An ``error``: it cannot be made or read, others may read it, or it has
            another length. Such a secret is never used: an empty file, left by a disk that was full
            when a key was first drawn, would be a key that everybody knows.
    """
    try:
        if not path.exists():
            make_private_folder(path.parent, error=error)
            _link_once(path, make())
    except OSError as failure:
        raise _unwritable(path, failure, error) from failure
    return read_private(path, length=length, error=error)


def read_private(
    path: Path,
    *,
    length: int | None = None,
    group: bool = False,
    error: type[ChopmarkError] = ConfigurationError,
) -> bytes:
    """Read a file that holds a secret, unless others (or, without ``group``, its group) may too.

    Raises:
        ChopmarkError: An ``error``: it cannot be read, its mode lets others in, it is empty, or it
            does not have ``length`` bytes.
    """
    try:
        with path.open("rb") as file:
            mode = os.fstat(file.fileno()).st_mode  # of what is read, whatever has the name now
            secret = file.read()
    except OSError as failure:
        raise error(f"{path} cannot be read: {failure.strerror}") from failure
    if mode & (0o007 if group else 0o077):
        raise error(f"{path} holds a secret and others may read it", hint=f"chmod 600 {path}")
    if not secret or length not in {None, len(secret)}:
        wanted = f"not {length}" if length is not None else "so no secret"
        raise error(
            f"{path} has {len(secret)} bytes, {wanted}",
            hint="restore it from your backup; if it never was whole, delete it and a new one is"
            " made",
        )
    return secret


@contextlib.contextmanager
def exclusive(folder: Path, *, error: type[ChopmarkError] = ConfigurationError) -> Iterator[None]:
    """Keep other processes out of a folder for a while; those that ask wait.

    Raises:
        ChopmarkError: An ``error``: the folder cannot be written to.
    """
    make_private_folder(folder, error=error)
    try:
        descriptor = os.open(folder / ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, _PRIVATE)
    except OSError as failure:
        raise _unwritable(folder, failure, error) from failure
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)  # which lets go of the lock too


def install_folder(
    draft: Path,
    folder: Path,
    *,
    replace: bool = False,
    error: type[ChopmarkError] = ConfigurationError,
) -> None:
    """Give a folder that was built beside its place its name, once all of it is on the disk.

    Args:
        draft: What was built, on the same file system.
        folder: Its name.
        replace: Whether an older one goes. Otherwise the one that is there stays: another process
            was faster with the same content.
        error: What a failure becomes.

    Raises:
        ChopmarkError: An ``error``: it cannot be done.
    """
    try:
        for path in (draft, *draft.rglob("*")):
            # Contents before the name: a rename may reach the disk before what it points at.
            _sync(path, _FOLDER if path.is_dir() else os.O_RDONLY | os.O_CLOEXEC)
        if replace and folder.exists():
            old = folder.with_suffix(".old")
            shutil.rmtree(old, ignore_errors=True)
            folder.replace(old)
            draft.replace(folder)
            shutil.rmtree(old, ignore_errors=True)
        else:
            try:
                draft.replace(folder)
            except OSError:
                if replace or not folder.is_dir():
                    raise
        _sync(folder.parent, _FOLDER)
    except OSError as failure:
        raise _unwritable(folder, failure, error) from failure


def _replace(path: Path, data: bytes, mode: int, *, durable: bool) -> None:
    draft = _draft(path, data, mode, durable=durable)
    try:
        draft.replace(path)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise
    if durable:
        _sync(path.parent, _FOLDER)  # the name; the bytes are there since the draft was synced


def _link_once(path: Path, data: bytes) -> None:
    draft = _draft(path, data, _PRIVATE, durable=True)
    try:
        # Unlike a rename, a link never replaces what another process made meanwhile.
        with contextlib.suppress(FileExistsError):
            os.link(draft, path)
    finally:
        draft.unlink(missing_ok=True)
    _sync(path.parent, _FOLDER)


def _draft(path: Path, data: bytes, mode: int, *, durable: bool) -> Path:
    """Write a file beside ``path``, under a name that nobody looks for; a failed one is removed."""
    draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    descriptor = os.open(draft, _NEW, mode)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            if durable:
                file.flush()
                os.fsync(descriptor)
    except BaseException:
        with contextlib.suppress(OSError):
            draft.unlink()
        raise
    return draft


def _sync(path: Path, flags: int) -> None:
    descriptor = os.open(path, flags)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _unwritable(path: Path, failure: OSError, error: type[ChopmarkError]) -> ChopmarkError:
    return error(f"{path} cannot be written: {failure.strerror}", hint=_FULL)

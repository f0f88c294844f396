"""Mark keys: 256 random bits each, made on first use, rotated by adding a newer one.

A key is one file ``home/keys/watermark/<number>-<random>.key`` of 64 hex digits, mode 0600; its
name without the suffix is its key id. The file with the highest number is the active key, so that
there is no second file to fall out of step; the older ones keep detecting.
"""

from __future__ import annotations

import os
import re
import secrets
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from chopmark.errors import ConfigurationError

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["MarkKey", "MarkKeys", "load_mark_keys"]

SECRET_BYTES = 32
_NAME = re.compile(r"(\d{4})-[0-9a-f]{8}")


@dataclass(frozen=True, kw_only=True)
class MarkKey:
    """One watermark key.

    Attributes:
        key_id: Public name; random, and tells nothing about the secret.
        secret: 32 random bytes. Whoever has them can strike and erase marks.
    """

    key_id: str
    secret: bytes = field(repr=False)

    def __post_init__(self) -> None:
        if len(self.secret) != SECRET_BYTES:
            raise ConfigurationError(
                f"the secret of mark key {self.key_id!r} has {len(self.secret)} bytes, not 32",
                hint="restore the key file from your backup",
            )


@dataclass(frozen=True, kw_only=True)
class MarkKeys:
    """All keys of a deployment, newest first.

    Attributes:
        all: Every key, newest first; never empty.
    """

    all: tuple[MarkKey, ...]

    def __post_init__(self) -> None:
        if not self.all:
            raise ConfigurationError("there is no mark key", hint="load_mark_keys() makes one")

    @property
    def active(self) -> MarkKey:
        """The key that new marks are struck with."""
        return self.all[0]

    def rotate(self, home: Path) -> MarkKeys:
        """Make a new active key under ``home``; the older ones stay for detection.

        Raises:
            ConfigurationError: The folder cannot be written or read.
        """
        _create(_folder(home), 1 + max(_number(key.key_id) for key in self.all))
        return load_mark_keys(home)


def load_mark_keys(home: Path) -> MarkKeys:
    """Return the mark keys under ``home`` and make the first one if there is none.

    Args:
        home: The state folder (``CHOPMARK_HOME``); the keys lie in ``home/keys/watermark``.

    Raises:
        ConfigurationError: A key file is malformed or readable by others, or the folder cannot be
            written or read.
    """
    folder = _folder(home)
    names = _names(folder)
    if not names:
        _create(folder, 1)
        names = _names(folder)
    return MarkKeys(all=tuple(_read(folder / f"{name}.key") for name in reversed(names)))


def _folder(home: Path) -> Path:
    folder = home / "keys" / "watermark"
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigurationError(
            f"the folder of the mark keys {folder} cannot be made: {error.strerror}",
            hint="give the account that runs chopmark write access to CHOPMARK_HOME",
        ) from error
    return folder


def _names(folder: Path) -> list[str]:
    try:
        stems = (path.stem for path in folder.iterdir() if path.suffix == ".key")
        return sorted(stem for stem in stems if _NAME.fullmatch(stem))
    except OSError as error:
        raise _unreadable(folder, error) from error


def _number(key_id: str) -> int:
    match = _NAME.fullmatch(key_id)
    return int(match.group(1)) if match else 0


def _create(folder: Path, number: int) -> None:
    # Two processes may come here at once: each makes a file of its own, both keys are valid, and
    # from then on everybody agrees on which is the last in order. Written under another name
    # first, so that nobody ever reads half a key.
    name = f"{number:04d}-{secrets.token_hex(4)}.key"
    draft = folder / f".{name}.new"
    try:
        handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "w", encoding="ascii") as file:
            file.write(secrets.token_hex(SECRET_BYTES) + "\n")
            file.flush()
            os.fsync(file.fileno())
        draft.rename(folder / name)
    except OSError as error:
        raise ConfigurationError(
            f"no mark key can be written in {folder}: {error.strerror}",
            hint="give the account that runs chopmark write access to CHOPMARK_HOME",
        ) from error


def _read(path: Path) -> MarkKey:
    try:
        if path.stat().st_mode & 0o077:
            raise ConfigurationError(
                f"the mark key {path} can be read by other accounts", hint=f"chmod 600 {path}"
            )
        text = path.read_text(encoding="ascii").strip()
    except OSError as error:
        raise _unreadable(path, error) from error
    except UnicodeDecodeError as error:
        raise _malformed(path) from error
    if not re.fullmatch(r"[0-9a-f]{64}", text):
        raise _malformed(path)
    return MarkKey(key_id=path.stem, secret=bytes.fromhex(text))


def _malformed(path: Path) -> ConfigurationError:
    return ConfigurationError(
        f"{path} is not a mark key: 64 hex digits are wanted",
        hint="restore the file from your backup; without it marks of this key cannot be read",
    )


def _unreadable(path: Path, error: OSError) -> ConfigurationError:
    return ConfigurationError(
        f"{path} cannot be read: {error.strerror}",
        hint="give the account that runs chopmark read access to CHOPMARK_HOME",
    )

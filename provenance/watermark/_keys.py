"""Mark keys: 256 random bits each, made on first use, rotated by adding a newer one.

A key is one file ``home/keys/watermark/<number>-<random>.key`` of 64 hex digits, mode 0600; its
name without the suffix is its key id. The file with the highest number is the active key, so that
there is no second file to fall out of step; the older ones keep detecting.
"""

from __future__ import annotations

import re
import secrets
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from chopmark.errors import ConfigurationError
from chopmark.kit.files import exclusive, make_private_folder, read_private, secret_file

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
        folder = _folder(home)
        with exclusive(folder):
            _create(folder, 1 + max(_number(key.key_id) for key in self.all))
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
    make_private_folder(folder)
    names = _names(folder)
    if not names:
        with exclusive(folder):  # of processes that start on an empty home at once, one makes it
            names = _names(folder)
            if not names:
                _create(folder, 1)
                names = _names(folder)
    return MarkKeys(all=tuple(_read(folder / f"{name}.key") for name in reversed(names)))


def _folder(home: Path) -> Path:
    return home / "keys" / "watermark"


def _names(folder: Path) -> list[str]:
    try:
        stems = (path.stem for path in folder.iterdir() if path.suffix == ".key")
        return sorted(stem for stem in stems if _NAME.fullmatch(stem))
    except OSError as error:
        raise ConfigurationError(
            f"{folder} cannot be read: {error.strerror}",
            hint="give the account that runs chopmark read access to CHOPMARK_HOME",
        ) from error


def _number(key_id: str) -> int:
    match = _NAME.fullmatch(key_id)
    return int(match.group(1)) if match else 0


def _create(folder: Path, number: int) -> None:
    """Make a key of a name of its own; called under the folder's lock."""
    name = f"{number:04d}-{secrets.token_hex(4)}.key"
    secret_file(folder / name, _new_line)


def _new_line() -> bytes:
    return f"{secrets.token_hex(SECRET_BYTES)}\n".encode()


def _read(path: Path) -> MarkKey:
    try:
        text = read_private(path).decode("ascii").strip()
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

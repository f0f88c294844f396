"""The key that signs checkpoints, and the keys that did before it; both are followed on the disk.

Another process may rotate the key while this one runs, so nobody keeps it for longer than a look.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from chopmark.audit.proof.note import NoteKey, NoteSigner, parse_keys
from chopmark.errors import ConfigurationError, InvalidRequest, LogCorrupt, LogUnavailable
from chopmark.kit.files import secret_file, write_private, write_public

if TYPE_CHECKING:
    from pathlib import Path

    from chopmark.audit.log.paths import Paths

__all__ = ["LOG_KEY", "LogKeys"]

LOG_KEY: Final = "log key"
"""What ``key.rotated`` calls the log's signing key."""


class LogKeys:
    """The signing key of a log and its verifier keys.

    Args:
        paths: Where they lie.
        origin: The log's name.
    """

    def __init__(self, paths: Paths, origin: str) -> None:
        self._paths, self._origin = paths, origin
        self._seen: tuple[int, int, int] | None = None
        self._signer: NoteSigner | None = None

    @property
    def signer(self) -> NoteSigner:
        """The key in use; it is made on first use.

        Raises:
            LogUnavailable: It can be neither read nor made.
            ConfigurationError: The file holds something else than an Ed25519 key.
        """
        path = self._paths.signing_key
        if self._signer is None or self._state(path) != self._seen:
            self._signer = _loaded(path, self._origin)
            self._seen = self._state(path)
        return self._signer

    @property
    def ring(self) -> tuple[NoteKey, ...]:
        """Every verifier key of the log, the one in use first.

        Raises:
            LogUnavailable: The list cannot be read.
            LogCorrupt: It is not one, or does not name the key that signs: one of them was changed.
        """
        mine, found = self.signer.key, list[NoteKey]()
        for path in (self._paths.public_key, self._paths.public_keys_kept):
            keys = self._listed(path)
            if keys and mine not in keys:
                raise LogCorrupt(
                    f"{path} does not name the key that signs here",
                    hint="one of the two was changed; bring back audit and keys from one backup",
                )
            found += keys
        return tuple(dict.fromkeys((mine, *found)))

    def _listed(self, path: Path) -> tuple[NoteKey, ...]:
        try:
            return parse_keys(path.read_text("utf-8")) if path.is_file() else ()
        except InvalidRequest as error:
            raise LogCorrupt(f"{path}: {error.message}") from None
        except (OSError, UnicodeDecodeError) as error:
            raise LogUnavailable(f"cannot read {path}: {error}") from None

    def publish(self) -> None:
        """Write the list of verifier keys where there is none yet."""
        paths = self._paths
        if not (paths.public_key.is_file() and paths.public_keys_kept.is_file()):
            self._write(self.ring)

    def successor(self) -> NoteSigner:
        """Return the key that comes next; drawn once, also when a rotation is cut short."""
        coming = _loaded(self._paths.next_key, self._origin)
        if coming.key == self.signer.key:  # the last rotation was cut short at its very end
            self._paths.next_key.unlink()
            coming = _loaded(self._paths.next_key, self._origin)
        return coming

    def succeed(self) -> None:
        """Put the next key in the place of the one in use; the old one can sign no more.

        The list of verifier keys comes first: a checkpoint by a key that it does not name would
        look forged.
        """
        coming = self.successor().key
        self._write((coming, *(key for key in self.ring if key != coming)))
        path = self._paths.next_key
        write_private(self._paths.signing_key, path.read_bytes(), error=LogUnavailable)
        path.unlink(missing_ok=True)

    def _write(self, keys: tuple[NoteKey, ...]) -> None:
        text = "".join(f"{key}\n" for key in keys).encode()
        write_public(self._paths.public_key, text, error=LogUnavailable)
        # Among the other keys too: marks of a key that a restored folder does not know yet.
        write_private(self._paths.public_keys_kept, text, error=LogUnavailable)

    def _state(self, path: Path) -> tuple[int, int, int] | None:
        try:
            found = path.stat()
        except OSError:
            return None
        return found.st_ino, found.st_mtime_ns, found.st_size


def _loaded(path: Path, origin: str) -> NoteSigner:
    pem = secret_file(path, _new_key, error=LogUnavailable)
    try:
        key = serialization.load_pem_private_key(pem, password=None)
    except (ValueError, TypeError):
        key = None
    if not isinstance(key, Ed25519PrivateKey):
        raise ConfigurationError(
            f"{path} does not hold an Ed25519 private key", hint="restore it from your backup"
        )
    return NoteSigner(origin, key)


def _new_key() -> bytes:
    return Ed25519PrivateKey.generate().private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )

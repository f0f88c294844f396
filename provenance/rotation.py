"""Keys as their files are now: a new certificate or watermark key needs no restart."""

from __future__ import annotations

import logging
import threading
import warnings
from typing import TYPE_CHECKING

from chopmark.errors import ConfigurationError
from chopmark.provenance._devca import needs_renewal
from chopmark.provenance._profile import check_chain, parse_chain
from chopmark.provenance.credential import load_credential
from chopmark.provenance.watermark import MarkKeys, load_mark_keys

if TYPE_CHECKING:
    from pathlib import Path

    from chopmark.provenance._devca import KeyKind
    from chopmark.provenance._possession import Signer
    from chopmark.provenance.credential import Credential

__all__ = ["CredentialRotationWarning", "CredentialSource", "MarkKeySource"]
_LOG = logging.getLogger(__name__)


class CredentialRotationWarning(UserWarning):
    """New credential files are refused, and the old credential stays in use."""


class CredentialSource:
    """The credential as its files are now: a rotation needs no restart.

    Args:
        home: As of `load_credential`, like the others.
        cert: PEM chain.
        key: PEM key.
        signer: Holds the key instead.
        kind: Key of a development CA that is made now.
    """

    def __init__(
        self,
        home: Path,
        *,
        cert: Path | None = None,
        key: Path | None = None,
        signer: Signer | None = None,
        kind: KeyKind = "es256",
    ) -> None:
        self._home, self._cert, self._key, self._signer = home, cert, key, signer
        self._kind = kind
        self._lock = threading.Lock()
        self._seen: tuple[object, ...] | None = None
        self._credential: Credential | None = None

    def current(self) -> Credential:
        """Return the credential, loaded anew when a file has changed or the leaf is about to end.

        New files that are refused leave the old credential in use, with a
        `CredentialRotationWarning`, for as long as that one is valid.

        Raises:
            CredentialRefused: There is none that can be used.
            ConfigurationError: A file cannot be read.
        """
        with self._lock:
            seen = self._look()
            held = self._credential
            # Nobody but us renews a development leaf; its file changes only if we do.
            ending = held is not None and held.is_development and needs_renewal(held.leaf)
            if held is not None and seen == self._seen and not ending:
                return held
            try:
                found = load_credential(
                    self._home,
                    cert=self._cert,
                    key=self._key,
                    signer=self._signer,
                    kind=self._kind,
                )
            except ConfigurationError as error:
                if held is None or seen == self._seen:
                    raise
                check_chain(parse_chain(held.chain_pem.encode(), source="the old credential"))
                # Once for these files; the next change is looked at again.
                self._seen = seen
                _LOG.warning("the new credential is refused, the old one stays", exc_info=error)
                warnings.warn(
                    f"the new credential is refused, the old one stays in use: {error}",
                    CredentialRotationWarning,
                    stacklevel=2,
                )
                return held
            self._credential, self._seen = found, self._look()
            _LOG.info(
                "credential %s in use%s, valid until %s",
                found.fingerprint[:16],
                " (a development one)" if found.is_development else "",
                found.leaf.not_valid_after_utc,
            )
            return found

    def _look(self) -> tuple[object, ...]:
        paths = [self._cert, self._key] if self._cert else [self._home / "keys" / "signer.pem"]
        found: list[object] = []
        for path in paths:
            try:
                stat = path.stat() if path is not None else None
            except OSError:
                stat = None
            found.append(stat and (stat.st_mtime_ns, stat.st_size, stat.st_ino))
        return tuple(found)


class MarkKeySource:
    """The watermark's keys, read anew when one was added.

    Args:
        home: As of `load_mark_keys`.
    """

    def __init__(self, home: Path) -> None:
        self._home = home
        self._lock = threading.Lock()
        self._seen: object = None
        self._keys: MarkKeys | None = None

    def current(self) -> MarkKeys:
        """Return the keys, the newest first.

        Raises:
            ConfigurationError: They cannot be read.
        """
        with self._lock:
            seen = self._look()
            if self._keys is None or seen != self._seen:
                # Looked at again afterwards: the first load makes the first key.
                self._keys = load_mark_keys(self._home)
                _LOG.info("watermark key %s in use", self._keys.active.key_id)
                self._seen = self._look() if seen is None else seen
            return self._keys

    def _look(self) -> object:
        # A key is a file of its own, so that adding one changes the folder.
        try:
            return (self._home / "keys" / "watermark").stat().st_mtime_ns
        except OSError:
            return None

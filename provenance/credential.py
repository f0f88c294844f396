"""The signing credential: a certificate chain, and something that signs with its key.

>>> import tempfile, warnings
>>> from pathlib import Path
>>> home = Path(tempfile.mkdtemp())
>>> with warnings.catch_warnings():
...     warnings.simplefilter("ignore", DevelopmentCredentialWarning)
...     credential = load_credential(home)
>>> credential.alg, credential.is_development
('es256', True)
"""

from __future__ import annotations

import threading
import warnings
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from chopmark.errors import CredentialRefused
from chopmark.kit.files import exclusive, read_private, write_private
from chopmark.provenance._devca import KeyKind, issue_leaf, make_authority, needs_renewal
from chopmark.provenance._possession import KeyInMemory, Signer, check_key
from chopmark.provenance._profile import Algorithm, algorithm_of, check_chain, parse_chain

if TYPE_CHECKING:
    from pathlib import Path

    from cryptography import x509

__all__ = [
    "Credential",
    "DevelopmentCredentialWarning",
    "load_credential",
    "rotate_credential",
]


class DevelopmentCredentialWarning(UserWarning):
    """Pictures are signed with a certificate of our own making, which nobody else trusts."""


@dataclass(frozen=True, kw_only=True)
class Credential:
    """A certificate chain that C2PA verifiers accept, and its signer.

    Attributes:
        chain_pem: The signing certificate first, then its issuers; the root may be left out.
        alg: The COSE algorithm of the key.
        signer: Signs with the key.
        own_anchor: PEM root under which every certificate is ours (a development CA), or empty.
        is_development: Made by `load_credential` itself.
        key_pem: The key in memory where there is one (PKCS#8), which saves 8 kB a picture.
    """

    chain_pem: str
    alg: Algorithm
    signer: Signer = field(repr=False)
    own_anchor: str = ""
    is_development: bool = False
    key_pem: bytes | None = field(default=None, repr=False)

    @property
    def leaf(self) -> x509.Certificate:
        """The signing certificate."""
        return parse_chain(self.chain_pem.encode(), source="the credential")[0]

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the signing certificate, hex."""
        from cryptography.hazmat.primitives import hashes

        return self.leaf.fingerprint(hashes.SHA256()).hex()

    def current(self) -> Credential:
        """Return this one: a credential is a `CredentialSource` that never changes."""
        return self

    def describe(self) -> dict[str, str | bool]:
        """Return what ``chopmark keys show`` shows; nothing of it is secret."""
        leaf = self.leaf
        return {
            "subject": leaf.subject.rfc4514_string(),
            "issuer": leaf.issuer.rfc4514_string(),
            "not_before": leaf.not_valid_before_utc.isoformat(),
            "not_after": leaf.not_valid_after_utc.isoformat(),
            "algorithm": self.alg,
            "sha256": self.fingerprint,
            "development": self.is_development,
        }

    def check(self) -> None:
        """Check the chain, its validity now, and that the signer holds its key.

        Raises:
            CredentialRefused: A verifier would not accept it, and why.
        """
        chain = parse_chain(self.chain_pem.encode(), source="the credential")
        if check_chain(chain) != self.alg:
            raise CredentialRefused(
                f"the certificate holds a key for {check_chain(chain)}, not for {self.alg}"
            )
        check_key(chain[0], self.signer)


def load_credential(
    home: Path,
    *,
    cert: Path | None = None,
    key: Path | None = None,
    signer: Signer | None = None,
    kind: KeyKind = "es256",
) -> Credential:
    """Return the credential to sign with.

    Without files a development CA is made under ``home/keys`` on first use, and its leaf is
    renewed two weeks before it ends.

    Args:
        home: Where Chopmark keeps its state.
        cert: PEM chain, signing certificate first.
        key: PEM private key, unencrypted, that others cannot read.
        signer: Holds the key instead of ``key``, such as a `Pkcs11Signer`.
        kind: Key of a development CA that is made now; one that exists stays what it is.

    Raises:
        CredentialRefused: A verifier would not accept the certificate, or the key is not its.
        ConfigurationError: A file cannot be read or written.
    """
    folder = home / "keys"
    if cert is None and key is None and signer is None:
        return _development(folder, kind)
    if cert is None or (key is None) == (signer is None):
        raise CredentialRefused(
            "a key without a certificate" if cert is None else "a certificate without a key",
            hint="set both CHOPMARK_SIGNING_CERT and CHOPMARK_SIGNING_KEY, or none of them",
        )
    try:
        chain_pem = cert.read_bytes()
    except OSError as error:
        raise CredentialRefused(f"{cert} cannot be read: {error.strerror}") from error
    if signer is not None:
        credential = _with_signer(chain_pem, signer, source=str(cert))
    else:
        assert key is not None  # noqa: S101 - exactly one of the two, as checked above
        credential = _from_pem(chain_pem, read_private(key, group=True), source=str(cert))
    remember_own(home, credential)
    return credential


def remember_own(home: Path, credential: Credential) -> None:
    """Keep the public chain, so that pictures are known as ours after the next rotation too."""
    path = home / "keys" / "own" / f"{credential.fingerprint}.pem"
    if not path.exists():
        write_private(path, credential.chain_pem.encode())


_warned: set[str] = set()
_lock = threading.Lock()
_KEY_BEGINS: Final = b"-----BEGIN PRIVATE KEY-----"


def _development(folder: Path, kind: KeyKind) -> Credential:
    from cryptography import x509

    # The second lock is for other processes: server workers that start on an empty home at once.
    with _lock, exclusive(folder):
        if not (folder / "root.pem").exists():
            make_authority(folder, kind=kind)
        pem = _whole(folder / "signer.pem")
        if needs_renewal(x509.load_pem_x509_certificate(pem)):
            existing = algorithm_of(x509.load_pem_x509_certificate(pem).public_key())
            issue_leaf(folder, kind="ed25519" if existing == "ed25519" else "es256")
            pem = _whole(folder / "signer.pem")
        root = (folder / "root.pem").read_text()
        first = str(folder) not in _warned
        _warned.add(str(folder))
    split = pem.index(_KEY_BEGINS)
    credential = _from_pem(
        pem[:split], pem[split:], source="the development CA", own_anchor=root, development=True
    )
    if first:
        warnings.warn(
            f"signing with a development certificate under {folder}: other people's verifiers "
            "will say that they do not know the signer. Set CHOPMARK_SIGNING_CERT and "
            "CHOPMARK_SIGNING_KEY for production.",
            DevelopmentCredentialWarning,
            stacklevel=3,
        )
    return credential


def _whole(path: Path) -> bytes:
    """Read the development leaf: its chain, then its key."""
    pem = read_private(path)
    if _KEY_BEGINS not in pem:
        raise CredentialRefused(
            f"{path} is not whole", hint="restore it from your backup, or rotate the credential"
        )
    return pem


def rotate_credential(home: Path, *, kind: KeyKind = "es256") -> Credential:
    """Give the development credential a new key and root; what the old one signed stays ours.

    For a credential of one's own, put new files in place of the old ones: `CredentialSource` takes
    them up without a restart.

    Args:
        home: Where Chopmark keeps its state.
        kind: Of the new key.

    Raises:
        ConfigurationError: The folder cannot be written to.
    """
    folder = home / "keys"
    with _lock, exclusive(folder):
        old = folder / "root.pem"
        if old.exists():
            kept = parse_chain(old.read_bytes(), source=str(old))[0]
            write_private(folder / f"root-{kept.serial_number:x}.pem", old.read_bytes())
        make_authority(folder, kind=kind)
    return _development(folder, kind)


def _with_signer(chain_pem: bytes, signer: Signer, *, source: str) -> Credential:
    from cryptography.hazmat.primitives.serialization import Encoding

    chain = parse_chain(chain_pem, source=source)
    credential = Credential(
        chain_pem="".join(one.public_bytes(Encoding.PEM).decode() for one in chain),
        alg=check_chain(chain),
        signer=signer,
    )
    credential.check()
    return credential


def _from_pem(
    chain_pem: bytes,
    key_pem: bytes,
    *,
    source: str,
    own_anchor: str = "",
    development: bool = False,
) -> Credential:
    from cryptography.hazmat.primitives.serialization import (
        Encoding,
        NoEncryption,
        PrivateFormat,
        load_pem_private_key,
    )

    chain = parse_chain(chain_pem, source=source)
    algorithm = check_chain(chain)
    try:
        private = load_pem_private_key(key_pem, None)
    except TypeError as error:
        raise CredentialRefused(
            "the private key is encrypted", hint="decrypt it, or sign through PKCS#11"
        ) from error
    except Exception as error:  # ValueError, UnsupportedAlgorithm
        raise CredentialRefused(
            "the private key is not a PEM key that can be read",
            hint="restore it from your backup",
        ) from error
    signer = KeyInMemory(private)
    check_key(chain[0], signer, private)
    return Credential(
        chain_pem="".join(one.public_bytes(Encoding.PEM).decode() for one in chain),
        alg=algorithm,
        signer=signer,
        own_anchor=own_anchor,
        is_development=development,
        key_pem=private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()),
    )

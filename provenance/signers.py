"""Signers whose key is not in this process: a PKCS#11 token, and a service over HTTP.

Both fill the `Signer` protocol, and go into a credential through
``load_credential(home, cert=..., signer=...)``. A signature through them costs 8 kB more in each
picture than one by a key in memory, since the native library reserves more room for a callback's.
"""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import ipaddress
import ssl
import threading
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote, urlsplit

from chopmark.errors import ConfigurationError, CredentialRefused, SigningFailed
from chopmark.kit.files import read_private
from chopmark.provenance._profile import algorithm_of, parse_chain

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from chopmark.provenance._profile import Algorithm

__all__ = ["Pkcs11Signer", "RemoteSigner", "key_algorithm", "read_secret"]

_DIGEST: Final = {"es256": "sha256", "es384": "sha384", "es512": "sha512", "ps256": "sha256"}
_MAX_SIGNATURE: Final = 4096


class Pkcs11Signer:
    """Signs with a key in a PKCS#11 token (an HSM, a smart card, SoftHSM).

    Needs the ``python-pkcs11`` package (extra ``pkcs11``). One session, used by one thread at a
    time; a session that the token dropped is opened again once.

    Args:
        module: The token's shared library, such as ``/usr/lib/softhsm/libsofthsm2.so``.
        token: Label of the token.
        key: Label of the private key.
        pin: Returns the PIN; asked each time a session is opened, so that it need not be kept.
        alg: The key's algorithm.
    """

    def __init__(
        self, module: Path, *, token: str, key: str, pin: Callable[[], str], alg: Algorithm
    ) -> None:
        self._module, self._token, self._label, self._pin = module, token, key, pin
        self._alg = alg
        self._lock = threading.Lock()
        self._session: Any = None
        self._key: Any = None

    def sign(self, data: bytes, /) -> bytes:
        """Return the signature over ``data``.

        Raises:
            ConfigurationError: The package or the shared library is not there.
            SigningFailed: The token, the key or the PIN is not.
        """
        try:
            import pkcs11
            import pkcs11.exceptions
        except ImportError as error:
            raise ConfigurationError(
                "python-pkcs11 is not installed", hint="pip install 'chopmark[pkcs11]'"
            ) from error
        with self._lock:
            for attempt in (1, 2):
                try:
                    if self._key is None:
                        self._open(pkcs11)
                    signature: bytes = self._use(pkcs11, data)
                except pkcs11.exceptions.PKCS11Error as error:
                    self._close()
                    if attempt == 2:
                        raise SigningFailed(
                            f"the token {self._token!r} does not sign: {type(error).__name__}",
                            hint="is it plugged in, and are the labels and the PIN right?",
                        ) from error
                else:
                    return signature
        raise AssertionError  # pragma: no cover - the second attempt returns or raises

    def close(self) -> None:
        """End the session."""
        with self._lock:
            self._close()

    def _open(self, pkcs11: Any) -> None:
        try:
            library = pkcs11.lib(str(self._module))
        except Exception as error:  # RuntimeError or the binding's own
            raise ConfigurationError(
                f"the PKCS#11 library {self._module} cannot be loaded: {error}"
            ) from error
        token = library.get_token(token_label=self._token)
        self._session = token.open(user_pin=self._pin())
        self._key = self._session.get_key(
            object_class=pkcs11.ObjectClass.PRIVATE_KEY, label=self._label
        )

    def _use(self, pkcs11: Any, data: bytes) -> Any:
        mechanism = pkcs11.Mechanism
        if self._alg == "ed25519":
            return self._key.sign(data, mechanism=mechanism.EDDSA)
        if self._alg == "ps256":
            parameters = (mechanism.SHA256, pkcs11.MGF.SHA256, 32)
            return self._key.sign(
                data, mechanism=mechanism.SHA256_RSA_PKCS_PSS, mechanism_param=parameters
            )
        # Hashed here: few tokens know the mechanisms that hash and sign in one.
        digest = hashlib.new(_DIGEST[self._alg], data).digest()
        return self._key.sign(digest, mechanism=mechanism.ECDSA)

    def _close(self) -> None:
        session, self._session, self._key = self._session, None, None
        if session is not None:
            with contextlib.suppress(Exception):  # it is gone already, which is what was wanted
                session.close()


class RemoteSigner:
    """Signs through a service: ``POST URL?alg=es256`` with the bytes, answered by the signature.

    The service needs no more than twenty lines around any KMS. What is sent is the COSE
    ``Sig_structure`` (RFC 9052, section 4.4), about a kilobyte, and no picture.

    Args:
        url: ``https://``; plain ``http://`` only on the loopback interface. Redirects are not
            followed.
        alg: The key's algorithm.
        token: Returns a bearer token, asked at each call; None sends none.
        timeout_s: For the whole call.
    """

    def __init__(
        self,
        url: str,
        *,
        alg: Algorithm,
        token: Callable[[], str] | None = None,
        timeout_s: float = 5.0,
    ) -> None:
        parts = urlsplit(url)
        if not parts.hostname or parts.scheme not in {"http", "https"}:
            raise ConfigurationError(f"{url!r} is no address of a signing service")
        if parts.scheme == "http" and not _loopback(parts.hostname):
            raise ConfigurationError(
                f"the signing service {parts.hostname} is to be reached without TLS",
                hint="use https; http is for the loopback interface",
            )
        self._parts, self._alg, self._token, self._timeout = parts, alg, token, timeout_s

    def sign(self, data: bytes, /) -> bytes:
        """Return the signature over ``data``.

        Raises:
            SigningFailed: The service does not answer, or not with a signature.
        """
        headers = {"content-type": "application/octet-stream"}
        if self._token is not None:
            headers["authorization"] = f"Bearer {self._token()}"
        path = f"{self._parts.path or '/'}?alg={quote(self._alg)}"
        connection = self._connect()
        try:
            connection.request("POST", path, body=data, headers=headers)
            with connection.getresponse() as answer:
                body = answer.read(_MAX_SIGNATURE + 1)
        except (OSError, http.client.HTTPException) as error:
            raise SigningFailed(
                f"the signing service {self._parts.hostname} does not answer: "
                f"{type(error).__name__}",
                hint="is it up, and its certificate valid?",
            ) from error
        finally:
            connection.close()
        if answer.status != 200 or not body or len(body) > _MAX_SIGNATURE:
            raise SigningFailed(
                f"the signing service {self._parts.hostname} answered {answer.status} with "
                f"{len(body)} bytes",
                hint="it must answer 200 with the signature alone",
            )
        return body

    def _connect(self) -> http.client.HTTPConnection:
        host, port = self._parts.hostname or "", self._parts.port
        if self._parts.scheme == "http":
            return http.client.HTTPConnection(host, port, timeout=self._timeout)
        context = ssl.create_default_context()
        return http.client.HTTPSConnection(host, port, timeout=self._timeout, context=context)


def _loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def key_algorithm(cert: Path) -> Algorithm:
    """Return the algorithm that the key of a PEM chain's first certificate signs with.

    Raises:
        CredentialRefused: The file cannot be read, or C2PA has no algorithm for its key.
    """
    try:
        pem = cert.read_bytes()
    except OSError as error:
        raise CredentialRefused(f"{cert} cannot be read: {error.strerror}") from error
    return algorithm_of(parse_chain(pem, source=str(cert))[0].public_key())


def read_secret(path: Path) -> str:
    """Return the text of a file that holds a PIN or a token, without the line's end.

    Raises:
        ConfigurationError: It cannot be read, is empty, or others may read it.
    """
    try:
        text = read_private(path, group=True).decode().strip()
    except UnicodeDecodeError:
        text = ""
    if not text:
        raise ConfigurationError(f"{path} holds no secret", hint="one line of text is wanted")
    return text

"""A small time-stamping authority for tests and development: ``openssl ts`` on loopback HTTP.

``python -m tests.unit.provenance.provenance_tsa FOLDER [PORT]`` serves one until it is stopped; its
root is ``FOLDER/tsa-root.pem``.
"""

from __future__ import annotations

import datetime as dt
import subprocess
import sys
import threading
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from tests.support.http import Asked, Loopback, Reply

_CONFIG = """
[tsa]
default_tsa = tsa1
[tsa1]
serial = {folder}/serial
signer_cert = {folder}/tsa.pem
certs = {folder}/tsa.pem
signer_key = {folder}/tsa.key
signer_digest = sha256
default_policy = 1.2.3.4.1
digests = sha256, sha384, sha512
accuracy = secs:1
ordering = yes
tsa_name = yes
ess_cert_id_chain = no
ess_cert_id_alg = sha256
"""


class LocalAuthority(Loopback):
    """Answers time-stamp queries; ``mode`` makes it fail in a chosen way.

    Attributes:
        mode: ``ok``, ``error`` (HTTP 500), ``hang`` (answers nothing) or ``garbage``.
    """

    def __init__(self, folder: Path, port: int = 0) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.mode = "ok"
        self.root_pem = _certificates(folder)
        super().__init__(port=port)

    def reply(self, asked: Asked) -> Reply:
        if self.mode == "hang":
            return self.hang()
        status, body = self.answer(asked.body)
        return Reply(status, body, {"content-type": "application/timestamp-reply"})

    def answer(self, query: bytes) -> tuple[int, bytes]:
        if self.mode == "error":
            return 500, b"out of order"
        if self.mode == "garbage":
            return 200, b"\x30\x82\xff\xff garbage"
        asked = self.folder / f"query-{threading.get_ident()}.tsq"
        asked.write_bytes(query)
        out = subprocess.run(
            ["openssl", "ts", "-reply", "-config", str(self.folder / "tsa.cnf"), "-queryfile",
             str(asked)],
            check=True,
            capture_output=True,
        )  # fmt: skip
        return 200, out.stdout


def _certificates(folder: Path) -> str:
    root_key, key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    now = dt.datetime.now(dt.UTC)

    def build(
        name: str, issuer: x509.Name | None, public: ec.EllipticCurvePublicKey, *, ca: bool
    ) -> x509.Certificate:
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(issuer or subject)
            .public_key(public)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - dt.timedelta(hours=1))
            .not_valid_after(now + dt.timedelta(days=365))
            .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(root_key.public_key()),
                critical=False,
            )
            .add_extension(
                x509.KeyUsage(
                    digital_signature=not ca, content_commitment=False, key_encipherment=False,
                    data_encipherment=False, key_agreement=False, key_cert_sign=ca, crl_sign=ca,
                    encipher_only=False, decipher_only=False,
                ),
                critical=True,
            )
        )  # fmt: skip
        if not ca:
            use = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.TIME_STAMPING])
            builder = builder.add_extension(use, critical=True)
        return builder.sign(root_key, hashes.SHA256())

    root = build("Local TSA root", None, root_key.public_key(), ca=True)
    leaf = build("Local TSA", root.subject, key.public_key(), ca=False)
    (folder / "tsa.pem").write_bytes(leaf.public_bytes(Encoding.PEM))
    (folder / "tsa.key").write_bytes(
        key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    )
    (folder / "tsa-root.pem").write_bytes(root.public_bytes(Encoding.PEM))
    (folder / "serial").write_text("01\n")
    (folder / "tsa.cnf").write_text(_CONFIG.format(folder=folder))
    return (folder / "tsa-root.pem").read_text()


if __name__ == "__main__":
    served = LocalAuthority(Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 0)
    print(served.url)  # noqa: T201 - a script's answer
    threading.Event().wait()

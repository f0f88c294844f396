"""An OCSP responder on loopback HTTP (RFC 6960), for tests: says what it is told to say.

It answers with a certificate of its own (OCSPSigning) that the CA issued; c2pa-rs takes the answer
of no other, not even of the CA itself.
"""

from __future__ import annotations

import base64
import datetime as dt
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp
from cryptography.x509.oid import AuthorityInformationAccessOID, ExtendedKeyUsageOID

from tests.support.http import Asked, Loopback, Reply

if TYPE_CHECKING:
    from tests.unit.provenance.provenance_attacks import Outsider


class Responder(Loopback):
    """Answers for the certificates of one party's CA.

    Attributes:
        revoked: What it says of every certificate.
    """

    def __init__(self) -> None:
        self.revoked = False
        self.party: Outsider | None = None
        super().__init__()

    def reply(self, asked: Asked) -> Reply:
        request = asked.body or base64.b64decode(unquote(asked.path[1:]))
        return Reply(200, self.answer(request), {"content-type": "application/ocsp-response"})

    def names_itself(self, values: dict[str, Any], _: object) -> None:
        """Put this responder's address into a certificate that is being issued."""
        place = x509.UniformResourceIdentifier(f"{self.url}/")
        values["access"] = x509.AuthorityInformationAccess(
            [x509.AccessDescription(AuthorityInformationAccessOID.OCSP, place)]
        )

    def answers_for(self, party: Outsider) -> None:
        """Take a certificate from the party's CA, and answer for it."""

        def for_answers(values: dict[str, Any], _: object) -> None:
            values["eku"] = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.OCSP_SIGNING])

        self.party = party
        self.cert, self.key = party.issue("responder", for_answers)

    def answer(self, request: bytes) -> bytes:
        asked = ocsp.load_der_ocsp_request(request)
        assert self.party is not None
        assert asked.serial_number == self.party.leaf.serial_number
        now = dt.datetime.now(dt.UTC)
        builder = (
            ocsp.OCSPResponseBuilder()
            .add_response(
                cert=self.party.leaf,
                issuer=self.party.middle,
                algorithm=asked.hash_algorithm,
                cert_status=(
                    ocsp.OCSPCertStatus.REVOKED if self.revoked else ocsp.OCSPCertStatus.GOOD
                ),
                this_update=now - dt.timedelta(minutes=1),
                next_update=now + dt.timedelta(days=7),
                revocation_time=now - dt.timedelta(hours=1) if self.revoked else None,
                revocation_reason=x509.ReasonFlags.key_compromise if self.revoked else None,
            )
            .responder_id(ocsp.OCSPResponderEncoding.HASH, self.cert)
            .certificates([self.cert])
        )
        return builder.sign(self.key, hashes.SHA256()).public_bytes(Encoding.DER)

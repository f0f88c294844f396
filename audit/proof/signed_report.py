"""What a verification found, signed with the log's key, to be handed on and checked offline.

A JSON Web Signature in the flattened JSON form (RFC 7515, section 7.2.2) with EdDSA over Ed25519
(RFC 8037) and ``typ`` ``chopmark-verification+jwt``; its payload is a claims set (RFC 7519).

The key signs checkpoints too. The two cannot be taken for each other: what a JWS signs is two
stretches of base64url with a dot between, and a note's text has three lines at least.
"""

from __future__ import annotations

import base64
import binascii
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from chopmark.audit.proof.kept_checkpoint import last_checkpoint
from chopmark.audit.proof.note import NoteKey
from chopmark.audit.proof.receipt import Receipt
from chopmark.audit.proof.report import Problem
from chopmark.errors import ChopmarkError, InvalidRequest

if TYPE_CHECKING:
    from chopmark.audit.proof.note import Checkpoint
    from chopmark.audit.proof.prover import Prover
    from chopmark.kit.types import JsonValue

__all__ = ["SignedReport", "newest_checkpoint", "sign_report"]

_TYP: Final = "chopmark-verification+jwt"
_ALG: Final = "EdDSA"
_MAX: Final = 4 * 1024 * 1024


def sign_report(prover: Prover, claims: dict[str, JsonValue], *, typ: str = _TYP) -> str:
    """Return a signed statement as JSON text ending in a line feed.

    Args:
        prover: The log's, which has its key.
        claims: What is stated; ``iss`` and ``public_key`` are added.
        typ: What kind of statement it is: none can be taken for one of another kind.
    """
    signer = prover._keys.signer  # noqa: SLF001  its own house: the key leaves it nowhere
    header = {"alg": _ALG, "typ": typ, "kid": f"{signer.key.name}+{signer.key.key_hash.hex()}"}
    stated = {**claims, "iss": signer.key.name, "public_key": str(signer.key)}
    protected, payload = _encode(_json(header)), _encode(_json(stated))
    signature = _encode(signer.signature(f"{protected}.{payload}".encode()))
    members = {"payload": payload, "protected": protected, "signature": signature}
    return json.dumps(members, indent=1) + "\n"


def newest_checkpoint(prover: Prover) -> Checkpoint:
    """Return the newest checkpoint that is signed; sign a first one where there is none.

    Raises:
        LogCorrupt: It is damaged.
        LogUnavailable: The log cannot be read.
    """
    with prover._database.read() as transaction:  # noqa: SLF001  as above
        last = last_checkpoint(transaction, prover._keys.ring)  # noqa: SLF001
    return prover.checkpoint() if last is None else last[1]


@dataclass(frozen=True, kw_only=True)
class SignedReport:
    """A signed statement of what a verification found.

    Attributes:
        claims: What is stated: ``iss`` (the log), ``iat``, ``time``, ``file`` (``sha256``,
            ``bytes``), ``report``, ``checkpoint``, ``receipt``, ``public_key``.
        header: The protected header.
        signed: The bytes that the signature covers.
        signature: 64 bytes.
    """

    claims: dict[str, Any]
    header: dict[str, Any]
    signed: bytes
    signature: bytes

    @property
    def receipt(self) -> Receipt | None:
        """The log's receipt of the picture's record, where one was stated.

        Raises:
            InvalidRequest: What stands there is no receipt.
        """
        stated = self.claims.get("receipt")
        return None if stated is None else Receipt.from_json(json.dumps(stated))

    def verify(self, public_key: str | None = None, *, typ: str = _TYP) -> tuple[Problem, ...]:
        """Check the statement, and the receipt within it, offline.

        Args:
            public_key: The log's verifier key, from a source that you trust; several of them, a
                line each, where the log has changed its key. With None the statement's own key is
                used, which shows only that it agrees with itself.
            typ: Of which kind it must be.

        Returns:
            What is wrong; empty when the key signed it.
        """
        given = public_key if public_key is not None else str(self.claims.get("public_key"))
        found: tuple[Problem, ...] = (_wrong("key_malformed", "there is no key to check it with"),)
        for line in filter(None, map(str.strip, given.splitlines())):
            found = self._problems(line, given, typ)
            if not found:
                break
        return found

    def _problems(self, text: str, keys: str, typ: str) -> tuple[Problem, ...]:
        problems: list[Problem] = []
        if self.header.get("alg") != _ALG or self.header.get("typ") != typ:
            problems.append(_wrong("header_refused", f"alg and typ must be {_ALG} and {typ}"))
        if "crit" in self.header:
            problems.append(_wrong("header_refused", "it names extensions that are not known here"))
        try:
            key = NoteKey.parse(text)
        except ChopmarkError as error:
            return (*problems, _wrong("key_malformed", error.message))
        issuer = self.claims.get("iss")
        if key.name != issuer:
            problems.append(_wrong("another_log", f"it is by {issuer!r}, not by {key.name!r}"))
        if not key.verify(self.signed, self.signature):
            problems.append(
                _wrong("signature_refused", f"it is not signed by the key of {key.name!r}")
            )
        try:
            receipt = self.receipt
        except ChopmarkError as error:
            return (*problems, _wrong("receipt_malformed", error.message))
        if receipt is not None:
            # All keys: the receipt may be older than the one that signed the statement.
            problems += receipt.verify(keys)
            named = _named(self.claims)
            if not problems and named is not None and receipt.record.record_id != named:
                problems.append(
                    _wrong("receipt_of_another", "its receipt is of another record than its report")
                )
        return tuple(problems)

    @classmethod
    def from_json(cls, text: str | bytes) -> SignedReport:
        """Read a statement: flattened JSON, or the compact form. :meth:`verify` is what trusts it.

        Raises:
            InvalidRequest: Not a signed statement.
        """
        if len(text) > _MAX:
            raise InvalidRequest("this is too long for a verification report")
        try:
            plain = text if isinstance(text, str) else text.decode("utf-8")
            protected, payload, signature = _parts(plain.strip())
            header, claims = json.loads(_decode(protected)), json.loads(_decode(payload))
            if not isinstance(header, dict) or not isinstance(claims, dict):
                raise InvalidRequest("a verification report is a signed JSON object")
            return cls(
                claims=claims,
                header=header,
                signed=f"{protected}.{payload}".encode("ascii"),
                signature=_decode(signature),
            )
        except (ValueError, KeyError, TypeError, RecursionError, binascii.Error):
            raise InvalidRequest(
                "this is not a verification report", hint="`chopmark verify --report` writes one"
            ) from None


def _wrong(what: str, detail: str) -> Problem:
    return Problem(what=what, where="report", detail=detail)


def _parts(text: str) -> tuple[str, str, str]:
    if text.startswith("{"):
        members = json.loads(text)
        found = members["protected"], members["payload"], members["signature"]
        if not all(isinstance(one, str) for one in found):
            raise TypeError
        return found
    protected, payload, signature = text.split(".")
    return protected, payload, signature


def _named(claims: dict[str, Any]) -> str | None:
    report = claims.get("report")
    record = report.get("record") if isinstance(report, dict) else None
    named = record.get("record_id") if isinstance(record, dict) else None
    return named if isinstance(named, str) else None


def _json(value: dict[str, Any]) -> bytes:
    return json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode()


def _encode(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def _decode(text: str) -> bytes:
    # RFC 7515, section 2: no padding, no line breaks, nothing else.
    if not text.isascii() or set(text) & set("=+/ \r\n"):
        raise ValueError
    raw = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    if _encode(raw) != text:
        raise ValueError
    return raw

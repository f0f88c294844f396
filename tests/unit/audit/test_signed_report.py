"""Signed reports: made with the log's key, checked offline, and nothing else passes for one."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING, Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from chopmark.audit import AuditLog
from chopmark.audit.proof.signed_report import SignedReport, sign_report
from chopmark.errors import InvalidRequest
from chopmark.kit.ids import new_record_id

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from chopmark.audit import Event


@pytest.fixture
def log(tmp_path: Path) -> Iterator[AuditLog]:
    with AuditLog.open(tmp_path / "home") as opened:
        yield opened


def _members(text: str) -> dict[str, str]:
    members: dict[str, str] = json.loads(text)
    return members


def _encode(value: Any) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


def _decode(text: str) -> Any:
    return json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))


def test_it_is_a_jws_that_others_can_check(log: AuditLog) -> None:
    text = sign_report(log.proof, {"report": {"verdict": "no_signal"}})
    members = _members(text)
    assert set(members) == {"payload", "protected", "signature"}
    header = _decode(members["protected"])
    assert (header["typ"], header["alg"]) == ("chopmark-verification+jwt", "EdDSA")
    key = Ed25519PublicKey.from_public_bytes(base64.b64decode(log.public_key.split("+", 2)[2])[1:])
    signed = f"{members['protected']}.{members['payload']}".encode()
    key.verify(base64.urlsafe_b64decode(members["signature"] + "=="), signed)
    assert _decode(members["payload"])["report"] == {"verdict": "no_signal"}


def test_it_holds_in_both_forms_and_only_with_the_right_key(log: AuditLog, tmp_path: Path) -> None:
    text = sign_report(log.proof, {"report": {"verdict": "no_signal"}})
    members = _members(text)
    compact = ".".join(members[name] for name in ("protected", "payload", "signature"))
    with AuditLog.open(tmp_path / "other") as other:
        stranger = other.public_key
    for form in (text, compact, text.encode()):
        signed = SignedReport.from_json(form)
        assert signed.verify() == ()
        assert signed.verify(log.public_key) == ()
        assert signed.verify(f"{stranger}\n{log.public_key}\n") == ()
        assert [one.what for one in signed.verify(stranger)] == ["signature_refused"]


def test_a_changed_report_does_not_hold(log: AuditLog) -> None:
    members = _members(sign_report(log.proof, {"report": {"verdict": "no_signal"}}))
    claims = _decode(members["payload"])
    claims["report"]["verdict"] = "made_here"
    forged = {**members, "payload": _encode(claims)}
    assert SignedReport.from_json(json.dumps(forged)).verify()


@pytest.mark.parametrize(
    "header",
    [{"alg": "none"}, {"alg": "HS256"}, {"typ": "JWT"}, {"crit": ["exp"]}],
)
def test_another_header_is_refused(log: AuditLog, header: dict[str, Any]) -> None:
    members = _members(sign_report(log.proof, {"report": {}}))
    changed = {**_decode(members["protected"]), **header}
    forged = {**members, "protected": _encode(changed)}
    problems = SignedReport.from_json(json.dumps(forged)).verify()
    assert {"header_refused", "signature_refused"} <= {one.what for one in problems}


def test_the_receipt_within_is_checked_and_must_be_of_the_same_record(
    log: AuditLog, make_event: Callable[..., Event]
) -> None:
    ids = [new_record_id(), new_record_id()]
    for one in ids:
        log.append(make_event(record_id=one))
        log.append(make_event(record_id=one, kind="request.completed"))
    receipts = [log.proof.receipt(one).to_dict() for one in ids]

    def problems(record_id: str, receipt: Any) -> list[str]:
        report: Any = {"record": {"record_id": record_id}}
        text = sign_report(log.proof, {"report": report, "receipt": receipt})
        return [one.what for one in SignedReport.from_json(text).verify(log.public_key)]

    assert problems(ids[0], receipts[0]) == []
    assert problems(ids[0], receipts[1]) == ["receipt_of_another"]
    broken = {**receipts[0], "index": 0}
    assert problems(ids[0], broken) == ["not_included"]
    assert problems(ids[0], {"format": "?"}) == ["receipt_malformed"]


@pytest.mark.parametrize(
    "text",
    ["", "{}", "[]", "a.b", "a.b.c", "....", "{" * 10_000, "null", '{"payload": 1}',
     '{"payload": "e30", "protected": "e30=", "signature": ""}',
     '{"payload": "W10", "protected": "e30", "signature": ""}', "\x00\xff"],
)  # fmt: skip
def test_what_is_no_report_is_refused(text: str) -> None:
    with pytest.raises(InvalidRequest):
        SignedReport.from_json(text)


def test_a_note_cannot_be_signed_as_a_report(log: AuditLog) -> None:
    signer = log.proof._keys.signer
    with pytest.raises(ValueError, match="line feed"):
        signer.signature(b"chopmark.local/log\n1\nAAAA\n")

"""A report to be handed on: what was found in a file, signed with the log's key."""

from __future__ import annotations

import base64
import dataclasses
import datetime as dt
import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from chopmark.errors import ChopmarkError

if TYPE_CHECKING:
    from chopmark.audit import Problem, Receipt
    from chopmark.audit.proof.signed_report import SignedReport
    from chopmark.kit.types import JsonValue
    from chopmark.pipeline.parts import Parts
    from chopmark.provenance import Report

__all__ = ["CheckedReport", "check_report", "sign_report"]


def sign_report(parts: Parts, data: bytes, report: Report) -> str:
    """Return a signed statement of what was found in a file; it holds the file's digest only.

    Args:
        parts: Where the log is; it is made where there is none yet, as its key signs.
        data: The file.
        report: What was found.

    Raises:
        LogUnavailable: The log cannot be read.
    """
    from chopmark import __version__
    from chopmark.audit.proof import signed_report

    proof = parts.log.proof
    receipt = _receipt(parts, report)
    now = dt.datetime.now(dt.UTC)
    claims: dict[str, JsonValue] = {
        "iat": int(now.timestamp()),
        "time": now.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "tool": f"chopmark {__version__}",
        "file": {
            "sha256": hashlib.sha256(data).hexdigest(),
            "bytes": len(data),
            "format": report.format,
        },
        "report": _without_pictures(report),
        "checkpoint": signed_report.newest_checkpoint(proof).note
        if receipt is None
        else receipt.checkpoint,
        "receipt": None if receipt is None else receipt.to_dict(),
    }
    return signed_report.sign_report(proof, claims)


def _without_pictures(report: Report) -> dict[str, JsonValue]:
    """Return a report with the digest of the copy that it shows, in its place."""
    told = report.to_dict()
    if report.original is not None:
        original = dataclasses.asdict(report.original)
        shown = base64.b64decode(original.pop("picture").partition(",")[2])
        told["original"] = {**original, "sha256": hashlib.sha256(shown).hexdigest()}
    return told


def _receipt(parts: Parts, report: Report) -> Receipt | None:
    """Return the receipt of the file's own record; none for one that it only looks like."""
    named = (report.record or {}).get("record_id")
    found = any(one.name == "log" and one.outcome == "found" for one in report.techniques)
    if not found or not isinstance(named, str):
        return None
    try:
        return parts.log.proof.receipt(named)
    except ChopmarkError:
        return None


@dataclass(frozen=True, kw_only=True)
class CheckedReport:
    """What a check of a signed report found.

    Attributes:
        signed: What was read.
        problems: What is wrong with it.
        of_file: Whether the file that was given is the one that it speaks of; None without one.
        known_key: It was checked with a key that came another way than within it.
    """

    signed: SignedReport
    problems: tuple[Problem, ...]
    of_file: bool | None
    known_key: bool

    @property
    def ok(self) -> bool:
        """Whether it holds, and for this file."""
        return not self.problems and self.of_file is not False

    def to_dict(self) -> dict[str, JsonValue]:
        """Return what ``chopmark verify --check-report --json`` prints."""
        claims: dict[str, Any] = self.signed.claims
        report = claims.get("report")
        return {
            "ok": self.ok,
            "problems": [str(problem) for problem in self.problems],
            "of_file": self.of_file,
            "known_key": self.known_key,
            "iss": claims.get("iss"),
            "time": claims.get("time"),
            "file": claims.get("file"),
            "report": report if isinstance(report, dict) else None,
            "receipt": claims.get("receipt") is not None,
        }


def check_report(
    text: bytes, *, data: bytes | None = None, public_key: str | None = None, known: str = ""
) -> CheckedReport:
    """Check a signed report, offline.

    Args:
        text: The report.
        data: The file that it should speak of, if it is at hand.
        public_key: The log's verifier keys, a line each; None takes the one within the report.
        known: Keys that are known anyway: one within the report that is among them is trusted.

    Raises:
        InvalidRequest: Not a signed report.
    """
    from chopmark.audit.proof.signed_report import SignedReport

    signed = SignedReport.from_json(text)
    of_file = None
    if data is not None:
        told = signed.claims.get("file")
        digest = told.get("sha256") if isinstance(told, dict) else None
        of_file = digest == hashlib.sha256(data).hexdigest()
    return CheckedReport(
        signed=signed,
        problems=signed.verify(public_key),
        of_file=of_file,
        known_key=public_key is not None
        or str(signed.claims.get("public_key")) in known.splitlines(),
    )

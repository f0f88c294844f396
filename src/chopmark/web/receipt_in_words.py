"""A receipt of the log, or a report that was signed here, in words: does it hold, and of what?"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from chopmark.errors import ChopmarkError, InvalidRequest
from chopmark.pipeline.inspect import examine
from chopmark.pipeline.signed_report import check_report

if TYPE_CHECKING:
    from chopmark.audit import Receipt
    from chopmark.pipeline.parts import Parts
    from chopmark.pipeline.signed_report import CheckedReport
    from chopmark.web.headlines import Tone

__all__ = ["MAX_PROOF_BYTES", "ProofInWords", "proof_in_words"]

MAX_PROOF_BYTES: Final = 4 << 20
_OTHER_KEY: Final = (
    "It agrees with itself, but another log's key signed it. Ask whoever runs that log for the key."
)


@dataclass(frozen=True, kw_only=True)
class ProofInWords:
    """What is said of a receipt or of a signed report.

    Attributes:
        headline: Three or four words.
        tone: ``good`` where this log's own key signed it and it holds.
        lines: Sentences.
        facts: Names and values.
    """

    headline: str
    tone: Tone
    lines: tuple[str, ...]
    facts: tuple[tuple[str, str], ...] = ()


def proof_in_words(parts: Parts, text: bytes, data: bytes | None) -> ProofInWords:
    """Tell whether a receipt or a signed report holds.

    Args:
        parts: Whose key is ours.
        text: The receipt, or the report.
        data: The picture that it should be of, if it is at hand.

    Raises:
        InvalidRequest: It is neither.
    """
    if len(text) > MAX_PROOF_BYTES:
        raise InvalidRequest("this is too long for a receipt or a report", param="proof")
    if _is_receipt(text):
        return _receipt(parts, text, data)
    return _report(parts, text, data)


def _is_receipt(text: bytes) -> bool:
    try:
        members = json.loads(text)
    except (ValueError, RecursionError):
        return False
    return isinstance(members, dict) and "leaf" in members


def _our_key(parts: Parts) -> str | None:
    if not parts.exists("request_log"):
        return None
    try:
        return parts.log.proof.public_keys
    except ChopmarkError:
        return None


def _receipt(parts: Parts, text: bytes, data: bytes | None) -> ProofInWords:
    from chopmark.audit import Receipt

    receipt = Receipt.from_json(text)
    key = _our_key(parts)
    problems = receipt.verify(key) if key is not None else receipt.verify()
    if problems and not receipt.verify():
        return ProofInWords(
            headline="Of another log", tone="none", lines=(_OTHER_KEY,), facts=_facts(receipt)
        )
    if problems:
        return ProofInWords(
            headline="The receipt does not hold",
            tone="care",
            lines=tuple(
                f"{problem.detail[:1].upper()}{problem.detail[1:]}." for problem in problems
            ),
        )
    if key is None:
        return ProofInWords(
            headline="Of another log", tone="none", lines=(_OTHER_KEY,), facts=_facts(receipt)
        )
    outputs = _outputs(receipt.record.public)
    of = (
        f"It is of {len(outputs)} picture{'s' if len(outputs) != 1 else ''}: "
        + ", ".join(f"output {one}" for one in outputs)
        + "."
        if outputs
        else f"It is of the event {receipt.record.kind}."
    )
    return ProofInWords(
        headline="The receipt holds",
        tone="good",
        lines=(
            "The entry is in the log of this service, and its key signed the tree that holds it.",
            of,
            *_belongs(parts, receipt, data),
        ),
        facts=_facts(receipt),
    )


def _belongs(parts: Parts, receipt: Receipt, data: bytes | None) -> tuple[str, ...]:
    """Say whether a picture is one that a receipt of ours is of."""
    if data is None:
        return ("To see whether a picture is one of these, choose the picture too.",)
    report = examine(parts, data, public=True)
    named = (report.record or {}).get("record_id")
    if named == receipt.record.record_id and report.verdict == "made_here":
        return ("The picture that you chose is one of these.",)
    if named == receipt.record.record_id:
        return ("The picture that you chose leads to this record, and is not as it left.",)
    return ("The picture that you chose does not lead to this record.",)


def _report(parts: Parts, text: bytes, data: bytes | None) -> ProofInWords:
    key = _our_key(parts)
    checked = check_report(text, data=data, public_key=key)
    by_itself = check_report(text, data=data)
    if not checked.problems and key is not None:
        headline, tone, lines = "The report holds", "good", ["It was signed here."]
    elif by_itself.problems:
        headline, tone = "The report does not hold", "care"
        lines = [
            f"{problem.detail[:1].upper()}{problem.detail[1:]}." for problem in by_itself.problems
        ]
    else:
        headline, tone, lines = "Of another log", "none", [_OTHER_KEY]
    if checked.of_file is False:
        headline, tone = "Of another file", "care"
        lines.append("The picture that you chose is not the file that the report speaks of.")
    elif checked.of_file:
        lines.append("It speaks of the very file that you chose.")
    if not by_itself.problems:
        lines.append(_said(checked))
    return ProofInWords(
        headline=headline,
        tone=tone,  # type: ignore[arg-type]
        lines=tuple(lines),
        facts=_report_facts(checked),
    )


def _said(checked: CheckedReport) -> str:
    report = checked.signed.claims.get("report")
    summary = report.get("summary") if isinstance(report, dict) else None
    return f"What it said on {checked.signed.claims.get('time')}: {summary}"


def _report_facts(checked: CheckedReport) -> tuple[tuple[str, str], ...]:
    claims: dict[str, Any] = checked.signed.claims
    told = claims.get("file")
    file = told if isinstance(told, dict) else {}
    pairs = (
        ("log", claims.get("iss")), ("time", claims.get("time")),
        ("SHA-256 of the file", file.get("sha256")), ("bytes", file.get("bytes")),
    )  # fmt: skip
    return tuple((name, str(value)) for name, value in pairs if value is not None)


def _facts(receipt: Receipt) -> tuple[tuple[str, str], ...]:
    record = receipt.record
    pairs = (
        ("record", record.record_id), ("event", record.kind), ("time", record.time),
        ("entry", receipt.index), ("model", record.public.get("model")),
        ("outputs", ", ".join(_outputs(record.public)) or None),
        ("leaf hash", record.leaf_hash),
    )  # fmt: skip
    return tuple((name, str(value)) for name, value in pairs if value is not None)


def _outputs(public: dict[str, Any]) -> list[str]:
    outputs = public.get("outputs")
    if not isinstance(outputs, list):
        return []
    return [
        str(one.get("output_id") or one.get("id") or one.get("manifest_id"))
        for one in outputs
        if isinstance(one, dict)
    ]

"""The report as data: what is set, what bears on it, what is open; signed with the log's key."""

from __future__ import annotations

import datetime as dt
import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from chopmark.compliance.figures import FIGURES
from chopmark.errors import InvalidRequest
from chopmark.settings.profile_rows import ROWS

if TYPE_CHECKING:
    from chopmark.audit import Problem
    from chopmark.kit.types import JsonValue
    from chopmark.pipeline.parts import Parts
    from chopmark.settings import Settings
    from chopmark.settings.profile_rows import Row
    from chopmark.settings.profiles import Profile

__all__ = ["TYP", "CheckedCompliance", "check", "claims_of", "sign"]

TYP: Final = "chopmark-compliance+jwt"
_NOTE: Final = (
    "This report states what the software is set to do and what was measured. It does not say that"
    " any rule is kept, and it is no legal advice. Rules are told as secondary sources report them;"
    " nobody compared them with the official texts."
)


def claims_of(parts: Parts, profile: Profile) -> dict[str, JsonValue]:
    """Return what is stated of an installation under a profile, whether or not it is the one set.

    Args:
        parts: Whose settings, credential and trust lists are told; they are opened for it.
        profile: Whose rows.

    Raises:
        ChopmarkError: The signing credential cannot be opened.
    """
    from chopmark import __version__

    settings = parts.settings
    now = dt.datetime.now(dt.UTC)
    rows = [_row(row, settings) for row in ROWS[profile]]
    states = [str(row["state"]) for row in rows]
    return {
        "iat": int(now.timestamp()),
        "time": now.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "tool": f"chopmark {__version__}",
        "profile": profile,
        "profile_set": settings.profile,
        "note": _NOTE,
        "rows": list(rows),
        "counts": {state: states.count(state) for state in sorted(set(states))},
        "installation": _installation(parts),
    }


def _row(row: Row, settings: Settings) -> dict[str, JsonValue]:
    configured = _plain(getattr(settings, row.setting)) if row.setting else None
    return {
        "state": _state(row, configured),
        "asks": row.asks,
        "rule": row.rule,
        "since": row.since or None,
        "source": row.source,
        "does": row.does,
        "setting": f"CHOPMARK_{row.setting.upper()}" if row.setting else None,
        "profile_value": row.value,
        "configured": configured,
        "tests": list(row.tests),
        "figures": [FIGURES[name].to_dict() for name in row.figures],
    }


def _state(row: Row, configured: JsonValue) -> str:
    """Return ``as_profile``, ``deviation``, ``set``, ``open`` or ``built_in``."""
    match row.kind:
        case "default":
            return "as_profile" if row.met_by(configured) else "deviation"
        case "needed":
            return "set" if configured not in {None, ""} else "open"
        case "built_in":
            return "built_in"
        case _:
            return "open"


def _plain(value: object) -> JsonValue:
    """Return a setting for JSON; of a file that something is set is all that others need know."""
    if isinstance(value, Path):
        return "a file"
    return value if isinstance(value, bool | int | float | str) else None


def _installation(parts: Parts) -> dict[str, JsonValue]:
    credential, settings = parts.credential, parts.settings
    lists = [one for one in parts.anchors.lists if one.kind != "own"]
    return {
        "log": settings.log_origin,
        "policy": settings.policy,
        "on_review": settings.on_review,
        "watermark": settings.mark_method,
        "signing_certificate": {
            "development": credential.is_development,
            "sha256": credential.fingerprint,
            "until": credential.leaf.not_valid_after_utc.date().isoformat(),
        },
        "trust_lists": [
            {"name": one.name, "date": one.date or None, "stale": one.is_stale()} for one in lists
        ],
    }


def sign(parts: Parts, claims: dict[str, JsonValue], page: str) -> str:
    """Return the report as a JWS in JSON; it names the digest of its page.

    Raises:
        LogUnavailable: The log cannot be read.
    """
    from chopmark.audit.proof import signed_report

    stated = {**claims, "page_sha256": hashlib.sha256(page.encode()).hexdigest()}
    return signed_report.sign_report(parts.log.proof, stated, typ=TYP)


@dataclass(frozen=True, kw_only=True)
class CheckedCompliance:
    """What a check of a report found.

    Attributes:
        claims: What it states.
        problems: What is wrong with it.
        of_page: Whether the page that was given is its own; None without one.
    """

    claims: dict[str, Any]
    problems: tuple[Problem, ...]
    of_page: bool | None

    @property
    def ok(self) -> bool:
        """Whether the signature holds, and the page is its own."""
        return not self.problems and self.of_page is not False


def check(
    text: bytes, *, page: bytes | None = None, public_key: str | None = None
) -> CheckedCompliance:
    """Check a report offline.

    Args:
        text: The report.
        page: The page that was written with it, if it is at hand.
        public_key: The log's verifier keys, a line each; None takes the one within the report.

    Raises:
        InvalidRequest: Not a signed report.
    """
    from chopmark.audit.proof.signed_report import SignedReport

    try:
        signed = SignedReport.from_json(text)
    except InvalidRequest:
        raise InvalidRequest(
            "this is not a signed compliance report", hint="`chopmark compliance report` writes one"
        ) from None
    of_page = None
    if page is not None:
        of_page = signed.claims.get("page_sha256") == hashlib.sha256(page).hexdigest()
    return CheckedCompliance(
        claims=signed.claims, problems=signed.verify(public_key, typ=TYP), of_page=of_page
    )

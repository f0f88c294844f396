"""The compliance report: it says what the profile's table says, of this very installation."""

from __future__ import annotations

import base64
import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from typer.testing import CliRunner

from chopmark.cli import app
from chopmark.compliance import FIGURES, check, claims_of, page_of, sign
from chopmark.errors import InvalidRequest
from chopmark.settings.profile_rows import ROWS
from chopmark.settings.profiles import PROFILES

if TYPE_CHECKING:
    from collections.abc import Callable

    from chopmark.pipeline.parts import Parts

DOCS = Path(__file__).parents[2] / "docs"
STATES = {"default": {"as_profile"}, "needed": {"open"}, "built_in": {"built_in"}}


@pytest.fixture
def parts_of(open_pipeline: Callable[..., Any]) -> Callable[..., Parts]:
    def make(**settings: Any) -> Parts:
        parts: Parts = open_pipeline(lend=("credentials", "anchors"), **settings).parts
        return parts

    return make


def test_each_figure_stands_in_the_manual_with_its_day() -> None:
    text = (DOCS / "benchmarks.md").read_text(encoding="utf-8")
    for name, figure in FIGURES.items():
        heading = text.find(figure.heading)
        assert heading >= 0, name
        quote = text.find(figure.quote, heading)
        # Of this very run: no other one's heading stands between.
        assert quote > 0, name
        assert "<!-- " not in text[heading:quote].replace(":begin -->", ""), name
        assert figure.heading.endswith(figure.date), name
        assert figure.value.split(" %")[0].split(" of ")[0] in figure.quote, name
    used = {name for rows in ROWS.values() for row in rows for name in row.figures}
    assert used == set(FIGURES)


@pytest.mark.parametrize("profile", PROFILES)
def test_a_report_is_the_table_with_what_is_set_here(
    profile: Any, parts_of: Callable[..., Parts]
) -> None:
    parts = parts_of(profile=profile)
    claims: dict[str, Any] = claims_of(parts, profile)
    rows = ROWS[profile]
    assert len(claims["rows"]) == len(rows)
    for told, row in zip(claims["rows"], rows, strict=True):
        assert (told["asks"], told["rule"], told["does"]) == (row.asks, row.rule, row.does)
        assert told["state"] in STATES.get(row.kind, {"open"}), row
        if row.kind == "default":
            assert told["configured"] == getattr(parts.settings, row.setting) == row.value
        assert [one["value"] for one in told["figures"]] == [
            FIGURES[name].value for name in row.figures
        ]
    assert sum(claims["counts"].values()) == len(rows)
    page = page_of(claims)
    for row in rows:
        assert page.count(row.rule.replace("'", "&#x27;")) >= 1
    for word in ("compliant", "complies", "in compliance"):
        assert word not in page.lower()
    assert "no legal advice" in page
    assert re.findall(r"(?:src|href)=|<script|url\(", page) == []


def test_deviations_and_what_is_set_are_told(parts_of: Callable[..., Parts]) -> None:
    parts = parts_of(profile="eu", label="off", tsa_url="https://tsa.example/", retention_days=90)
    told: Any = claims_of(parts, "eu")
    by_setting: dict[str, Any] = {row["setting"]: row for row in told["rows"]}
    label = by_setting["CHOPMARK_LABEL"]
    assert (label["state"], label["configured"], label["profile_value"]) == (
        "deviation", "off", "eu",
    )  # fmt: skip
    assert by_setting["CHOPMARK_TSA_URL"]["state"] == "set"
    assert by_setting["CHOPMARK_RETENTION_DAYS"]["state"] == "set"
    assert by_setting["CHOPMARK_SIGNING_CERT"]["state"] == "open"
    # Without the profile what it would set is told just so.
    plain: Any = claims_of(parts_of(), "eu")
    assert plain["profile_set"] is None
    assert plain["counts"]["deviation"] == 3


def test_signed_checked_and_not_to_be_changed(parts_of: Callable[..., Parts]) -> None:
    from chopmark.pipeline.signed_report import check_report

    parts = parts_of(profile="india")
    claims = claims_of(parts, "india")
    page = page_of(claims)
    text = sign(parts, claims, page)
    key = parts.log.public_key
    found = check(text.encode(), page=page.encode(), public_key=key)
    assert found.ok
    assert found.claims["rows"] == claims["rows"]
    assert check(text.encode(), page=page.encode() + b" ", public_key=key).of_page is False
    header, payload, signature = (
        json.loads(text)[name] for name in ("protected", "payload", "signature")
    )
    changed = dict(claims, note="x", iss=found.claims["iss"])
    forged = base64.urlsafe_b64encode(json.dumps(changed).encode()).rstrip(b"=").decode()
    assert forged != payload
    bad = check(f"{header}.{forged}.{signature}".encode(), public_key=key)
    assert [one.what for one in bad.problems] == ["signature_refused"]
    # A verification report and this one cannot be taken for each other.
    assert [one.what for one in check_report(text.encode()).problems] == ["header_refused"]
    with pytest.raises(InvalidRequest, match="compliance report"):
        check(b"{}")


def test_the_command_writes_and_checks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    runner = CliRunner()
    monkeypatch.setenv("CHOPMARK_PROFILE", "korea")
    with pytest.warns(UserWarning, match="development certificate"):
        made = runner.invoke(app, ["compliance", "report", "-o", str(tmp_path), "--json"])
    assert made.exit_code == 0, made.output
    report, page = tmp_path / "compliance-korea.json", tmp_path / "compliance-korea.html"
    ok = ["compliance", "check", str(report), "--html", str(page), "--json"]
    told = runner.invoke(app, ok)
    assert told.exit_code == 0
    assert json.loads(told.stdout)["profile"] == "korea"
    page.write_text(page.read_text(encoding="utf-8").replace("Open:", "Done:"), encoding="utf-8")
    assert runner.invoke(app, ok).exit_code == 4
    monkeypatch.delenv("CHOPMARK_PROFILE")
    refused = runner.invoke(app, ["compliance", "report"])
    assert isinstance(refused.exception, InvalidRequest)


def test_the_manual_shows_the_table() -> None:
    from chopmark.compliance.page import tables_in_markdown

    text = (DOCS / "law.md").read_text(encoding="utf-8")
    shown = text.partition("<!-- profiles:begin -->\n")[2].partition("<!-- profiles:end -->")[0]
    assert shown == tables_in_markdown()
    assert "compliant" not in text

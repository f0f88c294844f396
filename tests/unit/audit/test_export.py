"""Exports, statements of reasons and the transparency report."""

from __future__ import annotations

import contextlib
import json
from typing import TYPE_CHECKING, Any

import jsonschema_rs
import pytest

from chopmark.audit import (
    Actor,
    AuditLog,
    Event,
    Query,
    StatementTemplate,
    check_export,
    check_statement,
    statement_of_reasons,
    statement_schema,
    transparency_report,
)
from chopmark.errors import InvalidRequest, LogUnavailable, NotPermitted
from chopmark.kit.ids import new_record_id

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    OpenLog = Callable[..., AuditLog]

ADA = Actor(name="Ada", roles=frozenset({"exporter", "reviewer"}), tenant=None)
MAX = Actor(name="Max", roles=frozenset({"exporter"}), tenant=None)
TEMPLATE = StatementTemplate(
    reference="Terms of use, section 4",
    explanation="The terms do not allow pictures of this kind.",
    categories={"violence": "STATEMENT_CATEGORY_VIOLENCE"},
    territorial_scope=("DE", "FR"),
)


def stock(log: AuditLog, count: int = 5) -> list[str]:
    ids = []
    for number in range(count):
        record_id = new_record_id()
        ids.append(record_id)
        log.append(
            Event(
                kind="request.received",
                record_id=record_id,
                tenant="default",
                subject=f"p{number}",
                private={"prompt": f'=cmd, "quoted"\nline {number} \u00e9'},
            )
        )
        refused = number % 2 == 1
        log.append(
            Event(
                kind="request.refused" if refused else "request.completed",
                record_id=record_id,
                tenant="default",
                public={"stage": "input", "categories": ["violence", "hate"]} if refused else {},
            )
        )
    return ids


@pytest.mark.parametrize("form", ["jsonl", "csv", "parquet"])
def test_an_export_is_checked_without_the_log(open_log: OpenLog, tmp_path: Path, form: Any) -> None:
    if form == "parquet":
        pytest.importorskip("pyarrow")
    log = open_log()
    stock(log)
    desk = log.desk(ADA, purpose="request of the authority")
    folder = tmp_path / "export"
    manifest = desk.export.records(Query(), folder, form=form, second=MAX, content=True)
    assert check_export(folder, log.public_key) == ()
    said = json.loads(manifest.read_text())
    assert said["entries"] == 10
    booked = log.find(kind="access.exported")[0]
    assert booked.public["entries"] == 10
    content = (folder / f"entries.{form}").read_bytes()
    assert (b"line 4" in content) or form == "parquet"

    entries = folder / f"entries.{form}"
    entries.write_bytes(content + b"\n" if form != "parquet" else content[:-8] + bytes(8))
    with contextlib.suppress(InvalidRequest):
        assert check_export(folder, log.public_key) != ()
    entries.unlink()
    with pytest.raises(LogUnavailable):
        check_export(folder, log.public_key)


def test_a_changed_row_is_found_behind_a_changed_manifest(
    open_log: OpenLog, tmp_path: Path
) -> None:
    from hashlib import sha256

    log = open_log()
    stock(log)
    folder = tmp_path / "export"
    log.desk(ADA, purpose="p").export.records(Query(), folder, second=MAX)
    lines = (folder / "entries.jsonl").read_bytes().split(b"\n")
    lines[2] = lines[2].replace(b"default", b"another")
    data = b"\n".join(lines)
    (folder / "entries.jsonl").write_bytes(data)
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["file"]["sha256"] = sha256(data).hexdigest()
    (folder / "manifest.json").write_text(json.dumps(manifest))
    assert [problem.what for problem in check_export(folder, log.public_key)] == ["hidden_changed"]
    with AuditLog.open(tmp_path / "other") as other:
        key = other.public_key
    assert check_export(folder, key)[-1].what == "checkpoint_refused"
    for text in ("", "[]", "{}", '{"file": 3}'):
        (folder / "manifest.json").write_text(text)
        with pytest.raises(InvalidRequest):
            check_export(folder, log.public_key)


def test_an_export_takes_two(open_log: OpenLog, tmp_path: Path) -> None:
    log = open_log()
    stock(log)
    reader = Actor(name="Rita", roles=frozenset({"reader"}), tenant=None)
    for one, two in ((ADA, ADA), (ADA, reader), (reader, ADA)):
        with pytest.raises(NotPermitted):
            log.desk(one, purpose="p").export.records(Query(), tmp_path / "x", second=two)
    assert not (tmp_path / "x").exists()


def test_without_content_nothing_private_leaves(open_log: OpenLog, tmp_path: Path) -> None:
    log = open_log()
    stock(log)
    log.desk(ADA, purpose="p").export.records(Query(), tmp_path / "x", second=MAX)
    for path in (tmp_path / "x").iterdir():
        assert b"cmd" not in path.read_bytes()


def test_statements_of_reasons(open_log: OpenLog) -> None:
    log = open_log()
    ids = stock(log)
    statements = log.desk(ADA, purpose="Article 24(5)").export.statements(TEMPLATE, second=MAX)
    assert [item["puid"] for item in statements] == [ids[3], ids[1]]
    for statement in statements:
        assert check_statement(statement) == []
        assert statement["category"] == "STATEMENT_CATEGORY_VIOLENCE"
        assert statement["category_addition"] == ["STATEMENT_CATEGORY_ILLEGAL_OR_HARMFUL_SPEECH"]
        assert statement["category_specification"] == ["KEYWORD_OTHER", "KEYWORD_HATE_SPEECH"]
        assert statement["category_specification_other"] == "violence"
        assert statement["automated_decision"] == "AUTOMATED_DECISION_FULLY"
        assert statement["territorial_scope"] == ["DE", "FR"]
    with pytest.raises(InvalidRequest):
        statement_of_reasons(log.records(ids[0]), TEMPLATE)
    too_long = StatementTemplate(reference="x" * 501, explanation="y")
    with pytest.raises(InvalidRequest, match="over 500"):
        statement_of_reasons(log.records(ids[1]), too_long)
    law = StatementTemplate(ground="illegal", reference="Article 1", explanation="y")
    assert check_statement(statement_of_reasons(log.records(ids[1]), law)) == []


GOOD: dict[str, Any] = {
    "decision_visibility": ["DECISION_VISIBILITY_CONTENT_REMOVED"],
    "decision_ground": "DECISION_GROUND_INCOMPATIBLE_CONTENT",
    "incompatible_content_ground": "terms",
    "incompatible_content_explanation": "because",
    "content_type": ["CONTENT_TYPE_IMAGE"],
    "category": "STATEMENT_CATEGORY_VIOLENCE",
    "content_date": "2026-11-23",
    "application_date": "2026-11-23",
    "decision_facts": "facts",
    "source_type": "SOURCE_VOLUNTARY",
    "automated_detection": "Yes",
    "automated_decision": "AUTOMATED_DECISION_FULLY",
    "puid": "a3f09c1122334450",
}


@pytest.mark.parametrize(
    "change",
    [{name: None} for name in GOOD]
    + [
        {"decision_visibility": ["DECISION_VISIBILITY_MADE_UP"]},
        {"decision_visibility": "DECISION_VISIBILITY_CONTENT_REMOVED"},
        {"decision_ground": "DECISION_GROUND_ILLEGAL_CONTENT"},
        {"decision_ground": "because"},
        {"content_type": []},
        {"content_type": ["CONTENT_TYPE_SMELL"]},
        {"category": "STATEMENT_CATEGORY_MADE_UP"},
        {"content_date": "23.11.2026"},
        {"application_date": "2019-01-01"},
        {"decision_facts": "x" * 5001},
        {"decision_facts": 7},
        {"automated_detection": "Maybe"},
        {"puid": "has a space"},
        {"puid": "x" * 501},
        {"territorial_scope": ["US"]},
        {"something": "else"},
        {"decision_visibility": ["DECISION_VISIBILITY_OTHER"]},
        {"decision_monetary": "DECISION_MONETARY_OTHER"},
        {"content_type": ["CONTENT_TYPE_IMAGE", "CONTENT_TYPE_OTHER"]},
        {"category_specification": ["KEYWORD_MADE_UP"]},
        {"category_addition": ["STATEMENT_CATEGORY_MADE_UP"]},
        {"content_language": "english"},
        {"content_id": {"EAN-13": "123"}},
        {"account_type": "ACCOUNT_TYPE_PUBLIC"},
        {"source_identity": "x" * 501},
    ],
    ids=str,
)
def test_what_the_database_would_refuse(change: dict[str, Any]) -> None:
    assert check_statement(GOOD) == []
    assert len(check_statement(GOOD | change)) >= 1
    # The schema says the same, where a schema can; null is what was not sent.
    validator = jsonschema_rs.validator_for(statement_schema())
    sent = {name: value for name, value in (GOOD | change).items() if value is not None}
    assert validator.is_valid(GOOD)
    assert validator.is_valid(sent) == (change == {"application_date": "2019-01-01"})


@pytest.mark.parametrize(
    "change",
    [
        {"application_date": "2038-01-02"},
        {"content_date": "2026-02-30"},
        {"end_date_account_restriction": "20261123"},
        {"decision_ground_reference_url": "javascript:alert(1)"},
    ],
    ids=str,
)
def test_days_and_addresses_are_real_ones(change: dict[str, Any]) -> None:
    assert len(check_statement(GOOD | change)) == 1


def test_the_whole_of_a_statement_may_be_sent() -> None:
    more = {
        "decision_visibility": ["DECISION_VISIBILITY_OTHER"],
        "decision_visibility_other": "never made",
        "decision_account": "DECISION_ACCOUNT_SUSPENDED",
        "account_type": "ACCOUNT_TYPE_PRIVATE",
        "category_addition": ["STATEMENT_CATEGORY_SELF_HARM"],
        "category_specification": ["KEYWORD_OTHER", "KEYWORD_SUICIDE"],
        "category_specification_other": "violence/graphic",
        "content_language": "EN",
        "content_id": {"EAN-13": "0123456789123"},
        "end_date_account_restriction": "2027-01-01",
        "decision_ground_reference_url": "https://example.com/terms",
        "incompatible_content_illegal": "No",
    }
    assert check_statement(GOOD | more) == []
    assert jsonschema_rs.validator_for(statement_schema()).is_valid(GOOD | more)


def test_each_of_our_categories_has_one_of_the_databases_with_its_keyword() -> None:
    from chopmark.audit.desk.dsa_schema import CHOSEN, KEYWORDS
    from chopmark.safety.categories import CATEGORIES

    assert set(CATEGORIES) - set(CHOSEN) <= {"obfuscated"}  # which says how, not what
    assert all(keyword in KEYWORDS[category] for category, keyword in CHOSEN.values())


def test_the_transparency_report_is_counted_again_from_published_files(
    open_log: OpenLog, tmp_path: Path
) -> None:
    log = open_log()
    ids = stock(log, 6)
    log.append(Event(kind="request.received", record_id=new_record_id(), tenant="default"))
    log.appeals.open(ids[1], statement="look again")
    desk = log.desk(ADA, purpose="appeals")
    desk.appeals.decide(ids[1], "overturned", rationale="a poster")
    report = desk.export.report()
    assert report["requests"] == {"received": 7, "completed": 3, "refused": 3}
    assert report["refusals"] == {
        "by_category": {"violence": 3, "hate": 3},
        "by_stage": {"input": 3},
        "by_automation": {"automated": 3},
    }
    assert report["appeals"] == {"opened": 1, "overturned": 1}
    log.proof.publish(tmp_path / "public")
    data = next((tmp_path / "public/tile/entries").rglob("*.p/*")).read_bytes()
    leaves = []
    while data:
        length = int.from_bytes(data[:2], "big")
        leaves.append(data[2 : 2 + length])
        data = data[2 + length :]
    again = transparency_report(leaves)
    assert {**again, "checkpoint": report["checkpoint"]} == report
    middle = log.get(4).time
    parts = [desk.export.report(until=middle), desk.export.report(since=middle)]
    assert sum(part["requests"]["received"] for part in parts) == 7  # type: ignore[call-overload,index,misc]

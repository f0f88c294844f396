"""CyberTipline drafts: two investigators, a hold, no picture, and nothing that is sent.

Only records that were sealed by hand: synthetic, and about nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from chopmark.audit import Event
from chopmark.audit.desk.cybertip_xml import CyberTipReporter, check_cybertip, cybertip_xml
from chopmark.errors import ConfigurationError, InvalidRequest
from chopmark.kit.ids import new_record_id
from tests.support.desk_house import DeskHouse, code_of, open_house
from tests.support.generator import StandIn

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from chopmark import Pipeline

REPORTER = (
    "company: Example Pictures\nemail: safety@example.com\nfirst_name: Sam\nlast_name: Doe\n"
    "service_url: https://pictures.example.com\n"
)


@pytest.fixture
def house(open_pipeline: Callable[..., Pipeline], tmp_path: Path) -> Iterator[DeskHouse]:
    (tmp_path / "reporter.yaml").write_text(REPORTER)
    pipeline = open_pipeline(
        generator=StandIn(),
        requests_per_minute=0,
        abuse="none",
        cybertip=tmp_path / "reporter.yaml",
    )
    with open_house(pipeline, "acme", "globex") as made:
        yield made


def _refused(house: DeskHouse, *, categories: list[str]) -> str:
    """Book a refusal as a guard's stub would have it; the prompt is a placeholder."""
    log, name = house.pipeline.parts.log, new_record_id()
    members: dict[str, Any] = {"record_id": name, "tenant": "acme", "subject": "acme:u-1"}
    log.append(Event(kind="request.received", private={"prompt": "PLACEHOLDER <&>"}, **members))
    refused: Any = {"stage": "input", "action": "block", "categories": categories}
    log.append(Event(kind="request.refused", public=refused, **members))
    return name


def test_two_investigators_release_a_draft_and_its_person_is_held(house: DeskHouse) -> None:
    record = _refused(house, categories=["sexual/minors"])
    ida, max_ = (house.sign_in(name, "acme", "investigator") for name in ("ida", "max"))
    rex, gus = (
        house.sign_in("rex", "acme", "reviewer"),
        house.sign_in("gus", "globex", "investigator"),
    )
    path = f"/api/v1/records/{record}/cybertip"
    assert code_of(gus.post(path, json={"reason": "x"})) == "record_not_found"
    assert code_of(rex.post(path, json={"reason": "x"})) == "missing_scope"
    asked = ida.post(path, json={"reason": "case 7", "prompt": True})
    assert asked.status_code == 200, asked.text
    agree = f"/api/v1/custody/{asked.json()['request_id']}/agree"
    assert code_of(ida.post(agree)) == "not_permitted"
    assert code_of(ida.get(path, params={"purpose": "look"})) == "record_not_found"
    done = max_.post(agree)
    assert done.status_code == 200, done.text
    public = done.json()["event"]["public"]
    fetched = ida.get(path, params={"purpose": "to submit it"})
    assert fetched.headers["content-type"] == "application/xml"
    assert check_cybertip(fetched.text) == []
    assert "<espIdentifier>u-1</espIdentifier>" in fetched.text
    assert "What was asked for: PLACEHOLDER &lt;&amp;&gt;" in fetched.text
    assert code_of(ida.get(path)) == "invalid_request"  # without a purpose
    assert code_of(rex.get(path, params={"purpose": "x"})) == "not_permitted"

    log = house.pipeline.parts.log
    (hold,) = log.custody.holds.standing()
    assert (hold.index, hold.subject, hold.until) == (public["hold"], "acme:u-1", public["until"])
    assert hold.by == "ida, max"
    assert "2258A" in hold.basis
    erasers = [house.sign_in(name, "acme", "eraser") for name in ("eva", "emil")]
    wish = erasers[0].post("/api/v1/erasures", json={"subject": "acme:u-1", "reason": "asked"})
    refused = erasers[1].post(f"/api/v1/custody/{wish.json()['request_id']}/agree")
    assert code_of(refused) == "erasure_refused"
    kinds = [entry.kind for entry in log.records(record)]
    assert kinds.count("cybertip.released") == 1
    assert "PLACEHOLDER" not in str(done.json())


def test_what_is_not_sealed_is_not_reported(house: DeskHouse) -> None:
    record = _refused(house, categories=["hate"])
    ida, max_ = (house.sign_in(name, "acme", "investigator") for name in ("ida", "max"))
    asked = ida.post(f"/api/v1/records/{record}/cybertip", json={"reason": "case 8"})
    agree = f"/api/v1/custody/{asked.json()['request_id']}/agree"
    assert code_of(max_.post(agree)) == "invalid_request"
    assert house.pipeline.parts.log.custody.holds.standing() == []


def test_the_form_of_a_draft_is_checked(house: DeskHouse) -> None:
    records = house.pipeline.parts.log.records(_refused(house, categories=["sexual/minors"]))
    reporter = CyberTipReporter(company="C", email="a@b.c", first_name="A", last_name="B")
    good = cybertip_xml(records, reporter, subject=None, prompt="a\x00b")
    assert "personOrUserReported" not in good
    assert "a\ufffdb" in good
    assert check_cybertip(good) == []
    swapped = good.replace("reporter>", "x>").replace("incidentSummary>", "reporter>")
    for wrong in (
        "",
        "<report/>",
        "<!DOCTYPE report><report/>",
        swapped,
        good.replace("Child Pornography", "Something"),
        good.replace(records[0].time, "yesterday"),
        good.replace("<reporter>", "<surprise/><reporter>"),
        good.replace("</incidentSummary>", "</incidentSummary><incidentSummary/>"),
    ):
        assert check_cybertip(wrong), wrong
    long = CyberTipReporter(company="C" * 101, email="a@b.c", first_name="A", last_name="B")
    with pytest.raises(InvalidRequest, match="espService is over 100"):
        cybertip_xml(records, long, subject="acme:u-1")


def test_a_reporter_is_whole(tmp_path: Path) -> None:
    from chopmark.audit.desk.cybertip_xml import load_reporter

    for number, text in enumerate(["[]", "company: x", REPORTER + "incident_type: y", "a: [", ""]):
        path = tmp_path / f"{number}.yaml"
        path.write_text(text)
        with pytest.raises(ConfigurationError):
            load_reporter(path)

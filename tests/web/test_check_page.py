"""The page that checks receipts and reports in the browser says what the code in Python says."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from chopmark.audit import AuditLog, Event, Receipt
from chopmark.audit.proof.signed_report import SignedReport, sign_report
from chopmark.errors import InvalidRequest
from chopmark.kit.ids import new_record_id
from chopmark.web.headers import CHECK_PAGE, check_page_policy
from scripts import check_page
from tests.web.conftest import NEEDS_CHROMIUM

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from playwright.sync_api import Browser, Page

    from tests.web.conftest import Site


@pytest.fixture(scope="module")
def statements(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """A receipt, a report with one, and the log's keys."""
    with AuditLog.open(tmp_path_factory.mktemp("check") / "home") as log:
        named = [new_record_id() for _ in range(11)]
        for record_id in named:
            log.append(
                Event(
                    kind="request.received",
                    tenant="default",
                    record_id=record_id,
                    public={"n": 1},
                    private={},
                )
            )
        receipt = log.proof.receipt(named[4])
        claims: dict[str, Any] = {
            "time": "2026-12-01T00:00:00Z",
            "file": {"sha256": "9f" * 32, "bytes": 3, "format": "png"},
            "report": {"summary": "Made here.", "record": {"record_id": named[4]}},
            "receipt": receipt.to_dict(),
        }
        other = {**claims, "report": {"record": {"record_id": named[5]}}}
        return {
            "receipt": receipt.to_dict(),
            "report": json.loads(sign_report(log.proof, claims)),
            "report of another": json.loads(sign_report(log.proof, other)),
            "keys": log.proof.public_keys.strip(),
        }


def receipts(good: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Give the receipt, and what somebody could have made of it."""
    yield "good", good
    yield "leaf", {**good, "leaf": good["leaf"].replace("received", "refused!")}
    yield "no leaf", {**good, "leaf": "{}"}
    yield "place", {**good, "index": good["index"] + 1}
    yield "outside", {**good, "index": 99}
    yield "short path", {**good, "proof": good["proof"][:-1]}
    yield "long path", {**good, "proof": [*good["proof"], good["proof"][0]]}
    yield "turned path", {**good, "proof": good["proof"][::-1]}
    yield "tree", {**good, "checkpoint": good["checkpoint"].replace("\n", "\n1", 1)}
    yield "no signature", {**good, "checkpoint": good["checkpoint"].rpartition("\u2014")[0]}
    yield "hidden", {**good, "hidden": "{}"}


def ask(page: Page, text: str, keys: str = "") -> list[str]:
    """Return the names of what the page finds wrong; `unreadable` where it reads nothing."""
    found: list[str] = page.evaluate(
        """async ([text, keys]) => {
            try { return (await check(text, keys, null)).problems.map((one) => one.what); }
            catch (error) { if (error instanceof Refused) return ["unreadable"]; throw error; }
        }""",
        [text, keys],
    )
    return found


def test_the_policy_fits_what_stands_in_the_page() -> None:
    text = check_page.PAGE.read_text(encoding="utf-8")
    assert f'content="{check_page.policy_of(text)}"' in text, "run scripts/check_page.py"
    assert check_page.policy_of(text) in check_page_policy()
    assert "http" not in text.replace("https://c2sp.org", "").replace("http-equiv", "").replace(
        "open it by https", ""
    )


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """The page, from the disk."""
    context = browser.new_context(offline=True)
    opened = context.new_page()
    opened.goto(check_page.PAGE.as_uri())
    yield opened
    context.close()


@NEEDS_CHROMIUM
def test_receipts_have_the_same_problems_as_in_python(
    page: Page, statements: dict[str, Any]
) -> None:
    keys = statements["keys"]
    for name, members in receipts(statements["receipt"]):
        text = json.dumps(members)
        for given in (keys, None):
            told = [one.what for one in Receipt.from_json(text).verify(given)]
            assert ask(page, text, given or "") == told, name
            assert (told == []) == (name == "good"), name
    other = keys.replace("chopmark.local/log", "another.example/log")
    assert ask(page, json.dumps(statements["receipt"]), other) == ["key_malformed"]


@NEEDS_CHROMIUM
def test_reports_have_the_same_problems_as_in_python(
    page: Page, statements: dict[str, Any]
) -> None:
    good = statements["report"]
    spelt = good["signature"][::-1]
    for name, members in {
        "good": good,
        "of another": statements["report of another"],
        "claims": {**good, "payload": statements["report of another"]["payload"]},
        "signature": {**good, "signature": spelt[1:] + spelt[:1]},
        "header": {**good, "protected": "eyJhbGciOiJub25lIn0"},
    }.items():
        text = json.dumps(members)
        try:
            told = [one.what for one in SignedReport.from_json(text).verify(statements["keys"])]
        except InvalidRequest:
            told = ["unreadable"]
        assert ask(page, text, statements["keys"]) == told, name
        assert (told == []) == (name == "good"), name
    compact = f"{good['protected']}.{good['payload']}.{good['signature']}"
    assert ask(page, compact) == []
    for text in ("", "{}", "[]", "eyJ.eyJ.x", "{", '{"format": 1, "leaf": 2}'):
        assert ask(page, text) == ["unreadable"], text


@NEEDS_CHROMIUM
@pytest.mark.parametrize("place", ["served", "saved"])
def test_a_person_checks_one_and_nothing_is_sent(
    site: Site, browser: Browser, statements: dict[str, Any], tmp_path: Path, place: str
) -> None:
    with site.client() as anybody:
        served = anybody.get(CHECK_PAGE)
    assert served.headers["content-security-policy"] == check_page_policy()
    saved, receipt = tmp_path / "check.html", tmp_path / "receipt.json"
    saved.write_bytes(served.content)
    receipt.write_text(json.dumps(statements["receipt"]))
    context = browser.new_context()
    page, asked = context.new_page(), list[str]()
    page.on("request", lambda request: asked.append(request.url))
    address = saved.as_uri() if place == "saved" else f"{site.url}{CHECK_PAGE}"
    page.goto(address)
    page.set_input_files("#statement", str(receipt))
    page.fill("#key", statements["keys"])
    page.click("button")
    page.get_by_role("heading", name="The receipt holds").wait_for()
    assert statements["receipt"]["leaf"].split('"record_id":"')[1][:16] in page.inner_text(
        "#answer"
    )
    receipt.write_text(json.dumps({**statements["receipt"], "index": 5}))
    page.set_input_files("#statement", str(receipt))
    page.click("button")
    page.get_by_role("heading", name="The receipt does not hold").wait_for()
    assert "not_included" in page.inner_text("#answer")
    assert [one for one in asked if not one.endswith("/favicon.ico")] == [address]
    context.close()

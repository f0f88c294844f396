"""The console as a browser without JavaScript works with it."""

from __future__ import annotations

import io
import json
import re
import zipfile
from typing import TYPE_CHECKING

from chopmark.web.shifts import Shifts
from tests.support.wait import until
from tests.web.conftest import BLOCKED

if TYPE_CHECKING:
    import httpx

    from tests.web.conftest import Site


def _make(site: Site, client: httpx.Client, prompt: str) -> httpx.Response:
    return client.post(
        "/studio", data={"csrf": site.csrf(client), "prompt": prompt, "n": "1", "seed": "3"}
    )


def _empty_queue(site: Site, reviewer: httpx.Client) -> None:
    """Decide on what earlier tests left, so that the next in the queue is known."""
    token = site.csrf(reviewer)
    while True:
        reviewer.get("/console")
        went = reviewer.post("/console/lease", data={"csrf": token, "queue": "review"})
        if "nothing" in went.headers["location"]:
            return
        name = went.headers["location"].rpartition("/")[2]
        _decide(site, reviewer, name)


def _decide(site: Site, client: httpx.Client, record_id: str) -> httpx.Response:
    fields = {"decision": "confirmed", "rationale": "It is harmless.", "queue": "review"}
    return client.post(
        f"/console/records/{record_id}/decide", data={"csrf": site.csrf(client), **fields}
    )


def test_a_reviewer_takes_looks_and_decides(site: Site) -> None:
    with site.client("cleo") as cleo, site.client("rita") as rita, site.client("rolf") as rolf:
        _empty_queue(site, rita)
        assert _make(site, cleo, "a doubtful red disc").status_code == 200
        assert "review" in rita.get("/console").text
        went = rita.post("/console/lease", data={"csrf": site.csrf(rita), "queue": "review"})
        path = went.headers["location"]
        record_id = path.rpartition("/")[2]
        seen = rita.get(path).text
        assert "<mark>doubtful</mark>" in seen
        assert "data-blurred" in seen
        assert "data-shown" not in seen
        # Nobody else has it, and nobody else sees what it holds.
        other = rolf.post("/console/lease", data={"csrf": site.csrf(rolf), "queue": "review"})
        assert other.headers["location"].endswith("nothing=1")
        assert "doubtful" not in rolf.get(path).text
        unblur = {"csrf": site.csrf(rolf), "name": f"{record_id[:-1]}1"}
        assert rolf.post(f"{path}/unblur", data=unblur).status_code == 403

        unblur["csrf"] = site.csrf(rita)
        assert "data-shown" in rita.post(f"{path}/unblur", data=unblur).text
        log = site.pipeline.parts.log
        booked = log.find(kind="access.unblurred", limit=1)[0]
        assert booked.public["of"] == record_id
        assert (log.private(booked.index) or {})["by"] == "rita"

        assert _decide(site, rolf, record_id).status_code == 403
        assert _decide(site, rita, record_id).status_code == 303
        assert log.records(record_id)[-1].public == {"decision": "confirmed"}


def test_an_appeal_is_decided_by_somebody_who_did_not_review(site: Site) -> None:
    with site.client("cleo") as cleo, site.client("rita") as rita:
        said = _make(site, cleo, f"{BLOCKED} on a sofa")
        decision = re.search(r'name="decision" value="([0-9a-f]{16})"', said.text)
        assert decision is not None
        fields = {"decision": decision[1], "statement": "<i>an etching</i>"}
        cleo.post("/studio/appeals", data={"csrf": site.csrf(cleo), **fields})
        token = site.csrf(rita)
        path = ""
        while not path.endswith(decision[1]):
            path = rita.post("/console/appeals/lease", data={"csrf": token}).headers["location"]
            assert "nothing" not in path
        seen = rita.get(path).text
        assert "&lt;i&gt;an etching&lt;/i&gt;" in seen
        done = rita.post(
            f"{path}/decide", data={"csrf": token, "outcome": "upheld", "rationale": "It is not."}
        )
        assert done.status_code == 303
        assert "upheld" in rita.get("/console/appeals").text


def test_an_investigator_says_why_before_content_is_shown(site: Site) -> None:
    with site.client("cleo") as cleo, site.client("ines") as ines:
        made = _make(site, cleo, "a red disc under a tree")
        record = re.search(r"<dt>record</dt><dd>([0-9a-f]{16})", made.text)
        assert record is not None
        path = f"/console/records/{record[1]}"
        assert "under a tree" not in ines.get(path).text
        assert "under a tree" not in ines.get(path, params={"why": " "}).text
        assert "under a tree" in ines.get(path, params={"why": "case 12"}).text
        # A link on another site's page gives no reason: it would book a look that nobody meant.
        foreign = {"sec-fetch-site": "cross-site"}
        assert "under a tree" not in ines.get(path, params={"why": "x"}, headers=foreign).text
    log = site.pipeline.parts.log
    looks = [log.private(entry.index) for entry in log.find(kind="access.viewed", limit=5)]
    assert any(look and look["purpose"] == "case 12" for look in looks)


def test_search_finds_words_and_keeps_queries(site: Site) -> None:
    with site.client("cleo") as cleo, site.client("rita") as rita:
        _make(site, cleo, "a zeppelin over the sea")
        found = rita.get("/console/search", params={"text": "zeppelin", "all": "1"}).text
        assert "1 record" in found
        kept = {"csrf": site.csrf(rita), "text": "zeppelin", "name": "airships <b>"}
        assert rita.post("/console/search/save", data=kept).status_code == 303
        page = rita.get("/console/search").text
        assert "airships &lt;b&gt;" in page
        assert rita.get("/console/search", params={"min_score": "x"}).status_code == 400


def test_an_export_takes_two_and_carries_its_proofs(site: Site) -> None:
    with site.client("emma") as emma, site.client("egon") as egon:
        asked = {
            "csrf": site.csrf(emma),
            "purpose": "a court",
            "form": "jsonl",
            "decision": "block",
        }
        assert emma.post("/console/exports", data=asked).status_code == 303
        page = egon.get("/console/exports").text
        agree = re.search(r'action="(/console/exports/[^/]+)/agree"', page)
        assert agree is not None
        own = emma.post(f"{agree[1]}/agree", data={"csrf": site.csrf(emma)})
        assert own.status_code == 403
        went = egon.post(f"{agree[1]}/agree", data={"csrf": site.csrf(egon)})
        assert went.status_code == 303
        until(lambda: emma.get(agree[1]).status_code == 200)
        file = emma.get(agree[1])
        with zipfile.ZipFile(io.BytesIO(file.content)) as archive:
            assert json.loads(archive.read("manifest.json"))["query"]["decision"] == "block"
    with site.client("zoe") as zoe:
        assert zoe.get(agree[1]).status_code == 404


def test_the_log_is_walked_on_request(site: Site) -> None:
    with site.client("auda") as auda:
        assert auda.get("/console").headers["location"] == "/console/log"
        assert "Last checkpoint" in auda.get("/console/log").text
        walked = auda.post("/console/log/verify", data={"csrf": site.csrf(auda)})
        assert "Nothing is wrong" in walked.text


def test_policy_hash_lists_and_charts_are_there(site: Site) -> None:
    with site.client("rita") as rita:
        assert "stricter" in rita.get("/console/policies").text
        assert "Hash lists" in rita.get("/console/hashes").text
        assert "Requests a day" in rita.get("/console/charts").text
        numbers = rita.get("/console/charts.json?days=7").json()
    assert len(numbers["days"]) == 7
    assert numbers["made"][-1] > 0


def test_a_break_is_due_after_work_without_a_pause() -> None:
    now = [0.0]
    shifts = Shifts(clock=lambda: now[0])
    for _ in range(11):
        shift = shifts.seen("rita", decided=1)
        now[0] += 300
    assert (shift.minutes, shift.decided) == (50, 11)
    now[0] += 900
    assert shifts.seen("rita").minutes == 0
    shifts.rested("rita")
    assert shifts.seen("rita").decided == 0


def test_a_seal_is_opened_by_two_investigators(site: Site) -> None:
    with (
        site.client("cleo") as cleo,
        site.client("ines") as ines,
        site.client("ivan") as ivan,
        site.client("zoe") as zoe,
    ):
        made = _make(site, cleo, "a disc behind a seal")
        record = re.search(r"<dt>record</dt><dd>([0-9a-f]{16})", made.text)
        assert record is not None
        path = f"/console/records/{record[1]}"
        mine, his = site.csrf(ines), site.csrf(ivan)
        assert ines.post(f"{path}/seal", data={"csrf": mine, "reason": "a case"}).status_code == 303
        opening = {"why": "a look"}
        assert ines.get(path, params=opening).status_code == 403
        asked = ines.post(f"{path}/unseal", data={"csrf": mine, "reason": "a <b>court</b>"})
        assert asked.status_code == 303
        assert ines.post(f"{path}/unseal/agree", data={"csrf": mine}).status_code == 403
        assert zoe.post(f"{path}/unseal/agree", data={"csrf": site.csrf(zoe)}).status_code == 404
        assert "a &lt;b&gt;court&lt;/b&gt;" in ivan.get(path).text
        assert ivan.post(f"{path}/unseal/agree", data={"csrf": his}).status_code == 303
        assert "behind a seal" in ines.get(path, params=opening).text
        assert ivan.post(f"{path}/unseal/agree", data={"csrf": his}).status_code == 404

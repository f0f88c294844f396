"""What is done at the console has its effect outside: the next request, verify, a search."""

from __future__ import annotations

import html
import io
import re
from typing import TYPE_CHECKING

from PIL import Image

from chopmark.errors import InvalidPolicy
from chopmark.service.service import Service
from tests.support.wait import until
from tests.web.conftest import BLOCKED

if TYPE_CHECKING:
    import httpx
    import pytest

    from tests.web.conftest import Site


def _make(site: Site, client: httpx.Client, prompt: str) -> httpx.Response:
    return client.post(
        "/studio", data={"csrf": site.csrf(client), "prompt": prompt, "n": "1", "seed": "3"}
    )


def _record(page: httpx.Response) -> str:
    found = re.search(r"<dt>record</dt><dd>([0-9a-f]{16})", page.text)
    assert found is not None, page.text
    return found[1]


def _picture(client: httpx.Client, page: httpx.Response) -> httpx.Response:
    found = re.search(r"/studio/pictures/[A-Za-z0-9_-]+/1", page.text)
    assert found is not None
    return client.get(found[0])


def test_a_picture_is_withdrawn_and_verify_says_so(site: Site) -> None:
    with site.client("cleo") as cleo, site.client("ines") as ines:
        page = _make(site, cleo, "a withdrawn disc")
        record, picture = _record(page), _picture(cleo, page)
        path, token = f"/console/records/{record}", site.csrf(ines)
        act = {"csrf": token, "action": "withdraw", "rationale": "it leaked"}
        went = ines.post(f"{path}/act", data=act)
        assert went.status_code == 303
        assert "are withdrawn" in ines.get(went.headers["location"]).text
        files = {"image": picture.content}
        said = cleo.post("/verify", data={"csrf": site.csrf(cleo)}, files=files).text
        assert "has been withdrawn since" in said
        assert _picture(cleo, page).status_code == 410
        act["action"] = "restore"
        assert ines.post(f"{path}/act", data=act).status_code == 303
        assert _picture(cleo, page).status_code == 200
        # From verify it is one click to the record, for whoever sits at the desk.
        seen = ines.post("/verify", data={"csrf": token}, files=files).text
        assert f'href="{path}"' in seen
        assert "/console/records" not in said


def test_a_person_is_suspended_on_their_page(site: Site) -> None:
    with site.client("carl") as carl, site.client("ines") as ines:
        _make(site, carl, "a disc of carl")
        assert "default:carl" in ines.get("/console/people", params={"q": "AR"}).text
        path, token = "/console/people/default:carl", site.csrf(ines)
        assert "a disc of carl" not in ines.get(path).text
        assert "a disc of carl" in ines.get(path, params={"why": "case 3"}).text
        act = {"csrf": token, "action": "suspend", "days": "7", "rationale": "again <b>"}
        assert ines.post(f"{path}/act", data=act).status_code == 303
        page = ines.get(path).text
        assert "again &lt;b&gt;" in page
        assert "person_suspended" in _make(site, carl, "a disc").text
        act |= {"action": "reinstate", "days": ""}
        assert ines.post(f"{path}/act", data=act).status_code == 303
        assert _make(site, carl, "a disc").status_code == 200
    with site.client("zoe") as zoe:
        assert zoe.get(path).status_code == 404


def test_a_leaked_copy_is_found_by_upload(site: Site) -> None:
    with site.client("cleo") as cleo, site.client("rita") as rita:
        page = _make(site, cleo, "a leaked disc")
        with Image.open(io.BytesIO(_picture(cleo, page).content)) as picture:
            out = io.BytesIO()
            picture.convert("RGB").save(out, "JPEG", quality=92)
        sent = {"csrf": site.csrf(rita)}
        found = rita.post("/console/search/by-image", data=sent, files={"image": out.getvalue()})
        assert found.status_code == 200, found.text
        assert _record(page) in found.text
        assert "the mark" in found.text
        by_id = rita.get("/console/search", params={"text": _record(page), "all": "1"}).text
        assert "1 record" in by_id


def test_an_overturned_refusal_and_notes_and_golden_cases(site: Site) -> None:
    with site.client("cleo") as cleo, site.client("ines") as ines:
        said = _make(site, cleo, f"{BLOCKED} on a bench").text
        decision = re.search(r'name="decision" value="([0-9a-f]{16})"', said)
        assert decision is not None
        path, token = f"/console/records/{decision[1]}", site.csrf(ines)
        note = {"csrf": token, "text": "look at the <i>bench</i>"}
        assert ines.post(f"{path}/comment", data=note).status_code == 303
        opened = ines.get(path, params={"why": "case 4"}).text
        assert "look at the &lt;i&gt;bench&lt;/i&gt;" in opened
        assert opened.count("Of the prompt") == 1
        assert "Of the input picture" not in opened  # there was none
        case = {"csrf": token, "action": "block", "rationale": "plain"}
        assert ines.post(f"{path}/golden", data=case).status_code == 303
        golden = site.pipeline.parts.home / "policies" / "default.golden.yaml"
        assert "on a bench" in golden.read_text()


def test_several_are_decided_at_once(site: Site) -> None:
    with site.client("cleo") as cleo, site.client("rita") as rita:
        names = [_record(_make(site, cleo, f"a doubtful disc {n}")) for n in range(2)]
        token = site.csrf(rita)
        until(lambda: all(name in rita.get("/console/queues/review").text for name in names))
        asked = {"csrf": token, "decision": "confirmed", "rationale": "harmless", "records": names}
        asked["queue"] = "review"
        went = rita.post("/console/bulk", data=asked)
        assert "2 decided" in rita.get(went.headers["location"]).text
        log = site.pipeline.parts.log
        assert [log.records(name)[-1].public["decision"] for name in names] == ["confirmed"] * 2
        # Or on the first so many that are free, whichever they are.
        last = _record(_make(site, cleo, "a doubtful disc at last"))
        until(lambda: last in rita.get("/console/queues/review").text)
        asked |= {"records": [], "first": "1000", "decision": "overturned"}
        assert rita.post("/console/bulk", data=asked).status_code == 303
        assert log.records(last)[-1].public["decision"] == "overturned"
        assert "Nothing in it is free" in rita.get("/console/queues/review").text


def test_the_other_pages_are_there(site: Site) -> None:
    with site.client("ines") as ines, site.client("emma") as emma:
        assert "No address is notified" in ines.get("/console/webhooks").text
        add = {"csrf": site.csrf(ines), "url": "https://127.0.0.1/x", "events": "*"}
        refused = ines.post("/console/webhooks", data=add)
        assert refused.status_code == 400
        assert "not a public address" in refused.text
        assert "Refusals by category" in emma.get("/console/report").text
        assert emma.get("/console/report", params={"since": "x"}).status_code == 400


def test_a_person_is_erased_by_two_and_a_hold_forbids_it(site: Site) -> None:
    for name in ("erna", "erik"):
        site.people.add(name, roles=["eraser"], tenant=None)
    with site.client("carl") as carl, site.client("erna") as erna, site.client("erik") as erik:
        _make(site, carl, "a disc to be forgotten")
        mine, his = site.csrf(erna), site.csrf(erik)
        assert erna.get("/console").headers["location"] == "/console/custody"
        held = {"csrf": mine, "subject": "default:carl", "reason": "a <b>case</b>", "days": "30"}
        assert erna.post("/console/custody/holds", data=held).status_code == 303
        page = erik.get("/console/custody").text
        assert "a &lt;b&gt;case&lt;/b&gt;" in page
        ask = {"csrf": mine, "subject": "default:carl", "reason": "they asked"}
        assert erna.post("/console/custody/erasures", data=ask).status_code == 303

        def agree(what: str) -> httpx.Response:
            page = erik.get("/console/custody").text
            rows = [row for row in page.split("<tr>") if what in row and "/agree" in row]
            path = re.search(r'action="(/console/custody/[0-9a-f]{32}/agree)"', rows[-1])
            assert path is not None
            assert erna.post(path[1], data={"csrf": mine}).status_code == 403
            return erik.post(path[1], data={"csrf": his})

        assert agree("they asked").status_code == 409  # the hold
        hold = re.search(r"/console/custody/holds/([0-9]+)/release", page)
        assert hold is not None
        end = {"csrf": mine, "reason": "the case is over"}
        erna.post(f"/console/custody/holds/{hold[1]}/release", data=end)
        assert agree("the case is over").status_code == 303
        erna.post("/console/custody/erasures", data=ask)
        assert agree("they asked").status_code == 303
    with site.client("ines") as ines:
        found = ines.get("/console/search", params={"text": "forgotten", "all": "1"}).text
        assert "0 record" in found
        assert ines.get("/console/people/default:carl").status_code == 404


def test_a_policy_is_tried_proposed_and_put_into_force_by_another(site: Site) -> None:
    from chopmark.safety.policy.load import policy_path

    text = policy_path("strict").read_text(encoding="utf-8")
    with site.client("ines") as ines, site.client("ivan") as ivan:
        mine, his = site.csrf(ines), site.csrf(ivan)
        tried = ines.post("/console/policies/try", data={"csrf": mine, "yaml": text})
        assert "would have decided" in tried.text
        assert "stricter" in tried.text
        wrong = ines.post("/console/policies/try", data={"csrf": mine, "yaml": "name: x"})
        assert 'role="alert"' in wrong.text
        before = site.pipeline.parts.policies.active().digest()
        asked = {"csrf": mine, "yaml": text, "reason": "an audit <b>"}
        assert ines.post("/console/policies/propose", data=asked).status_code == 303
        page = ivan.get("/console/policies").text
        assert "an audit &lt;b&gt;" in page
        agree = re.search(r'action="(/console/policies/proposals/[0-9a-f]{32}/agree)"', page)
        assert agree is not None
        assert ines.post(agree[1], data={"csrf": mine}).status_code == 403
        assert ivan.post(agree[1], data={"csrf": his}).status_code == 303
        assert "strict" in ivan.get("/console/policies").text
        log = site.pipeline.parts.log
        booked = log.find(kind="policy.adopted", limit=1)[0]
        private = log.private(booked.index) or {}
        assert (private["by"], private["second"]) == ("ines", "ivan")
        # Back to what was in force before, by the same way.
        first = re.findall(r'name="yaml" value="([^"]+)"', ivan.get("/console/policies").text)
        back = {"csrf": his, "yaml": html.unescape(first[-1]), "reason": "back"}
        assert ivan.post("/console/policies/propose", data=back).status_code == 303
        page = ines.get("/console/policies").text
        agree = re.search(r'action="(/console/policies/proposals/[0-9a-f]{32}/agree)"', page)
        assert agree is not None
        assert ines.post(agree[1], data={"csrf": mine}).status_code == 303
        now = log.find(kind="policy.adopted", limit=1)[0]
        assert now.public["policy"] == before


def test_an_override_that_cannot_be_used_is_said_to_be_one(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object, **_options: object) -> None:
        raise InvalidPolicy("default.yaml: not YAML", hint="mind the indent")

    monkeypatch.setattr(Service, "policy_of", broken)
    with site.client("ines") as ines:
        page = ines.get("/console/policies")
    assert page.status_code == 200
    assert "default.yaml: not YAML" in page.text
    assert "every request of default fails" in page.text

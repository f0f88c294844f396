"""A day at the desk in Chromium: nine jobs, their clicks counted, their effects seen from outside.

"Outside" is whoever has no part in the console: the next request with an API key, ``verify``, a
receiver of webhooks. One server and one browser serve all nine.
"""

from __future__ import annotations

import io
import json
import random
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from PIL import Image

from chopmark.safety import load_policy
from chopmark.tenancy import AccessStore
from tests.support.generator import StandIn
from tests.support.http import Loopback, Reply
from tests.support.wait import HANG_S, until
from tests.web.conftest import DOUBTFUL, FORBIDDEN, NEEDS_CHROMIUM, open_site

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import FilePayload, Page

    from chopmark import Pipeline
    from chopmark.generation import GenerationJob
    from tests.web.conftest import Site, Visits

pytestmark = NEEDS_CHROMIUM
_RULES = """
- {queue: review, decision: review}
- {queue: refusals, decision: block, escalate_to: policy}
"""
_SIDE = 384


def _draw(job: GenerationJob, seed: int) -> Image.Image:
    """Draw a soft ground and some bars, which depend on the prompt: no two prompts look alike."""
    dice = random.Random(f"{job.prompt} {seed}")  # noqa: S311  a picture, no secret
    small = Image.new("RGB", (12, 12))
    small.putdata([tuple(dice.randrange(40, 216) for _ in range(3)) for _ in range(144)])
    picture = small.resize((job.width, job.height), Image.Resampling.BICUBIC)
    for _ in range(12):
        left, top = dice.randrange(job.width), dice.randrange(job.height)
        picture.paste((dice.randrange(256), 90, 40), (left, top, left + 60, top + 20))
    return picture


@pytest.fixture(scope="module")
def site(shared_pipeline: Pipeline, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("day")
    (folder / "rules.yaml").write_text(_RULES)
    drawing = StandIn(_draw, default_size=(_SIDE, _SIDE), max_size=512, ignores=frozenset())
    with open_site(
        shared_pipeline,
        folder,
        generator=drawing,
        review_rules=folder / "rules.yaml",
        webhooks_private=True,
    ) as opened:
        for name, tenant, roles in (
            ("erna", "default", ("eraser", "reader")),
            ("erik", "default", ("eraser",)),
            ("olga", None, ("operator", "investigator")),
        ):
            opened.people.add(name, roles=roles, tenant=tenant)
        yield opened


@dataclass(kw_only=True)
class Outside:
    """Whoever only has an API key, and whoever is told by webhook."""

    client: httpx.Client
    told: Loopback
    seen: int = field(default=0)

    def ask(self, prompt: str, *, user: str = "somebody", seed: int = 5) -> httpx.Response:
        body = {"prompt": prompt, "user": user, "seed": seed, "size": f"{_SIDE}x{_SIDE}"}
        return self.client.post("/v1/images/generations", json=body)

    def made(self, prompt: str, **options: Any) -> tuple[str, bytes]:
        """Have a picture made; return its record and its file."""
        import base64

        answer = self.ask(prompt, **options)
        assert answer.status_code == 200, answer.text[:500]
        data = base64.b64decode(answer.json()["data"][0]["b64_json"])
        return answer.headers["x-record-id"], data

    def refused(self, prompt: str, **options: Any) -> str:
        """Be refused; return the decision."""
        error = self.ask(prompt, **options).json()["error"]
        assert error["code"] == "moderation_blocked", error
        return str(error["decision_id"])

    def verified(self, data: bytes) -> dict[str, Any]:
        said: dict[str, Any] = self.client.post("/api/v1/verify", files={"image": data}).json()
        return said

    def hears(self, kind: str, **data: Any) -> None:
        """Wait until a webhook told of this."""

        def heard() -> bool:
            messages = [json.loads(asked.body) for asked in self.told.asked]
            return any(
                one["type"] == kind and data.items() <= one["data"].items() for one in messages
            )

        until(heard)


@pytest.fixture(scope="module")
def outside(site: Site) -> Iterator[Outside]:
    with AccessStore.open(site.pipeline.parts.home) as store:
        key = store.create_key("default").text
    headers = {"authorization": f"Bearer {key}"}
    with (
        httpx.Client(base_url=site.url, headers=headers, timeout=HANG_S, trust_env=False) as client,
        Loopback(lambda _: Reply(204)) as told,
        site.client("ines") as ines,
    ):
        hook = {"csrf": site.csrf(ines), "url": f"{told.url}/told", "events": "*"}
        assert ines.post("/console/webhooks", data=hook).status_code == 200
        yield Outside(client=client, told=told)


def _file(name: str, data: bytes) -> FilePayload:
    return {"name": name, "mimeType": "image/*", "buffer": data}


class Hand:
    """Somebody's mouse: what they click is counted; typing and choosing from a list are not."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.clicks = 0

    def click(self, what: str) -> None:
        self.clicks += 1
        self.page.click(what)

    def reads(self, text: str) -> None:
        """Wait until the page says so."""
        self.page.get_by_text(text).first.wait_for()


def _waits(site: Site, queue: str, record: str) -> None:
    """Wait until a record has come to a queue: a thread of the server follows the log."""
    with site.client("rita") as rita:
        until(lambda: record in rita.get(f"/console/queues/{queue}").text)


def test_1_review_one(visit: Visits, site: Site, outside: Outside) -> None:
    record, _ = outside.made(f"a {DOUBTFUL} harbour at dusk")
    _waits(site, "review", record)
    rita = Hand(visit("rita"))
    rita.page.goto("/console")
    rita.click("[data-key=n]")
    rita.reads("harbour at dusk")
    rita.click("text=The guards were right")
    rita.page.select_option("#preset", index=1)
    rita.click("[data-key=s]")
    rita.reads("Nothing is waiting there now.")
    assert rita.clicks == 3
    outside.hears("decision.made", record_id=record, decision="confirmed")
    rita.reads("1 confirmed")  # their own day


def test_2_escalate_to_somebody_who_sees_the_note(
    visit: Visits, site: Site, outside: Outside
) -> None:
    record = outside.refused(f"a {FORBIDDEN} on a banner")
    _waits(site, "refusals", record)
    rita, rolf = Hand(visit("rita")), Hand(visit("rolf"))
    rita.page.goto("/console")
    rita.click("[data-key=n]")
    rita.click("text=Somebody else must look")
    rita.page.fill("#rationale", "Is this a trade mark?")
    rita.click("[data-key=s]")
    rita.reads("Nothing is waiting there now.")
    outside.hears("review.queued", record_id=record, queue="policy", escalated=True)
    rolf.page.goto("/console")
    rolf.click("tr:has-text('policy') button")
    rolf.reads("Is this a trade mark?")
    rolf.click("text=The guards were right")
    rolf.page.fill("#rationale", "It is.")
    rolf.click("[data-key=s]")
    outside.hears("decision.made", record_id=record, decision="confirmed")
    assert (rita.clicks, rolf.clicks) == (3, 3)


def test_3_overturn_and_the_next_request_passes(
    visit: Visits, site: Site, outside: Outside
) -> None:
    prompt = f"a {FORBIDDEN} in a crossword"
    record = outside.refused(prompt)
    _waits(site, "refusals", record)
    rita = Hand(visit("rita"))
    rita.page.goto("/console")
    rita.click("[data-key=n]")
    rita.reads("crossword")
    rita.click("text=The guards were wrong")
    rita.page.select_option("#days", "30")
    rita.page.select_option("#preset", index=1)
    rita.click("[data-key=s]")
    rita.reads("Nothing is waiting there now.")
    assert rita.clicks == 3
    assert outside.ask(prompt).status_code == 200
    outside.refused(f"{prompt} of today")  # no other prompt is let through
    outside.hears("decision.made", record_id=record, decision="overturned")


def test_4_an_appeal_is_decided_and_told(visit: Visits, site: Site, outside: Outside) -> None:
    prompt = f"a {FORBIDDEN} in a dictionary"
    decision = outside.refused(prompt)
    asked = {"decision_id": decision, "statement": "It is a dictionary."}
    ticket = outside.client.post("/api/v1/appeals", json=asked).json()["ticket"]
    outside.hears("appeal.opened", record_id=decision)
    rolf = Hand(visit("rolf"))
    rolf.page.goto("/console/appeals")
    rolf.click("[data-key=n]")
    rolf.reads("It is a dictionary.")
    rolf.click("text=The refusal was wrong")
    rolf.page.select_option("#days", "1")
    rolf.page.fill("#rationale", "A dictionary may.")
    rolf.click("[data-key=s]")
    rolf.reads("No appeal is open.")
    assert rolf.clicks == 3
    outside.hears("appeal.decided", record_id=decision, outcome="overturned")
    state = outside.client.get(f"/api/v1/appeals/{decision}", params={"ticket": ticket}).json()
    assert state["outcome"] == "overturned"
    assert outside.ask(prompt).status_code == 200


def test_5_one_persons_requests_with_their_prompts(
    visit: Visits, site: Site, outside: Outside
) -> None:
    for thing in ("a kite over dunes", "a lamp in fog"):
        outside.made(thing, user="petra")
    flagged, _ = outside.made(f"a {DOUBTFUL} kite", user="petra")
    ines = Hand(visit("ines"))
    ines.page.goto("/console/search")
    ines.page.fill("#text", "kit*")
    ines.page.fill("#why", "case 5")
    ines.page.press("#why", "Enter")
    ines.reads("a kite over dunes")  # in the results already
    ines.click("text=default:petra >> nth=0")
    ines.reads("a lamp in fog")
    assert ines.clicks == 1
    assert ines.page.locator("table.found tbody tr").count() == 3
    # The reason goes along: one click more, and a record is open.
    ines.click(f"text={flagged}")
    ines.reads("What the guards said")
    # Each look is an entry: the results, the person, the record; then what is beside the record.
    looks = site.pipeline.parts.log.find(kind="access.viewed", limit=4)
    assert sum(flagged in str(look.public["of"]) for look in looks) == 3


def test_6_a_leaked_copy_is_found_and_withdrawn(
    visit: Visits, site: Site, outside: Outside
) -> None:
    record, data = outside.made("a leaked map of an island")
    out = io.BytesIO()
    with Image.open(io.BytesIO(data)) as picture:
        cut = picture.convert("RGB").crop((0, 0, _SIDE * 3 // 4, _SIDE))
    cut.save(out, "JPEG", quality=70)
    ines = Hand(visit("ines"))
    ines.page.goto("/console/search")
    copy = _file("leak.jpg", out.getvalue())
    ines.page.set_input_files("#image", copy)  # the one upload; it is sent at once
    ines.reads("the mark")
    assert ines.page.locator("tbody tr").first.inner_text().startswith(record)
    assert ines.clicks == 0
    assert len(data) > 2**16  # no small one: the whole file is taken as well
    ines.page.go_back()
    ines.page.set_input_files("#image", _file("leak.png", data))
    ines.reads("the mark")
    ines.click(f"text={record}")
    ines.page.fill("#act-why", "It leaked.")
    ines.click("form[action$='/act'] button")
    ines.reads("are withdrawn")
    assert outside.verified(out.getvalue())["record"]["withdrawn"] is True
    outside.hears("output.withdrawn", record_id=record)
    # From verify it is one click to the record, for whoever may see it.
    ines.page.goto("/verify")
    ines.page.set_input_files("#image", copy)
    ines.click(f"a[href='/console/records/{record}']")
    ines.reads("Withdrawn since")


def test_7_a_policy_is_changed_by_two_who_saw_what_it_changes(
    visit: Visits, site: Site, outside: Outside
) -> None:
    import yaml

    prompt = "two boxers in a ring, one is knocked out"
    outside.made(prompt)
    log = site.pipeline.parts.log
    score = _score_of(site, prompt, "violence")
    policy = load_policy("default").model_dump(mode="json")
    policy["name"] = "no-boxing"
    policy["categories"]["violence"]["prompt"] = {"review": score / 2, "block": score * 0.99}
    ines, ivan = Hand(visit("ines")), Hand(visit("ivan"))
    ines.page.goto("/console/policies")
    assert "violence:" in ines.page.input_value("#yaml")  # it begins as what is in force
    ines.page.fill("#yaml", yaml.safe_dump(policy))
    ines.click("text=Check and compare")
    ines.reads("would have decided")
    assert "allow → block" in ines.page.inner_text("main")
    ines.page.fill("#reason", "Boxing is over.")
    ines.click("button:text-is('Propose it')")
    assert outside.ask(prompt, seed=6).status_code == 200  # nobody agreed yet
    ivan.page.goto("/console/policies")
    ivan.reads("Boxing is over.")
    ivan.click("text=Agree: put it into force")
    ivan.reads("no-boxing")
    assert (ines.clicks, ivan.clicks) == (2, 1)
    outside.refused(prompt, seed=7)
    assert log.find(kind="policy.adopted", limit=1)[0].public["policy"] != policy
    # And back.
    ivan.click("tr:has-text('in force before') >> text=Propose it again")
    ines.page.goto("/console/policies")
    ines.click("text=Agree: put it into force")
    assert outside.ask(prompt, seed=8).status_code == 200


def _score_of(site: Site, prompt: str, category: str) -> float:
    with site.client("ines") as ines:
        asked = {"text": f'"{prompt}"', "limit": 1}
        token = {"x-csrf-token": site.csrf(ines)}
        found = ines.post("/api/v1/search", json=asked, headers=token).json()
    return float(found["hits"][0]["categories"][category])


def test_8_a_picture_on_a_hash_list_is_not_made_again(
    visit: Visits, site: Site, outside: Outside
) -> None:
    prompt = "a pattern that nobody shall have"
    record, _ = outside.made(prompt)
    olga = Hand(visit("olga"))
    olga.page.goto(f"/console/records/{record}")
    olga.click("text=Put its pictures on a hash list")
    olga.click("form[action$='/list'] button")
    olga.reads("1 new on the list, which has 1 now.")
    assert olga.clicks == 2
    until(lambda: outside.ask(prompt, seed=5).status_code == 400)  # lists are read when they change
    assert outside.ask("another pattern", seed=5).status_code == 200
    # By upload: a picture that was made elsewhere.
    out = io.BytesIO()
    _draw_for("a foreign picture").save(out, "PNG")
    olga.page.goto("/console/hashes")
    olga.page.set_input_files("#image", _file("foreign.png", out.getvalue()))
    olga.click("text=Add it")
    olga.reads("new on the list, which has")
    until(lambda: outside.ask("a foreign picture", seed=5).status_code == 400)


def _draw_for(prompt: str) -> Image.Image:
    from types import SimpleNamespace

    return _draw(SimpleNamespace(prompt=prompt, width=_SIDE, height=_SIDE), 5)  # type: ignore[arg-type]


def test_9_a_person_is_erased_by_two(visit: Visits, site: Site, outside: Outside) -> None:
    _, data = outside.made("a sundial to be forgotten", user="frieda")
    erna, erik = Hand(visit("erna")), Hand(visit("erik"))
    erna.page.goto("/console/people/default:frieda")
    erna.click("text=Hold or erase")
    erna.page.fill("#erase-why", "She asked for it.")
    erna.click("text=Ask for it")
    erna.reads("Another eraser must agree.")
    erik.page.goto("/console")
    erik.reads("She asked for it.")
    erik.click("button:text-is('Agree')")
    erik.reads("Done: entry")
    assert (erna.clicks, erik.clicks) == (2, 1)
    with site.client("ines") as ines:
        assert ines.get("/console/people/default:frieda").status_code == 404
        found = ines.get("/console/search", params={"text": "sundial", "all": "1"}).text
        assert "0 records" in found
    # What was made is known still: the entry and its proof stay, without the person.
    assert outside.verified(data)["verdict"] == "made_here"

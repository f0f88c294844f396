"""The studio's live view, by its stream and as people use it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from chopmark.service import sittings
from chopmark.site import create_site
from chopmark.tenancy import AccessStore, Tenant
from tests.support.generator import StandIn
from tests.support.server import serve
from tests.support.wait import until
from tests.web.conftest import BLOCKED, FORBIDDEN, NEEDS_CHROMIUM

if TYPE_CHECKING:
    from collections.abc import Callable

    import pytest

    from chopmark import Pipeline
    from tests.web.conftest import Site, Visits


def _events(text: str) -> list[str]:
    return [line[7:] for line in text.splitlines() if line.startswith("event: ")]


def _ends(site: Site) -> list[Any]:
    found = site.pipeline.parts.log.find(kind="request.completed", limit=50)
    return [one.public for one in found if "wishes" in one.public]


def test_wishes_of_a_sitting_are_streams_and_leave_one_record(site: Site) -> None:
    with site.client("cleo") as cleo, site.client("carl") as carl:
        wish = {"csrf": site.csrf(cleo), "sitting": "sitting-0001", "seed": "3"}
        first = cleo.post("/studio/live", data={**wish, "prompt": "a red disc"})
        assert first.headers["content-type"].startswith("text/event-stream")
        assert _events(first.text) == ["heard", "look", "look", "look", "done"]
        refused = cleo.post("/studio/live", data={**wish, "prompt": f"a {FORBIDDEN}"})
        assert _events(refused.text) == ["heard", "refused"]
        assert "look" in _events(
            cleo.post("/studio/live", data={**wish, "prompt": "a disc", "size": "256x256"}).text
        )
        # Another person's sitting of the same name is another one, which this end leaves alone.
        other = {**wish, "csrf": site.csrf(carl), "prompt": "a disc"}
        assert "done" in _events(carl.post("/studio/live", data=other).text)
        before = len(_ends(site))
        assert cleo.post("/studio/live/end", data=wish).status_code == 204
        assert cleo.post("/studio/live/end", data=wish).status_code == 204
        assert len(_ends(site)) == before + 1
        assert (_ends(site)[0]["wishes"], _ends(site)[0]["refused"]) == (3, 1)
        carl.post("/studio/live/end", data={**wish, "csrf": site.csrf(carl)})

        for broken in ({"sitting": "x"}, {"seed": "one"}, {"size": "1"}):
            answer = cleo.post("/studio/live", data={**wish, "prompt": "a disc", **broken})
            assert answer.status_code == 400
        assert _events(cleo.post("/studio/live", data={**wish, "prompt": " "}).text)[-1] == "failed"
        assert cleo.post("/studio/live", data={"sitting": "sitting-0001"}).status_code == 403
    with site.client() as nobody:
        assert nobody.post("/studio/live", data={"sitting": "sitting-0001"}).status_code != 200


def test_shown_wishes_take_from_the_day_and_a_sitting_left_alone_ends(
    open_pipeline: Callable[..., Pipeline], monkeypatch: pytest.MonkeyPatch
) -> None:
    pipeline = open_pipeline(generator=StandIn())
    with AccessStore.open(pipeline.settings.home) as store:
        store.set_tenant(Tenant(name="default", images_per_day=2))
    log = pipeline.parts.log
    with (
        serve(pipeline, create_site, shutdown_s=5) as live,
        live.client() as client,
    ):

        def wish(prompt: str) -> str:
            asked = {"sitting": "sitting-0001", "prompt": prompt}
            return _events(client.post("/studio/live", data=asked).text)[-1]

        ends = [wish("a disc"), wish(BLOCKED), wish("a red disc"), wish("a blue disc")]
        assert ends == ["done", "refused", "done", "failed"]
        assert log.find(kind="request.completed") == []
        # No wish is cut short by it, and after the last one it comes at once.
        monkeypatch.setattr(sittings, "IDLE_S", 0.0)
        assert wish("a green disc") == "failed"
        until(lambda: len(log.find(kind="request.completed")) == 1)
        assert client.post("/studio/live", data={"sitting": "sitting-0002", "prompt": ""}).text
    # The server's stop ended what was open.
    assert len(log.find(kind="request.received")) == len(log.find(kind="request.completed"))


@NEEDS_CHROMIUM
def test_the_picture_follows_what_is_typed_and_is_kept(visit: Visits, site: Site) -> None:
    before = len(_ends(site))
    page = visit("cleo")
    page.goto("/studio")
    page.check("#live-on")
    page.type("#prompt", "a red disc", delay=20)
    page.wait_for_selector('#live-look[alt="Preview of: a red disc"]')
    assert page.is_enabled("#live-keep")
    page.fill("#prompt", f"a {FORBIDDEN}")
    page.wait_for_selector("#live-look.old")
    assert page.inner_text("#live-say").startswith("Not shown:")
    page.fill("#prompt", "a blue disc")
    page.wait_for_selector("#live-look:not(.old)")
    seed = int(page.get_attribute("#live-look", "data-seed") or "")
    page.focus("#live-seed")
    page.keyboard.press("ArrowRight")
    page.wait_for_selector(f'#live-look[data-seed="{seed + 1}"]')
    page.click("#live-keep")
    page.wait_for_selector(".made")
    assert f"seed {seed + 1}" in page.inner_text(".pick .cap")
    page.uncheck("#live-on")
    until(lambda: len(_ends(site)) == before + 1)
    assert _ends(site)[0]["refused"] == 1

"""The studio's live view, by its stream and as people use it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.support.wait import until
from tests.web.conftest import FORBIDDEN, NEEDS_CHROMIUM

if TYPE_CHECKING:
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


@NEEDS_CHROMIUM
def test_the_picture_follows_what_is_typed_and_is_kept(visit: Visits, site: Site) -> None:
    before = len(_ends(site))
    page = visit("cleo")
    page.goto("/studio")
    page.check("#live-on")
    page.type("#prompt", "a red disc", delay=20)
    page.wait_for_function("document.getElementById('live-look').alt === 'Preview of: a red disc'")
    assert page.is_enabled("#live-keep")
    page.fill("#prompt", f"a {FORBIDDEN}")
    page.wait_for_selector("#live-look.old")
    assert page.inner_text("#live-say").startswith("Not shown:")
    page.fill("#prompt", "a blue disc")
    page.wait_for_selector("#live-look:not(.old)")
    was = page.get_attribute("#live-look", "src")
    page.focus("#live-seed")
    page.keyboard.press("ArrowRight")
    page.wait_for_function(
        "was => document.getElementById('live-look').getAttribute('src') !== was", arg=was
    )
    page.click("#live-keep")
    page.wait_for_selector(".made")
    seed = page.input_value("#seed")
    assert f"seed {seed}" in page.inner_text(".pick .cap")
    page.uncheck("#live-on")
    until(lambda: len(_ends(site)) == before + 1)
    assert _ends(site)[0]["refused"] == 1

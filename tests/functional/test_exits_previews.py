"""What previews cost, and what a caller who hangs up after them has got for it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from chopmark import Pipeline
from tests.support.generator import StandIn
from tests.support.server import serve
from tests.support.wait import until


@pytest.fixture
def three_a_day(open_pipeline: Callable[..., Pipeline]) -> Any:
    from chopmark.tenancy import AccessStore, Tenant

    pipeline = open_pipeline(generator=StandIn())
    with AccessStore.open(pipeline.settings.home) as store:
        store.set_tenant(Tenant(name="acme", images_per_day=3))
        key = store.create_key("acme", scopes=["generate"]).text
    with serve(pipeline, shutdown_s=5) as live:
        yield live, live.client(headers={"authorization": f"Bearer {key}"})


def _watch(live: Any, client: Any, *, most: int, seed: int) -> int:
    """Ask for three pictures with previews, hang up after ``most`` of them; return the status."""
    body = {"prompt": "a red apple", "n": 3, "stream": True, "partial_images": 3, "seed": seed}
    seen = 0
    with client.stream("POST", "/v1/images/generations", json=body) as answer:
        if answer.status_code != 200:
            return int(answer.status_code)
        for line in answer.iter_lines():
            seen += line.startswith("data:") and "partial_image" in line
            if seen == most:
                break
    until(lambda: not live.service.working)
    return 200


def test_previews_that_left_are_taken_from_the_day(three_a_day: Any) -> None:
    live, client = three_a_day
    with client:
        live.generator.pause_after = 9  # the last step of the last picture waits
        statuses = [_watch(live, client, most=9, seed=10 * turn) for turn in range(3)]
    assert statuses == [200, 429, 429]
    log = live.pipeline.parts.log
    assert len(log.find(kind="request.previewed", limit=100)) == 9
    # A stream's pictures are a record each: two left, and the third was shown but never ended. Its
    # end is logged once the generator has noticed that nobody waits.
    until(lambda: log.find(kind="request.failed"))
    ends = [*log.find(kind="request.completed"), *log.find(kind="request.failed")]
    assert [(end.kind, end.public["previews"]) for end in ends] == [
        ("request.completed", 3), ("request.completed", 3), ("request.failed", 3)
    ]  # fmt: skip


def test_only_the_pictures_that_were_shown_are_taken(three_a_day: Any) -> None:
    live, client = three_a_day
    with client:
        live.generator.pause_after = 1
        assert _watch(live, client, most=1, seed=1) == 200
        live.generator.pause_after = None
        live.generator.gate.set()
        one = {"prompt": "a red apple", "n": 2}
        assert client.post("/v1/images/generations", json=one).status_code == 200
        assert client.post("/v1/images/generations", json=one).status_code == 429

"""Streams, read by the official client."""

from __future__ import annotations

import base64
import io
import json
import threading
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import httpx
import openai
import pytest
from PIL import Image

from chopmark.pipeline.inspect import examine
from chopmark.safety.testcard import draw_test_card
from tests.support.generator import UNSAFE_OUTPUT, StandIn, draw_disc
from tests.support.wait import HANG_S, until

if TYPE_CHECKING:
    from collections.abc import Iterator

BLOCKED = "explicit photo of a naked woman having sex"


@pytest.fixture
def client(live: Any) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{live.url}/v1", api_key="unused", max_retries=0) as client:
        yield client


def test_final_pictures_come_as_completed_events(live: Any, client: openai.OpenAI) -> None:
    with client.images.generate(
        prompt="a red apple", n=2, stream=True, partial_images=2, quality="low", user="u1"
    ) as events:
        got = list(events)
    names = ["image_generation.partial_image", "image_generation.completed"] * 2
    assert [event.type for event in got] == names  # two steps leave room for one look each
    first: Any = got[1]
    assert first.size == "384x384"
    assert first.output_format == "png"
    assert first.quality == "low"
    assert first.safety_identifier == "u1"
    # 384x384 pixels in tokens of 1,024, and ten characters in tokens of four.
    assert (first.usage.output_tokens, first.usage.input_tokens) == (144, 3)
    report = examine(live.pipeline.parts, base64.b64decode(first.b64_json))
    assert report.verdict == "made_here"
    provenance = first.model_extra["provenance"]
    assert provenance["output"]["index"] == 1
    last = live.pipeline.parts.log.records(provenance["record_id"])[-1]
    assert last.kind == "request.completed"


def test_each_picture_leaves_as_soon_as_it_is_done(live: Any, client: openai.OpenAI) -> None:
    records: list[str] = []
    with client.images.generate(
        prompt="a red apple", n=10, stream=True, extra_body={"seed": 7}
    ) as events:
        for number, event in enumerate(events):
            # The next one was not begun before this one was booked and on its way.
            assert len(live.generator.jobs) <= number + 2
            provenance: Any = (event.model_extra or {})["provenance"]
            records.append(provenance["record_id"])
    assert len(set(records)) == 10
    assert [job.seed for job in live.generator.jobs] == list(range(7, 17))


def test_one_picture_that_may_not_leave_costs_the_others_nothing(live_server: Any) -> None:
    def draw(job: Any, seed: int) -> Image.Image:
        asked = replace(job, prompt=UNSAFE_OUTPUT) if seed in {8, 9} else job
        return draw_disc(asked, seed)

    with (
        live_server(generator=StandIn(draw)) as live,
        openai.OpenAI(base_url=f"{live.url}/v1", api_key="unused", max_retries=0) as client,
        client.images.generate(
            prompt="a red apple", n=5, stream=True, extra_body={"seed": 7}
        ) as events,
    ):
        assert [event.type for event in events] == ["image_generation.completed"] * 3
        # After two of them the rest is one request, and would be one refusal.
        assert [job.n for job in live.generator.jobs] == [1, 1, 1, 2]


def test_an_edit_streams_too(client: openai.OpenAI, make_picture: Any, to_bytes: Any) -> None:
    with client.images.edit(
        image=("a.png", to_bytes(make_picture())), prompt="a green apple", stream=True
    ) as events:
        assert [event.type for event in events] == ["image_edit.completed"]


def test_what_is_refused_before_generation_is_a_plain_error(
    live: Any, client: openai.OpenAI
) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        client.images.generate(prompt=BLOCKED, stream=True)
    assert caught.value.code == "moderation_blocked"
    assert live.generator.jobs == []


def test_what_is_refused_after_it_is_an_error_event(live: Any, client: openai.OpenAI) -> None:
    with (
        client.images.generate(prompt="a test card", stream=True) as events,
        pytest.raises(openai.APIError) as caught,
    ):
        list(events)
    assert caught.value.code == "moderation_blocked"
    body: Any = caught.value.body
    assert body["moderation_details"]["moderation_stage"] == "output"
    assert live.pipeline.parts.log.records(body["decision_id"])[-1].kind == "request.refused"


def test_only_official_names_are_on_the_wire(live: Any) -> None:
    with httpx.stream(
        "POST",
        f"{live.url}/v1/images/generations",
        json={"prompt": "a red apple", "stream": True},
        trust_env=False,
        timeout=60,
    ) as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        lines = [line for line in answer.iter_lines() if line]
    assert [line for line in lines if line.startswith("event:")] == [
        "event: image_generation.completed"
    ]
    (data,) = [line for line in lines if line.startswith("data:")]
    assert json.loads(data[5:])["type"] == "image_generation.completed"


def test_a_long_wait_has_heartbeats(live: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("chopmark.service.watch.HEARTBEAT_S", 0.1)
    live.generator.gate.clear()
    lines: list[str] = []
    with httpx.stream(
        "POST",
        f"{live.url}/v1/images/generations",
        json={"prompt": "a red apple", "stream": True},
        trust_env=False,
        timeout=HANG_S,
    ) as answer:
        for line in answer.iter_lines():
            lines.append(line)
            if lines.count(": still at work") == 3:
                live.generator.gate.set()
    assert lines.count(": still at work") >= 3
    with openai.OpenAI(base_url=f"{live.url}/v1", api_key="unused") as client:
        assert len(list(client.images.generate(prompt="a red apple", stream=True))) == 1


def test_a_reader_who_leaves_the_stream_stops_the_generator(live: Any) -> None:
    live.generator.gate.clear()
    with httpx.stream(
        "POST",
        f"{live.url}/v1/images/generations",
        json={"prompt": "a red apple", "n": 10, "stream": True},
        trust_env=False,
        timeout=60,
    ) as answer:
        assert answer.status_code == 200
    until(lambda: live.generator.cancelled)


def test_a_replayed_stream_is_the_same_bytes(live: Any) -> None:
    got, before = [], set(threading.enumerate())
    for _ in range(2):
        answer = httpx.post(
            f"{live.url}/v1/images/generations",
            json={"prompt": "a red apple", "stream": True},
            headers={"idempotency-key": "stream"},
            trust_env=False,
            timeout=60,
        )
        got.append(answer.content)
    assert got[0] == got[1]
    assert len(live.generator.jobs) == 1
    # The server's own pools may grow as they like.
    kept = ("AnyIO", "chopmark-stage")
    new = [one.name for one in {*threading.enumerate()} - before if not one.name.startswith(kept)]
    assert len(new) < 10, new


def test_previews_come_first_and_say_what_they_are(client: openai.OpenAI) -> None:
    with client.images.generate(prompt="a red apple", stream=True, partial_images=3) as events:
        got: list[Any] = list(events)
    assert [event.type for event in got] == [
        *["image_generation.partial_image"] * 3,
        "image_generation.completed",
    ]
    assert [event.partial_image_index for event in got[:3]] == [0, 1, 2]
    for event in got[:3]:
        picture = Image.open(io.BytesIO(base64.b64decode(event.b64_json)))
        assert picture.format == "PNG"
        assert max(picture.size) <= 96
        assert event.size == "{}x{}".format(*picture.size)
        assert event.model_extra["provenance"]["preview"] is True
        assert event.model_extra["provenance"]["verdict"]["action"] == "allow"


def test_no_previews_without_being_asked_for(live: Any, client: openai.OpenAI) -> None:
    list(client.images.generate(prompt="a red apple", stream=True))
    client.images.generate(prompt="a red apple", partial_images=3)
    assert [job.drafts for job in live.generator.jobs] == [0, 0]


def test_an_edit_has_previews_too(client: openai.OpenAI, make_picture: Any, to_bytes: Any) -> None:
    with client.images.edit(
        image=("a.png", to_bytes(make_picture())),
        prompt="a green apple",
        stream=True,
        partial_images=1,
    ) as events:
        assert [event.type for event in events] == [
            "image_edit.partial_image",
            "image_edit.completed",
        ]


def test_a_preview_that_is_blocked_ends_the_stream(live: Any, client: openai.OpenAI) -> None:
    live.generator.drafted = draw_test_card().convert("RGB").resize((256, 256))
    got: list[Any] = []
    with (
        client.images.generate(prompt="a red apple", stream=True, partial_images=2) as events,
        pytest.raises(openai.APIError) as caught,
    ):
        got.extend(events)
    assert got == []
    body: Any = caught.value.body
    assert body["code"] == "moderation_blocked"
    assert live.pipeline.parts.log.records(body["decision_id"])[-1].kind == "request.refused"


def test_a_picture_that_is_blocked_after_its_previews_is_the_error_event(
    live: Any, client: openai.OpenAI, make_picture: Any
) -> None:
    live.generator.drafted = make_picture()
    got: list[Any] = []
    with (
        client.images.generate(prompt="a test card", stream=True, partial_images=2) as events,
        pytest.raises(openai.APIError) as caught,
    ):
        got.extend(events)
    assert [event.type for event in got] == ["image_generation.partial_image"] * 2
    assert caught.value.code == "moderation_blocked"
    assert caught.value.body["moderation_details"]["moderation_stage"] == "output"  # type: ignore[index]

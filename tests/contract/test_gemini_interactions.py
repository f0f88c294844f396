"""Interactions of the official `google-genai` package: whole, in events, and by their names."""

from __future__ import annotations

import base64
import io
from typing import TYPE_CHECKING, Any

import pytest
from google import genai
from google.genai import types
from google.genai._gaos.errors import GenAiDefaultError
from google.genai._interactions.core.error import BadRequestError, NotFoundError
from PIL import Image

from tests.support.wait import HANG_S

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

BLOCKED = "explicit photo of a naked woman having sex"
MODEL = "gemini-3-pro-image"
REFUSED = "urn:chopmark:error:moderation_blocked"


@pytest.fixture
def client(live: Any) -> Iterator[genai.Client]:
    options = types.HttpOptions(base_url=live.url)
    with genai.Client(api_key="unused", http_options=options) as client:
        yield client


def _size(data: str) -> tuple[int, int]:
    with Image.open(io.BytesIO(base64.b64decode(data))) as opened:
        return opened.size


@pytest.mark.filterwarnings("ignore:warning. .. DEPRECATED")  # `image_config`, which is still sent
def test_interactions_go_on_from_one_another(
    live: Any, client: genai.Client, make_picture: Any, to_bytes: Callable[..., bytes]
) -> None:
    shape: Any = {"type": "image", "aspect_ratio": "16:9", "image_size": "512"}
    first: Any = client.interactions.create(
        model=MODEL, input="a red apple", response_format=shape, generation_config={"seed": 7}
    )
    assert first.status == "completed"
    width, height = _size(first.steps[-1].content[0].data)
    assert width > height
    older: Any = client.interactions.create(
        model=MODEL,
        input="a red apple",
        response_modalities=["image"],
        generation_config={"image_config": {"aspect_ratio": "9:16", "image_size": "512"}},
        background=True,  # is answered at once all the same
    )
    width, height = _size(older.steps[-1].content[0].data)
    assert width < height
    next_: Any = client.interactions.create(
        model=MODEL, input="make it blue", previous_interaction_id=first.id
    )
    sent = base64.b64encode(to_bytes(make_picture())).decode()
    edited: Any = client.interactions.create(
        model=MODEL,
        input=[
            {"type": "text", "text": "a lake"},
            {"type": "image", "data": sent, "mime_type": "image/png"},
        ],
        store=False,
    )
    assert [next_.status, edited.status] == ["completed", "completed"]
    assert [bool(job.images) for job in live.generator.jobs] == [False, False, True, True]
    assert live.generator.jobs[0].seed == 7
    for wrong in (
        {"input": BLOCKED},
        {"input": "a", "previous_interaction_id": "int_none"},
        {"input": "a", "previous_interaction_id": edited.id},
        {"input": [{"type": "video", "data": "x"}]},
        {"input": "a", "response_modalities": ["text"]},
        {"input": "a", "cached_content": "cachedContents/1"},
    ):
        with live.client() as http:
            said = http.post("/v1beta/interactions", json={"model": MODEL, **wrong})
        assert said.status_code == 400, wrong
        assert said.json()["error"]["status"] == "INVALID_ARGUMENT"
    assert len(live.generator.jobs) == 4


def test_an_interaction_comes_in_events(
    client: genai.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("chopmark.service.watch.QUEUED_S", HANG_S)
    with pytest.raises(BadRequestError) as caught:
        client.interactions.create(model=MODEL, input=BLOCKED, stream=True)
    body: Any = caught.value.body
    assert body["error"]["code"] == REFUSED
    assert not isinstance(caught.value.__cause__, GenAiDefaultError)  # the client read it
    # What keeps a silent connection alive comes at once, and often: the client must not read it.
    monkeypatch.setattr("chopmark.service.watch.QUEUED_S", 0.001)
    monkeypatch.setattr("chopmark.service.watch.HEARTBEAT_S", 0.001)
    told: Any = client.interactions.create(
        model=MODEL,
        input="a red apple",
        stream=True,
        generation_config={"thinking_summaries": "auto", "seed": 7},
    )
    events = list(told)
    kinds = [one.event_type for one in events]
    thought, shown = (["step.start", "step.delta", "step.stop"] for _ in range(2))
    looks = (len(kinds) - 2 - len(shown)) // len(thought)
    assert looks > 0
    assert kinds == [
        "interaction.created",
        *thought * looks,
        *shown,
        "interaction.completed",
    ]
    steps = [one.step.type for one in events if one.event_type == "step.start"]
    assert steps == ["thought"] * looks + ["model_output"]
    preview = events[2].delta
    assert preview.type == "thought_summary"
    assert max(_size(preview.content.data)) <= 96
    made = events[-3].delta
    assert (made.type, made.mime_type, _size(made.data)) == ("image", "image/png", (384, 384))
    done = events[-1].interaction
    assert (done.id, done.status) == (events[0].interaction.id, "completed")
    assert done.usage.total_output_tokens == 384 * 384 // 1024
    whole: Any = client.interactions.create(
        model=MODEL, input="make it blue", previous_interaction_id=done.id, stream=True
    )
    assert [one.event_type for one in whole] == ["interaction.created", *shown, kinds[-1]]
    refused: Any = client.interactions.create(model=MODEL, input=BLOCKED, stream=True)
    last = list(refused)[-1]  # the stream had begun by then
    assert (last.event_type, last.error.code) == ("error", REFUSED)


def test_an_interaction_is_fetched_again_until_it_is_let_go(client: genai.Client) -> None:
    first: Any = client.interactions.create(model=MODEL, input="a red apple")
    again: Any = client.interactions.get(first.id)
    assert again.status == "completed"
    assert again.steps[-1].content[0].data == first.steps[-1].content[0].data
    with pytest.raises(BadRequestError):
        client.interactions.cancel(first.id)
    client.interactions.delete(first.id)
    with pytest.raises(NotFoundError):
        client.interactions.get(first.id)

"""The official `google-genai` package, unmodified, against a live server."""

from __future__ import annotations

import base64
import io
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from google import genai
from google.genai import errors, types
from PIL import Image

from chopmark.pipeline.inspect import examine
from chopmark.safety.testcard import draw_test_card
from chopmark.tenancy import AccessStore, Tenant

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

BLOCKED = "explicit photo of a naked woman having sex"


@pytest.fixture
def make_client(live: Any) -> Iterator[Callable[..., genai.Client]]:
    made = []

    def make(key: str = "unused", version: str | None = None) -> genai.Client:
        options = types.HttpOptions(base_url=live.url, api_version=version)
        made.append(genai.Client(api_key=key, http_options=options))
        return made[-1]

    yield make
    for client in made:
        client.close()


@pytest.fixture
def client(make_client: Callable[..., genai.Client]) -> genai.Client:
    return make_client()


def _pictures(said: Any) -> list[bytes]:
    return [
        part.inline_data.data
        for candidate in said.candidates or []
        for part in (candidate.content.parts if candidate.content else [])
    ]


def _png(picture: Image.Image) -> bytes:
    out = io.BytesIO()
    picture.save(out, "PNG")
    return out.getvalue()


@pytest.mark.parametrize("version", [None, "v1", "v1beta"])
def test_generate(live: Any, make_client: Any, version: str | None) -> None:
    said = make_client(version=version).models.generate_content(
        model="drawing",
        contents="a red apple",
        config=types.GenerateContentConfig(
            response_modalities=["TEXT", "IMAGE"],
            candidate_count=2,
            seed=7,
            image_config=types.ImageConfig(aspect_ratio="3:2"),
        ),
    )
    assert [candidate.finish_reason for candidate in said.candidates] == ["STOP", "STOP"]
    pictures = _pictures(said)
    assert len(pictures) == 2
    assert Image.open(io.BytesIO(pictures[0])).size == (464, 320)
    assert examine(live.pipeline.parts, pictures[0]).verdict == "made_here"
    assert live.generator.jobs[-1].seed == 7
    assert said.response_id is not None
    record = live.pipeline.parts.log.records(said.response_id)
    assert record[-1].kind == "request.completed"
    assert said.model_version == "drawing@1"
    ratings = said.candidates[0].safety_ratings or []
    assert [(r.category, r.blocked) for r in ratings] == [
        (types.HarmCategory.HARM_CATEGORY_SEXUALLY_EXPLICIT, False)
    ]


def test_change_a_picture(live: Any, client: genai.Client, make_picture: Any) -> None:
    picture = types.Part.from_bytes(data=_png(make_picture()), mime_type="image/png")
    parts = [types.Part(text="a green apple"), picture]
    said = client.models.generate_content(model="drawing", contents=types.Content(parts=parts))
    assert len(_pictures(said)) == 1
    (job,) = live.generator.jobs
    assert (job.operation, job.prompt) == ("edit", "a green apple")


def test_several_pictures_are_joined_in_their_order(
    live: Any, client: genai.Client, make_picture: Any
) -> None:
    parts = [
        types.Part.from_bytes(data=_png(make_picture(96, 64, seed=1)), mime_type="image/png"),
        types.Part(text="put both together"),
        types.Part.from_bytes(data=_png(make_picture(64, 96, seed=2)), mime_type="image/png"),
    ]
    said = client.models.generate_content(model="drawing", contents=types.Content(parts=parts))
    (job,) = live.generator.jobs
    assert [one.size for one in job.images] == [(96, 64), (64, 96)]
    report = examine(live.pipeline.parts, _pictures(said)[0])
    assert [one.relationship for one in report.ingredients] == ["parentOf", "inputTo"]
    with pytest.raises(errors.ClientError) as caught:
        client.models.generate_content(
            model="drawing", contents=types.Content(parts=[*parts, *parts])
        )
    assert caught.value.code == 400
    assert len(live.generator.jobs) == 1


def test_a_blocked_prompt_has_no_candidates(live: Any, client: genai.Client) -> None:
    said = client.models.generate_content(model="drawing", contents=BLOCKED)
    assert not said.candidates
    feedback = said.prompt_feedback
    assert feedback is not None
    assert feedback.block_reason == types.BlockedReason.SAFETY
    blocked = [r.category for r in feedback.safety_ratings or [] if r.blocked]
    assert blocked == [types.HarmCategory.HARM_CATEGORY_SEXUALLY_EXPLICIT]
    assert live.generator.jobs == []
    assert live.pipeline.parts.log.records(said.response_id)[-1].kind == "request.refused"


def test_a_blocked_output_has_no_content(live: Any, client: genai.Client) -> None:
    said = client.models.generate_content(model="drawing", contents="a test card")
    (candidate,) = said.candidates or []
    assert candidate.finish_reason == types.FinishReason.IMAGE_SAFETY
    assert candidate.content is None
    assert candidate.safety_ratings
    assert _pictures(said) == []


def test_an_unsafe_input_picture_is_blocked(client: genai.Client) -> None:
    card = types.Part.from_bytes(data=_png(draw_test_card()), mime_type="image/png")
    parts = [types.Part(text="make it blue"), card]
    said = client.models.generate_content(model="drawing", contents=types.Content(parts=parts))
    assert said.prompt_feedback is not None
    assert said.prompt_feedback.block_reason == types.BlockedReason.SAFETY


def test_a_stream_has_one_chunk_a_picture(client: genai.Client) -> None:
    chunks = list(
        client.models.generate_content_stream(
            model="drawing",
            contents="a red apple",
            config=types.GenerateContentConfig(candidate_count=3),
        )
    )
    assert [len(_pictures(chunk)) for chunk in chunks] == [1, 1, 1]
    assert len({chunk.response_id for chunk in chunks}) == 1
    (blocked,) = client.models.generate_content_stream(model="drawing", contents=BLOCKED)
    assert blocked.prompt_feedback is not None


async def test_the_asynchronous_client(client: genai.Client) -> None:
    said = await client.aio.models.generate_content(model="drawing", contents="a red apple")
    assert len(_pictures(said)) == 1
    chunks = [
        chunk
        async for chunk in await client.aio.models.generate_content_stream(
            model="drawing", contents="a red apple"
        )
    ]
    assert len(chunks) == 1
    await client.aio.aclose()


def test_settings_tighten_the_policy_and_never_loosen_it(live: Any, client: genai.Client) -> None:
    def ask(threshold: str) -> Any:
        setting = types.SafetySetting(
            category=types.HarmCategory.HARM_CATEGORY_SEXUALLY_EXPLICIT,
            threshold=types.HarmBlockThreshold(threshold),
        )
        return client.models.generate_content(
            model="drawing",
            contents=BLOCKED,
            config=types.GenerateContentConfig(safety_settings=[setting]),
        )

    def policy(said: Any) -> str:
        return str(live.pipeline.parts.log.records(said.response_id)[1].public["policy"])

    ours = live.pipeline.parts.policies.active().digest()
    for loose in ("BLOCK_NONE", "OFF", "HARM_BLOCK_THRESHOLD_UNSPECIFIED"):
        said = ask(loose)
        assert said.prompt_feedback.block_reason == types.BlockedReason.SAFETY
        assert policy(said) == ours
    assert policy(ask("BLOCK_LOW_AND_ABOVE")) != ours


@pytest.mark.parametrize(
    ("model", "contents", "config", "code", "status"),
    [
        ("another", "a", {}, 404, "NOT_FOUND"),
        ("drawing", "", {}, 400, "INVALID_ARGUMENT"),
        ("drawing", "a", {"response_modalities": ["TEXT"]}, 400, "INVALID_ARGUMENT"),
        ("drawing", "a", {"candidate_count": 99}, 400, "INVALID_ARGUMENT"),
        ("drawing", "a", {"seed": -5}, 400, "INVALID_ARGUMENT"),
        ("drawing", "a", {"image_config": {"aspect_ratio": "wide"}}, 400, "INVALID_ARGUMENT"),
        ("drawing", "a", {"image_config": {"image_size": "9K"}}, 400, "INVALID_ARGUMENT"),
        ("drawing", "a", {"image_config": {"image_size": "4K"}}, 400, "INVALID_ARGUMENT"),
    ],
)
def test_errors_are_googles(
    client: genai.Client, model: str, contents: str, config: Any, code: int, status: str
) -> None:
    with pytest.raises(errors.ClientError) as caught:
        client.models.generate_content(
            model=model,
            contents=types.Part(text=contents),
            config=types.GenerateContentConfig(**config),
        )
    assert caught.value.code == code
    assert caught.value.status == status
    assert caught.value.message


def test_keys_scopes_and_rates(live: Any, make_client: Any) -> None:
    with AccessStore.open(live.pipeline.parts.home) as store:
        store.set_tenant(Tenant(name="acme", requests_per_minute=2))
        good = store.create_key("acme", scopes=("generate",)).text
        poor = store.create_key("default", scopes=("read",)).text

    def ask(key: str) -> Any:
        return make_client(key).models.generate_content(model="drawing", contents="a red apple")

    for key, code, status in (("wrong", 401, "UNAUTHENTICATED"), (poor, 403, "PERMISSION_DENIED")):
        with pytest.raises(errors.ClientError) as caught:
            ask(key)
        assert (caught.value.code, caught.value.status) == (code, status)
    assert _pictures(ask(good))
    assert _pictures(ask(good))
    with pytest.raises(errors.ClientError) as caught:
        ask(good)
    assert caught.value.status == "RESOURCE_EXHAUSTED"
    details = caught.value.details["error"]["details"]
    assert details[1]["retryDelay"].endswith("s")


def test_models(make_client: Any) -> None:
    for version in ("v1", "v1beta"):
        client = make_client(version=version)
        listed = [one.name for one in client.models.list()]
        assert listed[0] == "models/drawing"
        assert "models/gemini-3-pro-image" in listed
        assert client.models.get(model="drawing").name == "models/drawing"


def test_both_spellings_in_one_body(live: Any, make_picture: Any) -> None:
    picture = base64.urlsafe_b64encode(_png(make_picture())).decode()
    parts = [{"text": "a"}, {"inlineData": {"mime_type": "image/png", "data": picture}}]
    answer = httpx.post(
        f"{live.url}/v1/models/drawing:generateContent",
        json={
            "contents": [{"role": "user", "parts": parts}],
            "generation_config": {"candidateCount": 1},
            "safetySettings": [],
        },
        trust_env=False,
        timeout=60,
    )
    assert answer.status_code == 200, answer.text
    assert live.generator.jobs[-1].operation == "edit"


def test_without_sse_a_stream_is_one_array(live: Any) -> None:
    answer = httpx.post(
        f"{live.url}/v1beta/models/drawing:streamGenerateContent",
        json={"contents": [{"parts": [{"text": "a red apple"}]}]},
        trust_env=False,
        timeout=60,
    )
    assert [len(chunk["candidates"]) for chunk in answer.json()] == [1]


def _thinking() -> types.GenerateContentConfig:
    return types.GenerateContentConfig(
        thinking_config=types.ThinkingConfig(include_thoughts=True), seed=7
    )


def _stream(client: genai.Client, contents: str) -> list[Any]:
    return list(
        client.models.generate_content_stream(
            model="drawing", contents=contents, config=_thinking()
        )
    )


def test_previews_are_thoughts(
    live: Any, client: genai.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    # What keeps a silent connection alive comes at once, and often: the client must not read it.
    monkeypatch.setattr("chopmark.service.watch.QUEUED_S", 0.001)
    monkeypatch.setattr("chopmark.service.watch.HEARTBEAT_S", 0.001)
    got = _stream(client, "a red apple")
    parts = [chunk.candidates[0].content.parts[0] for chunk in got]
    assert [part.thought for part in parts] == [True, True, True, None]
    assert max(Image.open(io.BytesIO(parts[0].inline_data.data)).size) <= 256
    assert examine(live.pipeline.parts, parts[3].inline_data.data).verdict == "made_here"
    assert got[3].response_id


def test_what_is_blocked_after_previews_has_no_picture(
    live: Any, client: genai.Client, make_picture: Any
) -> None:
    live.generator.drafted = make_picture()
    *previews, last = _stream(client, "a test card")
    assert len(previews) == 3
    assert last.candidates[0].finish_reason == types.FinishReason.IMAGE_SAFETY
    assert last.candidates[0].content is None


def test_what_fails_after_previews_is_an_error(live: Any, client: genai.Client) -> None:
    live.pipeline.parts.use(credentials=None)
    with pytest.raises(errors.ServerError) as caught:
        _stream(client, "a red apple")
    assert caught.value.code == 500


def test_a_blocked_prompt_streams_no_thoughts(live: Any, client: genai.Client) -> None:
    (only,) = _stream(client, BLOCKED)
    assert only.prompt_feedback.block_reason == types.BlockedReason.SAFETY
    assert live.generator.jobs == []


def test_what_is_not_served_is_said(live: Any) -> None:
    with live.client() as http:
        unknown = http.post("/v1beta/models/drawing:batchGenerateContent", json={})
        assert unknown.status_code == unknown.json()["error"]["code"] == 404
        assert unknown.json()["error"]["status"] == "NOT_FOUND"
        assert ":batchGenerateContent is not served here" in unknown.json()["error"]["message"]
        wrong = http.put("/v1beta/models/drawing:generateContent")
        assert (wrong.status_code, wrong.headers["allow"]) == (405, "POST")
        other = http.put("/v1/files")
        assert (other.status_code, other.headers["allow"]) == (405, "GET, POST")
        assert "it takes GET, POST" in other.json()["detail"]

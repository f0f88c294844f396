"""Conversations of the official `google-genai` package: the last words, of the newest picture."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from google import genai
from google.genai import errors, types
from PIL import Image

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

BLOCKED = "explicit photo of a naked woman having sex"


@pytest.fixture
def client(live: Any) -> Iterator[genai.Client]:
    options = types.HttpOptions(base_url=live.url)
    with genai.Client(api_key="unused", http_options=options) as client:
        yield client


@pytest.fixture
def encode(to_bytes: Callable[..., bytes], make_picture: Any) -> Callable[..., types.Part]:
    """Returns a maker of parts with pictures."""

    def make(width: int = 96, height: int = 96, seed: int = 0) -> types.Part:
        data = to_bytes(make_picture(width, height, seed=seed))
        return types.Part.from_bytes(data=data, mime_type="image/png")

    return make


def _picture(said: Any) -> bytes:
    parts = said.candidates[0].content.parts
    found = [one.inline_data.data for one in parts if one.inline_data and not one.thought]
    assert len(found) == 1
    return bytes(found[0])


def _same(one: bytes, shown: Image.Image) -> bool:
    with Image.open(io.BytesIO(one)) as picture:
        return picture.convert("RGB").tobytes() == shown.convert("RGB").tobytes()


def test_each_turn_changes_the_newest_picture_by_its_own_words(
    live: Any, client: genai.Client
) -> None:
    chat = client.chats.create(model="gemini-3-pro-image")
    words = ("a red apple", "make it blue", "now make it green", "and now pink")
    made = [_picture(chat.send_message(one)) for one in words]
    jobs = live.generator.jobs
    assert [job.prompt for job in jobs] == list(words)
    assert [len(job.images) for job in jobs] == [0, 1, 1, 1]
    for before, job in zip(made, jobs[1:], strict=False):
        assert _same(before, job.images[0])


def test_a_picture_of_the_user_takes_the_place_of_the_models(
    live: Any, client: genai.Client, encode: Any
) -> None:
    chat = client.chats.create(model="drawing")
    chat.send_message("a red apple")
    chat.send_message(["put them together", encode(64, 96, 1), encode(96, 64, 2)])
    chat.send_message("make it blue")
    jobs = live.generator.jobs
    assert [one.size for one in jobs[1].images] == [(64, 96), (96, 64)]
    assert jobs[2].prompt == "make it blue"
    assert len(jobs[2].images) == 1


def test_thoughts_are_no_part_of_it(live: Any, client: genai.Client) -> None:
    config = types.GenerateContentConfig(
        thinking_config=types.ThinkingConfig(include_thoughts=True)
    )
    chat = client.chats.create(model="drawing", config=config)
    last: list[bytes] = []
    for words in ("a red apple", "make it blue", "make it pink"):
        chunks: list[Any] = list(chat.send_message_stream(words))
        parts = [
            part
            for chunk in chunks
            for candidate in chunk.candidates or []
            for part in (candidate.content.parts if candidate.content else [])
        ]
        assert any(part.thought for part in parts)
        last.append(next(p.inline_data.data for p in parts if not p.thought))
    jobs = live.generator.jobs
    assert [job.prompt for job in jobs] == ["a red apple", "make it blue", "make it pink"]
    assert all(_same(last[n], jobs[n + 1].images[0]) for n in range(2))


def test_signatures_come_along_and_back(live: Any, client: genai.Client) -> None:
    said = client.models.generate_content(model="drawing", contents="a red apple")
    content = (said.candidates or [])[0].content
    assert content is not None
    assert content.parts is not None
    assert content.parts[0].thought_signature
    history = [
        types.Content(role="user", parts=[types.Part(text="a red apple")]),
        content,
        types.Content(role="user", parts=[types.Part(text="make it blue")]),
    ]
    _picture(client.models.generate_content(model="drawing", contents=history))
    assert live.generator.jobs[-1].prompt == "make it blue"


def test_after_a_refusal_the_conversation_goes_on(live: Any, client: genai.Client) -> None:
    chat = client.chats.create(model="drawing")
    refused = chat.send_message(BLOCKED)
    assert refused.prompt_feedback is not None
    _picture(chat.send_message("a red apple"))
    # The same where a client keeps what was refused.
    both = [types.Content(role="user", parts=[types.Part(text=t)]) for t in (BLOCKED, "a pear")]
    _picture(client.models.generate_content(model="drawing", contents=both))
    assert [job.prompt for job in live.generator.jobs] == ["a red apple", "a pear"]


def test_an_edit_keeps_the_proportions_of_its_picture(
    live: Any, client: genai.Client, encode: Any
) -> None:
    for size, config in (
        ((1280, 720), {}),
        ((300, 900), {}),
        ((1280, 720), {"image_config": types.ImageConfig(image_size="512")}),
    ):
        said = client.models.generate_content(
            model="drawing",
            contents=types.Content(parts=[types.Part(text="make it blue"), encode(*size)]),
            config=types.GenerateContentConfig(**config),
        )
        with Image.open(io.BytesIO(_picture(said))) as picture:
            assert picture.width / picture.height == pytest.approx(size[0] / size[1], rel=0.02)
            wanted = 512**2 if config else 384**2
            assert picture.width * picture.height == pytest.approx(wanted, rel=0.02)


def test_a_part_that_is_not_understood_is_named(client: genai.Client) -> None:
    uri = types.Part.from_uri(file_uri="https://example.com/a.png", mime_type="image/png")
    with pytest.raises(errors.ClientError) as caught:
        client.models.generate_content(
            model="drawing", contents=types.Content(parts=[types.Part(text="make it blue"), uri])
        )
    assert caught.value.code == 400
    assert "contents[0].parts[1].fileData.fileUri" in str(caught.value)
    assert "CHOPMARK_FETCH_IMAGES" in str(caught.value)
    call = types.Part(function_response=types.FunctionResponse(name="f", response={"a": 1}))
    with pytest.raises(errors.ClientError, match=r"parts\[1\]\.functionResponse"):
        client.models.generate_content(
            model="drawing", contents=[types.Content(parts=[types.Part(text="a"), call])]
        )


@pytest.mark.parametrize(
    "body",
    [
        {"contents": {"parts": [{"text": "a red apple"}]}},
        {"contents": {"role": "user", "parts": {"text": "a red apple"}}},
        {"contents": [{"parts": {"text": "a red apple"}}]},
        {
            "contents": [{"role": None, "parts": [{"text": "a red apple", "inlineData": None}]}],
            "generationConfig": None,
            "safetySettings": None,
            "systemInstruction": None,
        },
        {
            "contents": [{"parts": [{"text": "a red apple"}]}],
            "generationConfig": {"imageConfig": None, "thinkingConfig": None, "seed": None},
        },
        {"contents": [{"role": "model", "parts": None}, {"parts": [{"text": "a red apple"}]}]},
    ],
)
def test_every_spelling_of_one_turn(live: Any, body: dict[str, Any]) -> None:
    with live.client() as http:
        said = http.post("/v1beta/models/drawing:generateContent", json=body)
    assert said.status_code == 200, said.text
    assert live.generator.jobs[-1].prompt == "a red apple"


def test_a_conversation_ends_with_the_user(live: Any) -> None:
    body = {"contents": [{"parts": [{"text": "a"}]}, {"role": "model", "parts": [{"text": "b"}]}]}
    with live.client() as http:
        said = http.post("/v1/models/drawing:generateContent", json=body)
    assert said.status_code == 400
    assert said.json()["error"]["status"] == "INVALID_ARGUMENT"


@pytest.mark.parametrize("where", ["", "projects/p/locations/l/"])
def test_vertex_paths(live: Any, where: str) -> None:
    root = f"{where}publishers/google/"
    body = {"contents": [{"parts": [{"text": "a red apple"}]}]}
    with live.client() as http:
        said = http.post(f"/v1beta1/{root}models/gemini-3-pro-image:generateContent", json=body)
        assert said.status_code == 200
        wrong = http.post(f"/v1beta1/{root}models/nobody:generateContent", json=body)
    assert wrong.json()["error"]["status"] == "NOT_FOUND"


@pytest.mark.filterwarnings("ignore:The generate_images method is deprecated")
def test_the_vertex_client(live: Any) -> None:
    options = types.HttpOptions(base_url=live.url)
    with genai.Client(vertexai=True, api_key="unused", http_options=options) as vertex:
        said = vertex.models.generate_content(model="gemini-3-pro-image", contents="a red apple")
        _picture(said)
        made = vertex.models.generate_images(
            model="imagen-4.0-generate-001",
            prompt="a red apple",
            config=types.GenerateImagesConfig(
                number_of_images=2,
                aspect_ratio="16:9",
                output_mime_type="image/jpeg",
                person_generation=types.PersonGeneration.ALLOW_ADULT,
            ),
        )
        pictures = [one.image.image_bytes for one in made.generated_images or [] if one.image]
        assert len(pictures) == 2
        with Image.open(io.BytesIO(pictures[0] or b"")) as picture:
            assert (picture.format, picture.size) == ("JPEG", (512, 288))
        refused = vertex.models.generate_images(
            model="imagen-4.0-generate-001",
            prompt=BLOCKED,
            config=types.GenerateImagesConfig(include_rai_reason=True),
        )
        assert "sexual" in str((refused.generated_images or [])[0].rai_filtered_reason)


@pytest.mark.filterwarnings("ignore:The edit_image method is deprecated")
def test_an_edit_by_imagen(live: Any, make_picture: Any, to_bytes: Any) -> None:
    mask = Image.new("L", (96, 96))
    mask.paste(255, (0, 0, 48, 96))
    options = types.HttpOptions(base_url=live.url)
    with genai.Client(vertexai=True, api_key="unused", http_options=options) as vertex:
        raw = types.RawReferenceImage(
            reference_id=1,
            reference_image=types.Image(
                image_bytes=to_bytes(make_picture(96, 96)), mime_type="image/png"
            ),
        )
        over = types.MaskReferenceImage(
            reference_id=2,
            reference_image=types.Image(image_bytes=to_bytes(mask), mime_type="image/png"),
            config=types.MaskReferenceConfig(mask_mode="MASK_MODE_USER_PROVIDED"),
        )
        made = vertex.models.edit_image(
            model="imagen-3.0-capability-001", prompt="a lake", reference_images=[raw, over]
        )
    assert len(made.generated_images or []) == 1
    (job,) = live.generator.jobs
    assert job.operation == "inpaint"


def test_tokens_are_counted_as_they_will_be(client: genai.Client) -> None:
    counted = client.models.count_tokens(model="drawing", contents="a red apple")
    said = client.models.generate_content(model="drawing", contents="a red apple")
    assert said.usage_metadata is not None
    assert counted.total_tokens == said.usage_metadata.prompt_token_count == 3
    assert said.usage_metadata.candidates_token_count == 384 * 384 // 1024


def test_a_key_in_azures_header_is_a_key(live: Any) -> None:
    from chopmark.tenancy import AccessStore

    with AccessStore.open(live.pipeline.parts.home) as store:
        key = store.create_key("default", scopes=["generate"]).text
    for name in ("api-key", "x-goog-api-key"):
        said = httpx.get(f"{live.url}/v1/models", headers={name: key}, trust_env=False, timeout=60)
        assert said.status_code == 200

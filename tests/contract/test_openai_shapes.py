"""What unmodified clients send in OpenAI's shape: edits, moderations, empty fields, mistakes."""

from __future__ import annotations

import base64
import io
import json
from typing import TYPE_CHECKING, Any

import httpx
import openai
import pytest
from PIL import Image

from chopmark.api import pictures as api_pictures
from chopmark.pipeline.inspect import examine
from tests.support.generator import StandIn

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

BLOCKED = "explicit photo of a naked woman having sex"


@pytest.fixture
def client(live: Any) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{live.url}/v1", api_key="unused", max_retries=0) as client:
        yield client


@pytest.fixture
def wide(make_picture: Any, to_bytes: Callable[..., bytes]) -> bytes:
    return to_bytes(make_picture(1280, 720))


def _open(made: Any) -> Image.Image:
    return Image.open(io.BytesIO(base64.b64decode(made.data[0].b64_json)))


def _url(data: bytes, mime: str = "image/png") -> str:
    return f"data:{mime};base64,{base64.b64encode(data).decode()}"


@pytest.mark.parametrize("size", [None, "auto"])
def test_an_edit_keeps_the_proportions_of_its_picture(
    live: Any, client: openai.OpenAI, wide: bytes, size: Any
) -> None:
    made = client.images.edit(image=("a.png", wide), prompt="a lake", size=size or openai.omit)
    picture = _open(made)
    assert picture.width / picture.height == pytest.approx(16 / 9, rel=0.01)
    assert made.size == f"{picture.width}x{picture.height}"
    # A camera's picture lies on its side in the file.
    turned = Image.open(io.BytesIO(wide)).rotate(90, expand=True)
    exif = Image.Exif()
    exif[0x0112] = 6
    out = io.BytesIO()
    turned.save(out, "JPEG", exif=exif)
    picture = _open(client.images.edit(image=("a.jpg", out.getvalue()), prompt="a lake"))
    assert picture.width / picture.height == pytest.approx(16 / 9, rel=0.01)


def test_a_mask_of_other_proportions_is_refused(client: openai.OpenAI, wide: bytes) -> None:
    masks = {}
    for size in ((512, 512), (640, 360)):
        out = io.BytesIO()
        Image.new("RGBA", size, (0, 0, 0, 0)).save(out, "PNG")
        masks[size] = out.getvalue()
    with pytest.raises(openai.BadRequestError) as caught:
        client.images.edit(image=("a.png", wide), mask=("m.png", masks[512, 512]), prompt="a")
    assert caught.value.param == "mask"
    client.images.edit(image=("a.png", wide), mask=("m.png", masks[640, 360]), prompt="a lake")


@pytest.mark.parametrize(
    "names", [["image[0]", "image[1]"], ["image[1]", "image[0]"], ["image_0", "image_1"],
              ["images", "images"], ["image", "image[]"]],
)  # fmt: skip
def test_every_name_of_several_pictures(
    live: Any, make_picture: Any, to_bytes: Any, names: list[str]
) -> None:
    pictures = [to_bytes(make_picture(64 + 32 * n, 96)) for n in range(2)]
    files = [
        (name, ("a.png", data, "image/png")) for name, data in zip(names, pictures, strict=True)
    ]
    with live.client() as http:
        said = http.post("/v1/images/edits", data={"prompt": "a lake"}, files=files)
    assert said.status_code == 200, said.text
    widths = [one.width for one in live.generator.jobs[-1].images]
    assert widths == ([96, 64] if names[0] == "image[1]" else [64, 96])


def test_a_file_that_nobody_asked_for_is_named(live: Any, wide: bytes) -> None:
    files = [("image", ("a.png", wide)), ("control_image", ("b.png", wide))]
    with live.client() as http:
        said = http.post("/v1/images/edits", data={"prompt": "a lake"}, files=files)
    assert (said.status_code, said.json()["error"]["param"]) == (400, "control_image")
    assert live.generator.jobs == []


def test_edits_in_json(live: Any, wide: bytes) -> None:
    out = io.BytesIO()
    Image.new("RGBA", (640, 360), (0, 0, 0, 0)).save(out, "PNG")
    body = {
        "model": "gpt-image-2",
        "prompt": "a lake",
        "images": [{"image_url": _url(wide)}],
        "mask": {"image_url": _url(out.getvalue())},
        "n": 2,
    }
    with live.client() as http:
        said = http.post("/v1/images/edits", json=body)
        assert said.status_code == 200, said.text
        assert len(said.json()["data"]) == 2
        for images, status, param in (
            ([{"image_url": _url(wide)}, {"image_url": "https://example.com/a.png"}],
             400, "images[1].image_url"),
            ([{"file_id": "file-1"}], 404, "images[0].file_id"),
            ([], 400, "image"),
        ):  # fmt: skip
            wrong = http.post("/v1/images/edits", json={**body, "images": images})
            assert (wrong.status_code, wrong.json()["error"]["param"]) == (status, param)
    assert live.generator.jobs[-1].operation == "inpaint"


def test_null_and_empty_fields_were_not_sent(live: Any, wide: bytes) -> None:
    names = (
        "model", "n", "size", "quality", "background", "output_format", "output_compression",
        "response_format", "style", "user", "safety_identifier", "seed", "steps",
        "negative_prompt", "stream", "partial_images", "moderation",
    )  # fmt: skip
    with live.client() as http:
        for value in (None, ""):
            body = {"prompt": "a red apple", **dict.fromkeys(names, value)}
            said = http.post("/v1/images/generations", json=body)
            assert said.status_code == 200, said.text
        for value in ("", "null"):
            form = {"prompt": "a lake", **dict.fromkeys(names, value)}
            files = {"image": ("a.png", wide), "mask": ("", b"")}
            said = http.post("/v1/images/edits", data=form, files=files)
            assert said.status_code == 200, said.text


def test_a_long_name_of_a_person_is_its_digest(live: Any) -> None:
    with live.client() as http:
        body = {"prompt": "a red apple", "user": "u" * 5000}
        said = http.post("/v1/images/generations", json=body)
    assert said.status_code == 200
    assert said.json()["safety_identifier"] == "u" * 5000
    record = live.pipeline.parts.log.records(said.headers["x-record-id"])[0]
    assert record.kind == "request.received"


@pytest.mark.parametrize(
    ("size", "made"),
    [
        ("1024X1024", "1024x1024"), ("512*256", "512x256"), (" 512x512 ", "512x512"),
        ("16:9", "512x288"), ("1008x336", "1008x336"), ("AUTO", "384x384"),
    ],
)  # fmt: skip
def test_spellings_of_a_size(client: openai.OpenAI, size: Any, made: str) -> None:
    assert client.images.generate(prompt="a red apple", size=size).size == made


def test_spellings_of_a_format(live: Any) -> None:
    with live.client() as http:
        for name, made in (("jpg", "jpeg"), ("PNG", "png"), ("WebP", "webp")):
            body = {"prompt": "a red apple", "output_format": name}
            assert http.post("/v1/images/generations", json=body).json()["output_format"] == made


def test_usage_counts_what_was_used(client: openai.OpenAI, wide: bytes) -> None:
    made = client.images.generate(prompt="a red apple", n=2, size="512x512")
    assert made.usage is not None
    assert (made.usage.output_tokens, made.usage.input_tokens) == (2 * 256, 3)
    counted = made.usage.model_extra or {}
    assert counted == {"pictures": 2, "pixels": 2 * 512 * 512, "steps": 8}
    edited = client.images.edit(image=("a.png", wide), prompt="a lake", size="256x256")
    assert edited.usage is not None
    assert edited.usage.input_tokens_details.image_tokens == 1280 * 720 // 1024
    assert edited.usage.total_tokens == 900 + 2 + 64


def test_broken_json_blames_no_field(live: Any) -> None:
    for broken in ('{"prompt": "a",}', "", '{"prompt": ', "nothing"):
        with live.client() as http:
            said = http.post(
                "/v1/images/generations",
                content=broken,
                headers={"content-type": "application/json"},
            )
        assert said.status_code == 400
        assert said.json()["error"]["param"] is None, broken


@pytest.mark.parametrize(
    ("value", "param"),
    [
        ([{"type": "text", "text": "a"}, {"type": "image_url", "image_url": {"url": "https://a.b/c"}}],
         "input[1].image_url"),
        ([{"type": "image_url", "image_url": {"url": "iVBORw0KGgo="}}], "input[0].image_url"),
        ([{"type": "image_url"}], "input[0].image_url"),
        ([{"type": "image_url", "image_url": {"url": "data:image/png;base64,%%%"}}],
         "input[0].image_url"),
        (["a", {"type": "audio"}], "input[1]"),
        ([{"type": "text"}], "input[0].text"),
        ([1, 2, 3], "input[0]"),
        ([], "input"),
        ({"a": 1}, "input"),
        (None, "input"),
    ],
)  # fmt: skip
def test_a_part_of_a_moderation_is_named(live: Any, value: Any, param: str) -> None:
    with live.client() as http:
        said = http.post("/v1/moderations", json={"input": value})
    assert said.status_code == 400
    error = said.json()["error"]
    assert error["param"] == param
    assert param in error["message"]


@pytest.mark.parametrize(
    ("members", "param"),
    [
        ({"input": "a", "language": "German, please"}, "language"),
        ({"input": "a", "edit": "yes"}, "edit"),
        ({"input": ["a", "b"], "edit": [True]}, "edit"),
        ({"input": ["a", "b"], "language": ["de", 7]}, "language"),
        ({"input": [{"type": "text", "text": "a", "language": "x"}]}, "input[0].language"),
        ({"input": [{"type": "text", "text": "a", "edit": 1}]}, "input[0].edit"),
    ],
)
def test_what_is_said_of_a_text_to_judge_is_checked(
    live: Any, members: dict[str, Any], param: str
) -> None:
    with live.client() as http:
        said = http.post("/v1/moderations", json=members)
    assert (said.status_code, said.json()["error"]["param"]) == (400, param)


def test_every_spelling_of_a_picture_to_judge(
    client: openai.OpenAI, make_picture: Any, to_bytes: Any
) -> None:
    data = to_bytes(make_picture())
    lines = base64.encodebytes(data).decode()
    urls = [
        _url(data), _url(data, "IMAGE/PNG"), _url(data, "image/jpeg"),
        _url(data, "application/octet-stream"), _url(data, "image/png;charset=utf-8"),
        f"data:image/png;base64,{lines}",
    ]  # fmt: skip
    for url in urls:
        rows: list[Any] = [{"type": "image_url", "image_url": {"url": url, "detail": "low"}}]
        assert len(client.moderations.create(input=rows).results) == 1
    mixed: list[Any] = ["a hill", {"type": "input_image", "image_url": urls[0]}]
    assert len(client.moderations.create(input=mixed).results) == 1


def test_a_refusal_has_the_words_that_litellm_looks_for(client: openai.OpenAI) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        client.images.generate(prompt=BLOCKED)
    # litellm 1.110.2, exception_mapping_utils: what makes a ContentPolicyViolationError.
    assert "request was rejected as a result of the safety system" in str(caught.value).lower()
    assert caught.value.code == "moderation_blocked"


def test_addresses_are_fetched_only_where_that_is_set(
    live_server: Any, monkeypatch: pytest.MonkeyPatch, wide: bytes
) -> None:
    """The guarded fetch itself is tested with the resolver; here its place is taken."""
    fetched: list[str] = []

    def fetch(url: str, *, max_bytes: int, timeout_s: float) -> bytes:
        fetched.append(url)
        assert max_bytes
        assert timeout_s
        return wide

    monkeypatch.setattr("chopmark.provenance.fetch_public", fetch, raising=False)
    address = "https://pictures.example/a.png"
    body = {"prompt": "a lake", "images": [{"image_url": address}]}
    with live_server(fetch_images=True) as live, live.client() as http:
        assert http.post("/v1/images/edits", json=body).status_code == 200
        rows = [{"type": "image_url", "image_url": {"url": address}}]
        assert http.post("/v1/moderations", json={"input": rows}).status_code == 200
        parts = [{"text": "a lake"}, {"fileData": {"fileUri": address}}]
        said = http.post(
            "/v1/models/drawing:generateContent", json={"contents": [{"parts": parts}]}
        )
        assert said.status_code == 200
        plain = {"prompt": "a", "images": [{"image_url": "http://pictures.example/a.png"}]}
        assert http.post("/v1/images/edits", json=plain).status_code == 400
    assert fetched == [address] * 3


def test_a_private_address_is_not_fetched(live_server: Any) -> None:
    with live_server(fetch_images=True) as live, live.client() as http:
        for url in ("https://127.0.0.1/a.png", "https://localhost/a.png", "https://[::1]/a"):
            body = {"prompt": "a lake", "images": [{"image_url": url}]}
            said = http.post("/v1/images/edits", json=body)
            assert said.status_code == 400
            assert said.json()["error"]["param"] == "images[0].image_url"
    assert api_pictures.__all__ == ["from_base64", "from_data_url", "from_file", "from_url"]


def test_the_seal_route(live: Any, make_picture: Any, to_bytes: Any) -> None:
    files = {"image": ("a.jpg", to_bytes(make_picture(), "JPEG", quality=92))}
    form = {"model": "FLUX.2 [dev]", "prompt": "a hill", "user": "ada"}
    with httpx.Client(base_url=live.url, trust_env=False, timeout=60) as http:
        said = http.post("/api/v1/seal", files=files, data=form)
        assert said.status_code == 200, said.text
        body = said.json()
        assert body["output_format"] == "jpeg"
        assert body["provenance"]["model"] == "FLUX.2 [dev]"
        assert said.headers["x-record-id"] == body["provenance"]["record_id"]
        sealed = base64.b64decode(body["data"][0]["b64_json"])
        report = http.post("/api/v1/verify", files={"image": sealed}).json()
        assert report["watermark"]["payload"] == body["data"][0]["provenance"]["output_id"]
        wrong = http.post("/api/v1/seal", files=files, data={**form, "model": " "})
        assert (wrong.status_code, wrong.json()["error"]["param"]) == (400, "model")
        refused = http.post("/api/v1/seal", files=files, data={**form, "prompt": BLOCKED})
        assert refused.json()["error"]["code"] == "moderation_blocked"
    assert live.generator.jobs == []


def test_a_provenance_check_in_openais_shape(
    live: Any, client: openai.OpenAI, make_picture: Any, to_bytes: Any
) -> None:
    made = client.images.generate(prompt="a red apple")
    data = base64.b64decode((made.data or [])[0].b64_json or "")
    checked = client.content_provenance_checks.create(file=("a.png", data))
    manifest, mark = checked.results
    assert manifest.type == "c2pa"
    assert (manifest.outcome, manifest.validation_state) == ("detected", "trusted")
    assert manifest.model == "drawing 1"
    assert manifest.generated_at
    assert (mark.type, mark.outcome) == ("synthid", "detected")
    assert (mark.model_extra or {})["method"] == "lattice"
    with Image.open(io.BytesIO(data)) as picture:
        stripped = to_bytes(picture.convert("RGB"), "JPEG", quality=90)
    manifest, mark = client.content_provenance_checks.create(file=("a.jpg", stripped)).results
    assert (manifest.outcome, mark.outcome) == ("not_detected", "detected")
    assert manifest.type == "c2pa"
    assert manifest.validation_state == "not_present"
    other = to_bytes(make_picture())
    results = client.content_provenance_checks.create(file=("b.png", other)).results
    assert [one.outcome for one in results] == ["not_detected", "not_detected"]
    with pytest.raises(openai.APIStatusError):
        client.content_provenance_checks.create(file=("c.png", b"no picture"))


def test_azures_client(live: Any, wide: bytes) -> None:
    with openai.AzureOpenAI(
        azure_endpoint=live.url, api_key="unused", api_version="2025-04-01-preview", max_retries=0
    ) as azure:
        assert azure.images.generate(model="gpt-image-2", prompt="a red apple").data
        assert azure.images.edit(model="gpt-image-2", image=("a.png", wide), prompt="a lake").data
        with pytest.raises(openai.NotFoundError):
            azure.images.generate(model="my-deployment", prompt="a red apple")
        with pytest.raises(openai.BadRequestError) as caught:
            azure.images.generate(model="gpt-image-2", prompt=BLOCKED)
        refused: Any = caught.value.body
        assert refused["innererror"]["code"] == "ResponsibleAIPolicyViolation"
    with openai.OpenAI(base_url=f"{live.url}/openai/v1/", api_key="unused") as newer:
        assert newer.images.generate(model="gpt-image-2", prompt="a red apple").data
    routes = live.log.getvalue()
    assert '"route": "/v1/images/edits"' in routes


@pytest.mark.parametrize("kind", ["request", "response"])
def test_litellms_guardrail(live: Any, kind: str, make_picture: Any, to_bytes: Any) -> None:
    from chopmark.safety import draw_test_card

    picture = _url(to_bytes(make_picture()))
    base = {"input_type": kind, "request_data": {"user_api_key_hash": None}, "tools": None}
    with live.client() as http:

        def ask(**members: Any) -> dict[str, Any]:
            said = http.post("/beta/litellm_basic_guardrail_api", json={**base, **members})
            assert said.status_code == 200, said.text
            body: dict[str, Any] = said.json()
            return body

        assert ask(texts=["a red apple", ""], images=[picture])["action"] == "NONE"
        assert ask(texts=None, images=None)["action"] == "NONE"
        blocked = ask(texts=["a red apple", BLOCKED], images=None)
        assert blocked["action"] == "BLOCKED"
        assert "sexual" in blocked["blocked_reason"]
        card = ask(texts=[], images=[picture, _url(to_bytes(draw_test_card()))])
        assert card["action"] == "BLOCKED"
        # What a tool is asked to do is judged, and messages that nobody took texts out of.
        call = {"id": "1", "type": "function", "index": 0}
        for arguments in (json.dumps({"a": [[[{"prompt": BLOCKED}]]], "n": 1}), BLOCKED):
            asked = [call | {"function": {"name": "make_image", "arguments": arguments}}]
            assert ask(texts=[], tool_calls=asked)["action"] == "BLOCKED"
        apple = [call | {"function": {"name": "make_image", "arguments": '{"prompt": "an apple"}'}}]
        assert ask(texts=["a red apple"], tool_calls=apple)["action"] == "NONE"
        parts = [{"role": "user", "content": [{"type": "text", "text": BLOCKED}]}]
        assert ask(texts=None, structured_messages=parts)["action"] == "BLOCKED"
        # What cannot be judged does not pass.
        assert "images[0]" in ask(images=["https://example.com/a.png"])["blocked_reason"]
        assert ask(images=[_url(b"no picture")])["action"] == "BLOCKED"
        assert ask(texts=["a" * 40_000])["action"] == "BLOCKED"


def test_a_url_opens_its_picture_and_nothing_else(live_server: Any) -> None:
    with (
        live_server() as live,
        openai.OpenAI(base_url=f"{live.url}/v1", api_key="unused", max_retries=0) as client,
        live.client() as http,
    ):
        plain = client.images.generate(prompt="a red apple", response_format="url")
        assert ((plain.data or [])[0].url or "").startswith("data:image/png;base64,")
        live.pipeline.parts.settings.__dict__["public_url"] = f"{live.url}/"
        made = client.images.generate(prompt="a red apple", n=2, response_format="url")
        urls = [one.url or "" for one in made.data or []]
        assert all(url.startswith(f"{live.url}/v1/images/content/") for url in urls)
        fetched = http.get(urls[0])
        assert (fetched.status_code, fetched.headers["content-type"]) == (200, "image/png")
        assert http.head(urls[0]).status_code == 200
        with Image.open(io.BytesIO(fetched.content)) as picture:
            assert picture.size == (384, 384)
        first, second = (httpx.URL(url) for url in urls)
        forged = [
            first.copy_merge_params({"expires": "99999999999"}),
            first.copy_merge_params({"signature": "0" * 64}),
            second.copy_merge_params({"signature": first.params["signature"]}),
        ]
        for url in forged:
            said = http.get(url)
            assert (said.status_code, said.json()["error"]["code"]) == (404, "picture_not_found")


def test_an_address_is_over_in_time(tmp_path: Path) -> None:
    from chopmark.errors import PictureNotFound
    from chopmark.pipeline.released import Output
    from chopmark.safety import Verdict
    from chopmark.service.shared_pictures import SharedPictures
    from chopmark.tenancy.files import FileStore

    now = [1000.0]
    files = FileStore.open(tmp_path, clock=lambda: now[0])
    shared = SharedPictures(files, tmp_path, clock=lambda: now[0])
    verdict = Verdict(
        action="allow", scores={}, evidence=(), categories=(), evaluated=(), not_evaluated=(),
        policy="0" * 64, models=(), elapsed_ms=0.0,
    )  # fmt: skip
    output = Output(
        index=1, output_id="a3f09c1122334451", data=b"x", format="jpeg", width=1, height=1,
        seed=1, manifest_id="m", verdict=verdict,
    )  # fmt: skip
    url = httpx.URL(shared.share("default", output, "a3f09c1122334450"))
    name, asked = url.path.rsplit("/", 1)[-1], url.params
    assert name == "a3f09c1122334451.jpg"
    opened: dict[str, Any] = {"expires": int(asked["expires"]), "signature": asked["signature"]}
    assert shared.get(name, **opened).data == b"x"
    now[0] += 3600
    with pytest.raises(PictureNotFound):
        shared.get(name, **opened)
    files.close()


def test_a_chat_is_answered_with_pictures(live: Any, client: openai.OpenAI, wide: bytes) -> None:
    messages: list[Any] = [{"role": "system", "content": "be brief"}]
    made: list[bytes] = []
    for words in ("a red apple", "make it blue", "now pink"):
        messages.append({"role": "user", "content": [{"type": "text", "text": words}]})
        said = client.chat.completions.create(model="gpt-image-2", messages=messages)
        message = said.choices[0].message
        (image,) = (message.model_extra or {})["images"]
        made.append(base64.b64decode(image["image_url"]["url"].partition(",")[2]))
        # Some clients send back what they know of an answer, others what they showed.
        back = (
            {"content": "", "images": [image]} if len(made) == 1 else {"content": message.content}
        )
        messages.append({"role": "assistant", **back})
    jobs = live.generator.jobs
    assert [job.prompt for job in jobs] == [
        f"be brief\n{words}" for words in ("a red apple", "make it blue", "now pink")
    ]
    for before, job in zip(made, jobs[1:], strict=False):
        with Image.open(io.BytesIO(before)) as picture:
            assert picture.convert("RGB").tobytes() == job.images[0].tobytes()
    assert said.usage is not None
    assert said.usage.completion_tokens == 144
    # A picture that the user brings comes first, and its proportions stay.
    part = {"type": "image_url", "image_url": {"url": _url(wide)}}
    messages.append({"role": "user", "content": [{"type": "text", "text": "a lake"}, part]})
    stream = client.chat.completions.create(model="gpt-image-2", messages=messages, stream=True)
    chunks: list[Any] = list(stream)
    (url,) = (
        (one.delta.model_extra or {})["images"][0]["image_url"]["url"]
        for chunk in chunks
        for one in chunk.choices
        if one.delta.model_extra
    )
    with Image.open(io.BytesIO(base64.b64decode(url.partition(",")[2]))) as picture:
        assert picture.width / picture.height == pytest.approx(16 / 9, rel=0.01)
    with pytest.raises(openai.BadRequestError) as refused:
        client.chat.completions.create(
            model="gpt-image-2", messages=[{"role": "user", "content": BLOCKED}]
        )
    assert refused.value.code == "moderation_blocked"
    sound: list[Any] = [{"role": "user", "content": [{"type": "input_audio", "input_audio": {}}]}]
    with pytest.raises(openai.BadRequestError) as caught:
        client.chat.completions.create(model="gpt-image-2", messages=sound)
    assert caught.value.param == "messages[0].content[0]"


def test_responses_with_the_image_tool(live: Any, client: openai.OpenAI, wide: bytes) -> None:
    tool: Any = {"type": "image_generation", "size": "512x256", "output_format": "webp"}
    first = client.responses.create(model="gpt-5.5", input="a red apple", tools=[tool])
    (call,) = first.output
    assert call.type == "image_generation_call"
    with Image.open(io.BytesIO(base64.b64decode(call.result or ""))) as picture:
        assert (picture.format, picture.size) == ("WEBP", (512, 256))
        before = picture.convert("RGB")
        before.load()
    assert first.usage is not None
    assert first.usage.output_tokens == 128
    plain: Any = {"type": "image_generation"}
    named = client.responses.create(
        model="gpt-5.5", input="make it blue", previous_response_id=first.id, tools=[plain]
    )
    by_id: list[Any] = [
        {"role": "user", "content": [{"type": "input_text", "text": "make it pink"}]},
        {"type": "image_generation_call", "id": call.id},
    ]
    client.responses.create(model="gpt-5.5", input=by_id, tools=[plain])
    out = io.BytesIO()
    Image.new("RGBA", (640, 360), (0, 0, 0, 0)).save(out, "PNG")
    shown: list[Any] = [
        {
            "role": "user",
            "content": [
                {"type": "input_text", "text": "a lake"},
                {"type": "input_image", "image_url": _url(wide), "detail": "auto"},
            ],
        }
    ]
    masked: Any = {**plain, "input_image_mask": {"image_url": _url(out.getvalue())}}
    client.responses.create(model="gpt-5.5", input=shown, tools=[masked])
    jobs = live.generator.jobs
    assert [job.prompt for job in jobs] == ["a red apple", "make it blue", "make it pink", "a lake"]
    assert [job.operation for job in jobs] == ["generate", "edit", "edit", "inpaint"]
    for job in jobs[1:3]:
        assert job.images[0].tobytes() == before.tobytes()
    (changed,) = named.output
    assert changed.type == "image_generation_call"
    with pytest.raises(openai.BadRequestError) as caught:
        client.responses.create(
            model="gpt-5.5", input="a", previous_response_id="resp_0", tools=[plain]
        )
    assert caught.value.param == "previous_response_id"
    with pytest.raises(openai.BadRequestError) as caught:
        client.responses.create(model="gpt-5.5", input="a red apple")
    assert caught.value.param == "tools"
    with pytest.raises(openai.BadRequestError) as refused:
        client.responses.create(model="gpt-5.5", input=BLOCKED, tools=[plain])
    assert refused.value.code == "moderation_blocked"


def test_responses_in_a_stream(client: openai.OpenAI) -> None:
    tool: Any = {"type": "image_generation", "partial_images": 2}
    events: list[Any] = list(
        client.responses.create(model="gpt-5.5", input="a red apple", tools=[tool], stream=True)
    )
    kinds = [one.type for one in events]
    assert kinds[:2] == ["response.created", "response.in_progress"]
    assert kinds.count("response.image_generation_call.partial_image") == 2
    assert kinds[-2:] == ["response.output_item.done", "response.completed"]
    assert [one.sequence_number for one in events] == list(range(len(events)))
    (call,) = events[-1].response.output
    assert _opened(call.result).size == (384, 384)


def _opened(text: str) -> Image.Image:
    return Image.open(io.BytesIO(base64.b64decode(text)))


@pytest.mark.parametrize("fmt", ["png", "webp", "avif"])
def test_a_transparent_background(live: Any, client: openai.OpenAI, fmt: Any) -> None:
    made = client.images.generate(
        prompt="a red apple", background="transparent", extra_body={"output_format": fmt, "seed": 3}
    )
    assert made.background == "transparent"
    data = base64.b64decode((made.data or [])[0].b64_json or "")
    with Image.open(io.BytesIO(data)) as picture:
        assert picture.mode == "RGBA"
        whole = picture.convert("RGBA")
    corner, middle = whole.getpixel((2, 2)), whole.getpixel((180, 200))
    assert isinstance(corner, tuple)
    assert isinstance(middle, tuple)
    assert (corner[3], middle[3]) == (0, 255)
    assert middle[0] > 150  # the disc is red
    report = examine(live.pipeline.parts, data)
    assert (report.verdict, report.manifest.state) == ("made_here", "intact")
    assert report.watermark.state == "detected"


def test_a_picture_without_a_plain_ground_cannot_be_cut_out(
    live_server: Any, make_picture: Any
) -> None:
    generator = StandIn(lambda job, _seed: make_picture(job.width, job.height))
    with (
        live_server(generator=generator) as live,
        openai.OpenAI(base_url=f"{live.url}/v1", api_key="unused", max_retries=0) as client,
        pytest.raises(openai.BadRequestError) as caught,
    ):
        client.images.generate(prompt="a hill", background="transparent")
    assert caught.value.param == "background"

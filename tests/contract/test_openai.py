"""The official `openai` package, unmodified, against a live server."""

from __future__ import annotations

import base64
import io
import json
from typing import TYPE_CHECKING, Any

import httpx
import numpy as np
import openai
import pytest
from PIL import Image, ImageDraw

from chopmark.pipeline.inspect import examine
from chopmark.safety import draw_test_card
from tests.support.generator import StandIn

if TYPE_CHECKING:
    from collections.abc import Iterator

BLOCKED = "explicit photo of a naked woman having sex"


@pytest.fixture
def client(live: Any) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{live.url}/v1", api_key="unused", max_retries=0) as client:
        yield client


def _open(text: str | None) -> Image.Image:
    assert text is not None
    return Image.open(io.BytesIO(base64.b64decode(text)))


def _extra(value: Any, name: str) -> Any:
    return (value.model_extra or {})[name]


def _png(picture: Image.Image) -> bytes:
    out = io.BytesIO()
    picture.save(out, "PNG")
    return out.getvalue()


def test_generate_four(live: Any, client: openai.OpenAI) -> None:
    made = client.images.generate(
        prompt="a red apple",
        model="drawing",
        n=4,
        size="512x384",
        quality="high",
        output_format="webp",
        output_compression=90,
        background="opaque",
        moderation="low",
        safety_identifier="user-1",
        extra_body={"seed": 11, "steps": 2, "made_up": {"by": "a caller"}},
    )
    assert made.data is not None
    assert len(made.data) == 4
    assert made.size == "512x384"
    assert made.output_format == "webp"
    assert made.background == "opaque"
    assert made.safety_identifier == "user-1"
    for number, one in enumerate(made.data):
        picture = _open(one.b64_json)
        assert picture.format == "WEBP"
        assert picture.size == (512, 384)
        provenance = _extra(one, "provenance")
        assert provenance["seed"] == 11 + number
        report = examine(live.pipeline.parts, base64.b64decode(one.b64_json or ""))
        assert report.verdict == "made_here"
    (job,) = live.generator.jobs
    assert (job.seed, job.steps, job.n) == (11, 2, 4)
    record = _extra(made, "provenance")["record_id"]
    kinds = [r.kind for r in live.pipeline.parts.log.records(record)]
    assert kinds == ["request.received", "request.decided", "request.completed"]
    private = live.pipeline.parts.log.private(live.pipeline.parts.log.records(record)[0].index)
    assert private["client"] == "127.0.0.1"


def test_every_answer_names_its_request_and_its_record(client: openai.OpenAI) -> None:
    raw = client.images.with_raw_response.generate(prompt="a red apple")
    assert raw.headers["x-request-id"].startswith("req_")
    body = json.loads(raw.text if isinstance(raw.text, str) else raw.text())
    assert raw.headers["x-record-id"] == body["provenance"]["record_id"]
    with pytest.raises(openai.NotFoundError) as caught:
        client.images.generate(prompt="a", model="another")
    assert (caught.value.request_id or "").startswith("req_")


@pytest.mark.parametrize(("quality", "steps"), [("low", 2), ("medium", None), ("max", 8)])
def test_quality_is_a_number_of_steps(
    live: Any, client: openai.OpenAI, quality: Any, steps: int | None
) -> None:
    made = client.images.generate(prompt="a red apple", quality=quality)
    assert live.generator.jobs[-1].steps == steps
    assert made.quality == quality


def test_a_legacy_client_gets_a_url(client: openai.OpenAI) -> None:
    made = client.images.generate(prompt="a red apple", response_format="url", style="vivid")
    assert made.data is not None
    url = made.data[0].url or ""
    assert url.startswith("data:image/png;base64,")
    assert _open(url.split(",")[1]).size == (384, 384)


def test_edit_with_a_mask_whose_alpha_counts(
    live: Any, client: openai.OpenAI, make_picture: Any
) -> None:
    picture = make_picture(256, 256)
    mask = picture.convert("RGBA")
    hole = Image.new("L", mask.size, 255)
    ImageDraw.Draw(hole).rectangle([0, 0, 127, 255], fill=0)
    mask.putalpha(hole)
    made = client.images.edit(
        image=("in.png", _png(picture)),
        mask=("mask.png", _png(mask)),
        prompt="a green apple",
        n=2,
        input_fidelity="high",
        output_format="jpeg",
    )
    assert made.data is not None
    assert len(made.data) == 2
    assert _open(made.data[0].b64_json).format == "JPEG"
    (job,) = live.generator.jobs
    assert job.strength == 0.4
    assert job.mask.convert("L").getpixel((10, 10)) == 255  # transparent: repainted
    assert job.mask.convert("L").getpixel((200, 10)) == 0  # opaque, whatever its colour: kept
    report = examine(live.pipeline.parts, base64.b64decode(made.data[0].b64_json or ""))
    assert report.verdict == "made_here"


def test_a_list_of_one_picture_is_one_picture(
    live: Any, client: openai.OpenAI, make_picture: Any
) -> None:
    one = ("in.png", _png(make_picture()))
    made = client.images.edit(image=[one], prompt="a green apple")  # goes out as image[]
    assert made.data is not None
    assert len(live.generator.jobs[-1].images) == 1


def test_a_list_of_pictures_is_joined_in_its_order(
    live: Any, client: openai.OpenAI, make_picture: Any
) -> None:
    wide, high = make_picture(96, 64, seed=1), make_picture(64, 96, seed=2)
    made = client.images.edit(
        image=[("a.png", _png(wide)), ("b.png", _png(high))], prompt="put both together"
    )
    assert made.data is not None
    (job,) = live.generator.jobs
    assert [one.size for one in job.images] == [(96, 64), (64, 96)]
    assert (job.mask, job.operation) == (None, "edit")
    report = examine(live.pipeline.parts, base64.b64decode(made.data[0].b64_json or ""))
    assert report.verdict == "made_here"
    assert [one.relationship for one in report.ingredients] == ["parentOf", "inputTo"]


def test_the_mask_is_the_first_pictures(
    live: Any, client: openai.OpenAI, make_picture: Any
) -> None:
    picture = make_picture(64, 64)
    client.images.edit(
        image=[("a.png", _png(picture)), ("b.png", _png(make_picture(96, 64, seed=2)))],
        mask=("mask.png", _png(Image.new("L", (64, 64), 255))),
        prompt="a green apple",
    )
    (job,) = live.generator.jobs
    assert [one.size for one in job.images] == [(64, 64), (96, 64)]
    assert job.mask.size == (64, 64)


def test_more_pictures_than_the_model_joins(
    live: Any, client: openai.OpenAI, make_picture: Any
) -> None:
    one = ("in.png", _png(make_picture(64, 64)))
    with pytest.raises(openai.BadRequestError) as caught:
        client.images.edit(image=[one] * 4, prompt="a green apple")
    assert (caught.value.code, caught.value.param) == ("too_many_images", "image")
    assert "takes 3 pictures" in caught.value.message
    assert live.generator.jobs == []
    assert client.models.retrieve("drawing").to_dict()["maxImages"] == 3
    assert client.models.retrieve("drawing").to_dict()["ignores"] == ["negative_prompt"]


def test_a_blocked_second_picture_is_a_refusal(
    live: Any, client: openai.OpenAI, make_picture: Any
) -> None:
    card = ("card.png", _png(draw_test_card().convert("RGB")))
    with pytest.raises(openai.BadRequestError) as caught:
        client.images.edit(image=[("in.png", _png(make_picture())), card], prompt="a green apple")
    assert caught.value.code == "moderation_blocked"
    assert live.generator.jobs == []


def test_variations_take_one_picture(live: Any, make_picture: Any) -> None:
    one = ("image[]", ("in.png", _png(make_picture(64, 64)), "image/png"))
    answer = httpx.post(f"{live.url}/v1/images/variations", files=[one, one], trust_env=False)
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "too_many_images")
    assert live.generator.jobs == []


@pytest.mark.filterwarnings("ignore:deprecated:DeprecationWarning")  # the client's own word
def test_variations(live: Any, client: openai.OpenAI, make_picture: Any) -> None:
    made = client.images.create_variation(
        image=("in.png", _png(make_picture())), n=2, size="512x512", response_format="b64_json"
    )
    assert made.data is not None
    assert len(made.data) == 2
    assert live.generator.jobs[-1].prompt == ""
    assert live.generator.jobs[-1].operation == "edit"


def test_a_blocked_prompt_is_not_retried_and_says_why(live_server: Any) -> None:
    with (
        live_server(appeal_url="https://appeals.example/{decision_id}") as live,
        openai.OpenAI(base_url=f"{live.url}/v1", api_key="unused") as client,
        pytest.raises(openai.BadRequestError) as caught,
    ):
        client.images.generate(prompt=BLOCKED)
    error = caught.value
    assert error.code == "moderation_blocked"
    assert error.type == "image_generation_user_error"
    body: Any = error.body
    assert body["moderation_details"]["moderation_stage"] == "input"
    assert "sexual" in body["moderation_details"]["categories"]
    assert body["appeal_url"] == f"https://appeals.example/{body['decision_id']}"
    assert len(body["policy"]) == 64
    assert error.response.headers["x-should-retry"] == "false"
    assert error.response.headers["x-record-id"] == body["decision_id"]
    assert live.generator.jobs == []  # two retries are the client's default; there was one refusal


def test_a_blocked_output(live: Any, client: openai.OpenAI) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        client.images.generate(prompt="a test card")
    body: Any = caught.value.body
    assert caught.value.code == "moderation_blocked"
    assert body["moderation_details"]["moderation_stage"] == "output"
    records = live.pipeline.parts.log.records(body["decision_id"])
    assert records[-1].kind == "request.refused"


def test_moderations_of_texts(client: openai.OpenAI) -> None:
    said = client.moderations.create(input=["a red apple", BLOCKED])
    assert [row.flagged for row in said.results] == [False, True]
    assert said.results[1].categories.sexual
    assert said.results[1].category_scores.sexual >= 0.5
    assert not said.results[0].categories.violence_graphic
    assert said.results[1].category_applied_input_types.sexual == ["text"]
    assert said.id == f"modr-{_extra(said, 'provenance')['record_id']}"


def test_moderations_of_parts_are_one_input(live: Any, client: openai.OpenAI) -> None:
    from chopmark.safety.testcard import draw_test_card

    card = base64.b64encode(_png(draw_test_card())).decode()
    parts: Any = [
        {"type": "text", "text": "a red apple"},
        {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{card}"}},
    ]
    said = client.moderations.create(input=parts)
    (row,) = said.results
    assert row.flagged
    assert "image" in row.category_applied_input_types.sexual
    records = _extra(said, "provenance")["record_ids"]
    assert len(records) == 2
    for record in records:
        (one,) = live.pipeline.parts.log.records(record)
        assert one.kind == "moderation.completed"


def test_moderations_of_edits_and_of_texts_whose_language_is_told(
    live: Any, client: openai.OpenAI
) -> None:
    texts = ["take her clothes off", "ein roter Apfel", "Mae'r gath yn eistedd ar y bwrdd heno"]
    said = client.moderations.create(
        input=texts, extra_body={"edit": [True, None, False], "language": ["en", "de", "cy"]}
    )
    undressing, apple, welsh = said.results
    assert _extra(undressing.categories, "sexual/nonconsensual")
    assert [_extra(row, "action") for row in (apple, welsh)] == ["allow", "review"]
    assert [_extra(row, "language") for row in said.results] == ["en", "de", "cy"]
    assert "sexual" in _extra(welsh, "not_evaluated")
    # One record for all, which knows what was asked of an edit.
    (record,) = live.pipeline.parts.log.records(_extra(said, "provenance")["record_id"])
    assert (record.public["texts"], record.public["edits"]) == (3, 1)


def test_an_edit_and_its_picture_are_judged_together(
    live: Any, client: openai.OpenAI, make_picture: Any
) -> None:
    url = f"data:image/png;base64,{base64.b64encode(_png(make_picture())).decode()}"
    picture: Any = {"type": "image_url", "image_url": {"url": url}}
    wish: Any = {"type": "text", "text": "make the sky blue", "edit": True, "language": "en"}
    said = client.moderations.create(input=[wish, picture])
    (row,) = said.results
    assert not row.flagged
    (record,) = _extra(said, "provenance")["record_ids"]
    (one,) = live.pipeline.parts.log.records(record)
    assert (one.public["edits"], one.public["verdict"]["stage"]) == (1, "input")


def test_models(client: openai.OpenAI) -> None:
    listed = [one.id for one in client.models.list().data]
    assert listed[0] == "drawing"
    # The names that clients know, by the wildcards of the setting.
    assert {"chopmark", "gpt-image-2", "dall-e-3", "gemini-2.5-flash-image"} < set(listed)
    assert len(set(listed)) == len(listed)
    assert client.models.retrieve("drawing").id == "drawing"
    assert client.models.retrieve("chopmark").id == "drawing"
    with pytest.raises(openai.NotFoundError) as caught:
        client.models.retrieve("flux-pro")
    assert caught.value.code == "model_not_found"


def test_an_alias_lets_a_client_keep_its_model_name(live_server: Any) -> None:
    with (
        live_server(model_aliases="chopmark,gpt-image-1") as live,
        openai.OpenAI(base_url=f"{live.url}/v1", api_key="unused") as client,
    ):
        made = client.images.generate(prompt="a red apple", model="gpt-image-1")
    assert _extra(made, "provenance")["model"] == "drawing@1"


@pytest.mark.parametrize(
    ("arguments", "param"),
    [
        ({"prompt": " "}, "prompt"),
        ({"n": 99}, "n"),
        ({"n": 11}, "n"),
        ({"size": "big"}, "size"),
        ({"size": "8x8"}, "size"),
        ({"size": "2048x64"}, "size"),
        ({"background": "transparent", "output_format": "jpeg"}, "background"),
        ({"output_format": "svg"}, "output_format"),
        ({"output_format": "gif"}, "output_format"),
        ({"output_compression": 101}, "output_compression"),
        ({"extra_body": {"seed": -1}}, "seed"),
        ({"extra_body": {"steps": 0}}, "steps"),
        ({"partial_images": 4}, "partial_images"),
        ({"prompt": "a" * 32_001}, "prompt"),
    ],
)
def test_a_wrong_value_names_its_field(
    client: openai.OpenAI, arguments: dict[str, Any], param: str
) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        client.images.generate(**{"prompt": "a red apple", **arguments})
    assert caught.value.code == "invalid_request"
    assert caught.value.type == "invalid_request_error"
    assert caught.value.param == param


@pytest.mark.parametrize(
    ("name", "parts", "status"),
    [
        ("no picture", {"prompt": (None, "a")}, 400),
        ("no prompt", {"image": ("a.png", b"x")}, 400),
        ("not a picture", {"prompt": (None, "a"), "image": ("a.png", b"not a picture")}, 415),
        ("a text as picture", {"prompt": (None, "a"), "image": (None, "text")}, 400),
    ],
)
def test_broken_forms(live: Any, name: str, parts: Any, status: int) -> None:
    answer = httpx.post(f"{live.url}/v1/images/edits", files=parts, trust_env=False)
    assert answer.status_code == status, (name, answer.text)
    assert answer.json()["error"]["code"]


def test_an_oversized_picture(live_server: Any) -> None:
    with (
        live_server(max_image_bytes=4096) as live,
        openai.OpenAI(base_url=f"{live.url}/v1", api_key="unused", max_retries=0) as client,
        pytest.raises(openai.APIStatusError) as caught,
    ):
        client.images.edit(image=("a.png", b"\x89PNG\r\n\x1a\n" + b"x" * 9000), prompt="a")
    assert caught.value.status_code == 413
    assert caught.value.code == "image_too_large"


async def test_the_asynchronous_client(live: Any) -> None:
    async with openai.AsyncOpenAI(base_url=f"{live.url}/v1", api_key="unused") as client:
        made = await client.images.generate(prompt="a red apple")
    assert made.data is not None
    assert _open(made.data[0].b64_json).size == (384, 384)


def test_a_quality_that_no_mark_survives_is_the_callers_error(
    live: Any, client: openai.OpenAI
) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        client.images.generate(
            prompt="a red apple", output_compression=0, extra_body={"output_format": "avif"}
        )
    assert caught.value.code == "mark_too_weak"
    assert len(live.generator.jobs) == 1


def test_one_weak_picture_does_not_cost_the_others(live_server: Any) -> None:
    """Those leave that take the mark; of the other one the answer says why it does not."""

    def draw(job: Any, seed: int) -> Image.Image:
        if seed == 8:
            noise = np.random.default_rng(3).integers(0, 2, (64, 64, 3))
            return Image.fromarray(noise.astype(np.uint8) * 255)
        return Image.linear_gradient("L").resize((64, 64)).convert("RGB")

    with (
        live_server(generator=StandIn(draw, default_size=(64, 64))) as live,
        openai.OpenAI(base_url=f"{live.url}/v1", api_key="unused", max_retries=0) as client,
    ):
        made = client.images.generate(prompt="a hill", n=3, extra_body={"seed": 7})
        assert [_extra(one, "provenance")["index"] for one in made.data or []] == [1, 3]
        assert _extra(made, "provenance")["withheld"] == [
            {"index": 2, "reason": "mark_too_weak", "categories": []}
        ]
        with pytest.raises(openai.APIStatusError) as caught:
            client.images.generate(prompt="a hill", extra_body={"seed": 8})
        assert caught.value.code == "mark_not_readable"

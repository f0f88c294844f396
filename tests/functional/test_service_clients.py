"""Both official clients against the whole thing: embedded model, guards, mark, manifest, log."""

from __future__ import annotations

import base64
import io
from typing import TYPE_CHECKING, Any

import openai
import pytest
from google import genai
from google.genai import types
from PIL import Image

from chopmark.audit import Receipt
from chopmark.pipeline.inspect import examine
from tests.support.server import serve

if TYPE_CHECKING:
    from collections.abc import Iterator

    from chopmark import Pipeline

BLOCKED = "explicit photo of a naked woman having sex"


@pytest.fixture(scope="module")
def base_url(shared_pipeline: Pipeline) -> Iterator[str]:
    with serve(shared_pipeline) as live:
        yield live.url


@pytest.fixture
def client(base_url: str) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{base_url}/v1", api_key="unused", max_retries=0) as client:
        yield client


def test_openai_from_prompt_to_receipt(client: openai.OpenAI, shared_pipeline: Pipeline) -> None:
    made = client.images.generate(prompt="a red apple", n=2, quality="low", extra_body={"seed": 5})
    again = client.images.generate(prompt="a red apple", quality="low", extra_body={"seed": 6})
    assert made.data is not None
    assert again.data is not None
    pictures = [base64.b64decode(one.b64_json or "") for one in made.data]
    for picture in pictures:
        assert examine(shared_pipeline.parts, picture).verdict == "made_here"
    # Seed + 1 is the second picture's: the same pixels but for the mark, which names the output.
    second, alone = (
        Image.open(io.BytesIO(data)).convert("RGB").resize((64, 64))
        for data in (pictures[1], base64.b64decode(again.data[0].b64_json or ""))
    )
    pairs = zip(second.tobytes(), alone.tobytes(), strict=True)
    assert max(abs(a - b) for a, b in pairs) < 40
    receipt = Receipt.from_json(_json((made.model_extra or {})["provenance"]["receipt"]))
    assert receipt.verify(shared_pipeline.parts.log.public_key) == ()


def _json(value: Any) -> str:
    import json

    return json.dumps(value)


def test_openai_edit_variation_and_stream(client: openai.OpenAI, shared_pipeline: Pipeline) -> None:
    made = client.images.generate(prompt="a red apple", quality="low")
    assert made.data is not None
    picture = base64.b64decode(made.data[0].b64_json or "")
    edited = client.images.edit(image=("a.png", picture), prompt="a green apple", quality="low")
    assert edited.data is not None
    report: Any = examine(
        shared_pipeline.parts, base64.b64decode(edited.data[0].b64_json or "")
    ).to_dict()
    assert report["verdict"] == "made_here"
    assert report["ingredients"]
    with client.images.generate(prompt="a red apple", quality="low", stream=True) as events:
        assert [event.type for event in events] == ["image_generation.completed"]
    with pytest.warns(DeprecationWarning, match="deprecated"):
        varied = client.images.create_variation(image=("a.png", picture))
    assert varied.data is not None


def test_openai_edit_within_a_mask(client: openai.OpenAI, make_picture: Any) -> None:
    def png(picture: Image.Image) -> bytes:
        out = io.BytesIO()
        picture.save(out, "PNG")
        return out.getvalue()

    mask = Image.new("RGBA", (256, 256), (0, 0, 0, 255))
    mask.paste((0, 0, 0, 0), (0, 0, 128, 256))
    edited = client.images.edit(
        image=("a.png", png(make_picture())),
        mask=("m.png", png(mask)),
        prompt="a green apple",
        quality="low",
    )
    assert edited.data is not None


def test_openai_refusals_and_moderation(client: openai.OpenAI) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        client.images.generate(prompt=BLOCKED)
    assert caught.value.code == "moderation_blocked"
    assert client.moderations.create(input=BLOCKED).results[0].flagged


def test_gemini(base_url: str, shared_pipeline: Pipeline) -> None:
    options = types.HttpOptions(base_url=base_url)
    with genai.Client(api_key="unused", http_options=options) as client:
        said = client.models.generate_content(model="embedded", contents="a red apple")
        blocked = client.models.generate_content(model="embedded", contents=BLOCKED)
    (candidate,) = said.candidates or []
    assert candidate.content is not None
    (part,) = candidate.content.parts or []
    assert part.inline_data is not None
    assert part.inline_data.data is not None
    assert examine(shared_pipeline.parts, part.inline_data.data).verdict == "made_here"
    assert blocked.prompt_feedback is not None

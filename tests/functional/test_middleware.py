"""Somebody else's generator with Chopmark around it: diffusers, ComfyUI, an Images API server."""

from __future__ import annotations

import asyncio
import base64
import io
import json
import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any

import httpx
import pytest
import torch
from diffusers import DiffusionPipeline
from PIL import Image
from starlette.applications import Starlette
from starlette.responses import JSONResponse
from starlette.routing import Route

from chopmark import Pipeline, Refused
from chopmark.errors import InvalidRequest
from chopmark.generation.embedded import materialize
from chopmark.middleware import GovernedImages, governed
from chopmark.middleware import comfyui as node
from chopmark.pipeline.inspect import examine
from chopmark.safety import draw_test_card
from tests.support.generator import StandIn, unreached

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

BLOCKED = "explicit photo of a naked woman having sex"


@pytest.fixture
def sealing(open_pipeline: Callable[..., Pipeline]) -> Pipeline:
    """A pipeline whose own generator must never be reached."""
    return open_pipeline(generator=StandIn(unreached))


def test_a_pipeline_of_diffusers(shared_pipeline: Pipeline, sealing: Pipeline) -> None:
    _ = shared_pipeline.parts.generator  # unpacked by now
    theirs: Any = DiffusionPipeline.from_pretrained(materialize(shared_pipeline.parts.home))
    pipe = governed(theirs, sealing, model="the embedded model, by hand")
    result = pipe(
        "a red apple on a white background",
        num_inference_steps=2,
        num_images_per_prompt=2,
        width=256,
        height=256,
        generator=torch.Generator("cpu").manual_seed(3),
        max_sequence_length=32,
        text_encoder_out_layers=(2, 4, 6),
    )
    assert [one.size for one in result.images] == [(256, 256)] * 2
    for data, released in zip(result.files, result.released, strict=True):
        report = examine(sealing.parts, data)
        assert report.manifest.state == "intact"
        assert report.watermark.payload == released.outputs[0].output_id
        assert released.model == "the embedded model, by hand"
    assert pipe.vae is theirs.vae
    before = sealing.parts.log.size
    with pytest.raises(Refused):
        pipe(BLOCKED)
    assert sealing.parts.log.size == before + 1  # judged and booked; nothing was drawn
    with pytest.raises(InvalidRequest):
        pipe("a red apple", output_type="latent")


class _Drawer:
    """A pipeline of the shape that diffusers' have, which gives out what it is told to."""

    def __init__(self, *pictures: Image.Image) -> None:
        self.pictures = pictures
        self.asked: list[dict[str, Any]] = []

    def __call__(self, **named: Any) -> Any:
        self.asked.append(named)
        return type("Output", (), {"images": list(self.pictures)})()


async def test_what_may_not_leave_stays(sealing: Pipeline, make_picture: Any) -> None:
    drawer = _Drawer(make_picture(), draw_test_card())
    pipe = governed(drawer, sealing)
    # Also where a loop runs already, as in a notebook.
    result = pipe(["a hill", "a lake"])
    assert (len(result.images), len(result.refused)) == (1, 1)
    assert drawer.asked[0]["prompt"] == ["a hill", "a lake"]
    record = sealing.parts.log.records(result.released[0].record_id)[0]
    assert record.public["operation"] == "seal"
    with pytest.raises(Refused):
        governed(_Drawer(draw_test_card()), sealing)("a hill")
    with pytest.raises(Refused):
        pipe("a hill", negative_prompt=BLOCKED)
    assert len(drawer.asked) == 1


def test_comfyuis_node(
    sealing: Pipeline, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, make_picture: Any
) -> None:
    """By ComfyUI's node protocol: class members by name, a tensor in, a tensor and files out."""
    theirs = ModuleType("folder_paths")
    theirs.get_output_directory = lambda: str(tmp_path)  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "folder_paths", theirs)
    monkeypatch.setattr(node, "_pipeline", lambda: sealing)
    kind = node.NODE_CLASS_MAPPINGS["ChopmarkSeal"]
    assert set(node.NODE_DISPLAY_NAME_MAPPINGS) == set(node.NODE_CLASS_MAPPINGS)
    fields = kind.INPUT_TYPES()["required"]
    assert fields["images"] == ("IMAGE",)
    assert len(kind.RETURN_TYPES) == len(kind.RETURN_NAMES)
    assert kind.OUTPUT_NODE
    card = draw_test_card().resize((256, 256))
    batch = torch.stack([
        torch.tensor(list(one.convert("RGB").tobytes()), dtype=torch.uint8).reshape(256, 256, 3)
        for one in (make_picture(), card, make_picture(seed=4))
    ]).float() / 255  # fmt: skip
    values = {"images": batch, "prompt": "a hill", "model": "SDXL", "filename_prefix": "../../x"}
    said = getattr(kind(), kind.FUNCTION)(**values)
    images, records = said["result"]
    assert images.shape == (2, 256, 256, 3)
    assert torch.equal(images, batch[[0, 2]])
    files = [tmp_path / one["filename"] for one in said["ui"]["images"]]
    assert len(files) == len(records.splitlines()) == 2
    for file in files:
        assert file.name.startswith("x-")
        assert examine(sealing.parts, file.read_bytes()).manifest.state == "intact"
    with pytest.raises(Refused):
        kind().seal(batch, BLOCKED, "SDXL", "x")


class _Server:
    """A server of OpenAI's Images API, of somebody else."""

    def __init__(self, *rows: dict[str, Any]) -> None:
        self.rows = rows
        self.asked = 0
        self.app = Starlette(
            routes=[
                Route("/v1/images/generations", self._make, methods=["POST"]),
                Route("/v1/images/edits", self._make, methods=["POST"]),
                Route("/v1/models", self._models),
            ]
        )

    async def _make(self, request: Any) -> JSONResponse:
        assert await request.body()
        self.asked += 1
        return JSONResponse({"created": 1, "data": list(self.rows)}, headers={"x-theirs": "1"})

    async def _models(self, _request: Any) -> JSONResponse:
        return JSONResponse({"data": []})


def _ask(server: _Server, pipeline: Pipeline, path: str, **options: Any) -> httpx.Response:
    async def go() -> httpx.Response:
        transport = httpx.ASGITransport(GovernedImages(server.app, pipeline))
        async with httpx.AsyncClient(transport=transport, base_url="http://theirs") as client:
            return await client.request(options.pop("method", "POST"), path, **options)

    return asyncio.run(go())


def test_a_server_of_the_images_api(
    sealing: Pipeline, make_picture: Any, to_bytes: Callable[..., bytes]
) -> None:
    plain = base64.b64encode(to_bytes(make_picture())).decode()
    card = base64.b64encode(to_bytes(draw_test_card())).decode()
    server = _Server(
        {"b64_json": plain, "revised_prompt": "a hill"},
        {"b64_json": card},
        {"url": f"data:image/png;base64,{plain}"},
    )
    body = {"prompt": "a hill", "model": "theirs-1"}
    said = _ask(server, sealing, "/v1/images/generations", json=body)
    assert said.status_code == 200
    assert said.headers["x-theirs"] == "1"
    first, second = said.json()["data"]
    assert first["revised_prompt"] == "a hill"
    files = [first["b64_json"], second["url"].partition(",")[2]]
    for text in files:
        data = base64.b64decode(text)
        report = examine(sealing.parts, data)
        assert report.manifest.state == "intact"
        with Image.open(io.BytesIO(data)) as picture:
            assert picture.size == (256, 256)
    record = sealing.parts.log.records(first["provenance"]["record_id"])[0]
    assert "theirs-1" not in json.dumps(record.public)
    form = _ask(
        server, sealing, "/v1/images/edits",
        data={"prompt": "a lake"}, files={"image": ("a.png", to_bytes(make_picture()))},
    )  # fmt: skip
    assert len(form.json()["data"]) == 2
    assert _ask(server, sealing, "/v1/models", method="GET").json() == {"data": []}
    refused = _ask(server, sealing, "/v1/images/generations", json={"prompt": BLOCKED})
    assert (refused.status_code, refused.json()["error"]["code"]) == (400, "moderation_blocked")
    assert server.asked == 2
    stream = _ask(server, sealing, "/v1/images/generations", json={**body, "stream": True})
    assert stream.json()["error"]["param"] == "stream"
    assert _ask(server, sealing, "/v1/images/generations", content=b"{").status_code == 400


@pytest.mark.parametrize(
    "row", [{"url": "https://example.com/a.png"}, {"b64_json": "%%%"}, {}, {"b64_json": "AAAA"}]
)
def test_what_cannot_be_sealed_does_not_leave(sealing: Pipeline, row: dict[str, Any]) -> None:
    said = _ask(_Server(row), sealing, "/v1/images/generations", json={"prompt": "a hill"})
    assert said.status_code >= 400
    assert "data" not in said.json()


def test_an_answer_with_nothing_but_the_test_card(
    sealing: Pipeline, to_bytes: Callable[..., bytes]
) -> None:
    card = base64.b64encode(to_bytes(draw_test_card())).decode()
    said = _ask(
        _Server({"b64_json": card}), sealing, "/v1/images/generations", json={"prompt": "a"}
    )
    assert said.json()["error"]["code"] == "moderation_blocked"

"""Files in OpenAI's client, unmodified: pictures by id, uploads in parts, answers by name."""

from __future__ import annotations

import base64
import hashlib
import json
from typing import TYPE_CHECKING, Any

import openai
import pytest

from chopmark.tenancy import AccessStore, Tenant
from tests.support.wait import until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

EDITS: Any = "/v1/images/edits"
TOOL: Any = {"type": "image_generation"}


@pytest.fixture
def client(live: Any) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{live.url}/v1", api_key="unused", max_retries=0) as client:
        yield client


def _edit(client: openai.OpenAI, body: dict[str, Any]) -> Any:
    """Post an edit as JSON, for which the client has no words of its own."""
    return client.post("/images/edits", body=body, cast_to=object)


def test_a_picture_is_named_by_the_id_of_its_file(
    live: Any, client: openai.OpenAI, make_picture: Any, to_bytes: Callable[..., bytes]
) -> None:
    wide = to_bytes(make_picture(320, 160))
    picture = client.files.create(file=("a.png", wide), purpose="vision")
    mask = client.files.create(file=("m.png", wide), purpose="user_data")
    made = _edit(
        client,
        {
            "prompt": "a lake",
            "images": [{"file_id": picture.id}, {"file_id": picture.id}],
            "mask": {"file_id": mask.id},
        },
    )
    assert len(made["data"]) == 1
    shown: Any = [
        {
            "role": "user",
            "content": [
                {"type": "input_text", "text": "a lake"},
                {"type": "input_image", "file_id": picture.id, "detail": "auto"},
            ],
        }
    ]
    masked: Any = {**TOOL, "input_image_mask": {"file_id": mask.id}}
    said = client.responses.create(model="gpt-5.5", input=shown, tools=[masked])
    assert [one.type for one in said.output] == ["image_generation_call"]
    jobs = live.generator.jobs
    assert [(len(job.images), job.mask is not None) for job in jobs] == [(2, True), (1, True)]

    lines = client.files.create(
        file=(
            "a.jsonl",
            json.dumps(
                {
                    "custom_id": "one",
                    "method": "POST",
                    "url": EDITS,
                    "body": {"prompt": "a lake", "images": [{"file_id": picture.id}]},
                }
            ).encode(),
        ),
        purpose="batch",
    )
    batch = client.batches.create(input_file_id=lines.id, endpoint=EDITS, completion_window="24h")
    until(lambda: client.batches.retrieve(batch.id).status == "completed")
    done: Any = client.batches.retrieve(batch.id)
    assert done.request_counts.completed == 1

    with AccessStore.open(live.pipeline.parts.home) as store:
        store.set_tenant(Tenant(name="other"))
        keys = [store.create_key(name, scopes=["generate"]).text for name in ("default", "other")]
    own, others = (client.with_options(api_key=key) for key in keys)
    for asks, name, code in (
        (own, "file-none", "file_not_found"),
        (others, picture.id, "file_not_found"),
        (own, lines.id, "invalid_request"),
    ):
        with pytest.raises(openai.APIStatusError) as caught:
            _edit(asks, {"prompt": "a lake", "images": [{"file_id": name}]})
        assert (caught.value.code, caught.value.param) == (code, "images[0].file_id")
    assert len(jobs) == 3


def test_a_file_comes_in_parts(client: openai.OpenAI) -> None:
    lines = b'{"custom_id": "one"}\n' * 40
    done = client.uploads.upload_file_chunked(
        file=lines,
        filename="a.jsonl",
        bytes=len(lines),
        mime_type="application/jsonl",
        purpose="batch",
        part_size=100,
        md5=hashlib.md5(lines, usedforsecurity=False).hexdigest(),
    )
    assert done.status == "completed"
    assert done.file is not None
    assert (done.file.bytes, done.file.purpose) == (len(lines), "batch")
    assert client.files.content(done.file.id).content == lines
    # The parts took room, and are gone now.
    assert [one.id for one in client.files.list()] == [done.file.id]

    begun = client.uploads.create(
        bytes=6, filename="b.png", mime_type="image/png", purpose="vision"
    )
    assert (begun.status, begun.expires_at - begun.created_at) == ("pending", 3600)
    second = client.uploads.parts.create(begun.id, data=b"def")
    first = client.uploads.parts.create(begun.id, data=b"abc")
    assert second.upload_id == begun.id
    for wrong in (
        {"part_ids": [first.id]},
        {"part_ids": [first.id, first.id]},
        {"part_ids": [first.id, "part_0"]},
        {"part_ids": [first.id, second.id], "md5": "0" * 32},
    ):
        with pytest.raises(openai.BadRequestError):
            client.uploads.complete(begun.id, **wrong)
    with pytest.raises(openai.BadRequestError, match="was to have 6"):
        client.uploads.parts.create(begun.id, data=b"g")
    whole = client.uploads.complete(begun.id, part_ids=[first.id, second.id])
    assert whole.file is not None
    assert client.files.content(whole.file.id).content == b"abcdef"

    given_up = client.uploads.create(
        bytes=6, filename="c.png", mime_type="image/png", purpose="vision"
    )
    part = client.uploads.parts.create(given_up.id, data=b"abc")
    assert client.uploads.cancel(given_up.id).status == "cancelled"
    for over in (begun.id, given_up.id):
        with pytest.raises(openai.BadRequestError):
            client.uploads.complete(over, part_ids=[part.id])
    with pytest.raises(openai.NotFoundError) as caught:
        client.uploads.cancel("upload_0")
    assert caught.value.code == "upload_not_found"
    with pytest.raises(openai.BadRequestError):
        client.uploads.create(bytes=2**40, filename="d", mime_type="x", purpose="vision")


def test_an_answer_is_fetched_again_by_who_got_it_until_it_is_let_go(
    live: Any, client: openai.OpenAI
) -> None:
    first = client.responses.create(model="gpt-5.5", input="a red apple", tools=[TOOL])
    again = client.responses.retrieve(first.id)
    made: Any = first.output[0]
    found: Any = again.output[0]
    assert (again.status, found.id, found.result) == ("completed", made.id, made.result)
    assert base64.b64decode(found.result).startswith(b"\x89PNG")
    unkept = client.responses.create(
        model="gpt-5.5", input="a red apple", tools=[TOOL], store=False
    )
    with pytest.raises(openai.BadRequestError):
        client.responses.cancel(first.id)
    client.responses.delete(first.id)
    for gone in (first.id, unkept.id):
        with pytest.raises(openai.NotFoundError):
            client.responses.retrieve(gone)
    with pytest.raises(openai.BadRequestError):
        client.responses.create(
            model="gpt-5.5", input="make it blue", tools=[TOOL], previous_response_id=unkept.id
        )


def test_what_is_not_served_is_said(client: openai.OpenAI) -> None:
    with pytest.raises(openai.NotFoundError) as caught:
        client.embeddings.create(model="text-embedding-3-small", input="a hill")
    assert caught.value.code == "not_found"
    assert "POST /v1/embeddings is not served here" in caught.value.message

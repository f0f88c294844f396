"""RemoteGenerator against a small real server that answers as told: well, late, or hostilely."""

from __future__ import annotations

import base64
import io
import json
import threading
from typing import TYPE_CHECKING, Any

import pytest
from PIL import Image

from chopmark.errors import (
    Busy,
    Cancelled,
    ChopmarkError,
    ConfigurationError,
    GenerationFailed,
    InvalidRequest,
    ModelLoadError,
    ModelNotFound,
)
from chopmark.generation import GenerationJob, Generator
from chopmark.generation.remote import RemoteGenerator
from chopmark.generation.remote_stream import EventReader, retry_after_s
from chopmark.generation.remote_wire import RemoteOptions, split_address
from tests.support.http import Asked, Loopback, Reply
from tests.support.wait import HANG_S

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


def png(width: int = 64, height: int = 64, colour: str = "red") -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (width, height), colour).save(out, "PNG")
    return out.getvalue()


def job(**changes: object) -> GenerationJob:
    values: dict[str, object] = {"prompt": "a red apple", "seed": 7, "width": 64, "height": 64}
    return GenerationJob(**{**values, **changes})  # type: ignore[arg-type]


class Peer(Loopback):
    """A server whose answers a test writes: (status, headers, body), made by a callable."""

    def __init__(self) -> None:
        self.answer: Callable[[int, bytes], tuple[int, dict[str, str], bytes]] = self.good
        self.models: Any = {"data": [{"id": "tiny", "version": "3", "digest": "ab" * 32}]}
        super().__init__()

    def reply(self, asked: Asked) -> Reply:
        if asked.body:
            posts = [one for one in self.asked if one.body]
            status, headers, body = self.answer(len(posts), asked.body)
            return Reply(status, body, headers)
        if asked.path.endswith("/models"):
            return Reply(200, json.dumps(self.models).encode())
        return Reply(200, png()) if asked.path == "/picture.png" else Reply(404)

    @staticmethod
    def good(_count: int, _body: bytes) -> tuple[int, dict[str, str], bytes]:
        return Peer.row(b64_json=base64.b64encode(png()).decode())

    def never(self, _count: int, _body: bytes) -> tuple[int, dict[str, str], bytes]:
        self.hang()
        return 503, {}, b""

    @staticmethod
    def row(**row: object) -> tuple[int, dict[str, str], bytes]:
        return 200, {"content-type": "application/json"}, json.dumps({"data": [row]}).encode()


@pytest.fixture
def peer() -> Iterator[Peer]:
    with Peer() as one:
        yield one


def connect(peer: Peer, model: str = "", **options: Any) -> RemoteGenerator:
    given = {"timeout_s": HANG_S, "connect_s": HANG_S, **options}
    return RemoteGenerator.connect(f"remote:{peer.url}/v1" + model, options=RemoteOptions(**given))


def test_pictures_are_asked_for_one_by_one_with_their_seeds(peer: Peer) -> None:
    remote = connect(peer, key="secret")
    assert isinstance(remote, Generator)
    assert (remote.info.version, remote.info.digest) == ("3", "ab" * 32)
    told: list[tuple[int, int]] = []
    order = job(n=3, steps=4, guidance=2.0, negative_prompt="a car")
    pictures = remote.generate(order, progress=lambda *at: told.append(at))
    assert [one.size for one in pictures] == [(64, 64)] * 3
    sent = [json.loads(one.body) for one in peer.asked if one.body]
    assert sorted(one["seed"] for one in sent) == [7, 8, 9]
    assert {one["model"] for one in sent} == {"tiny"}
    assert {(one["n"], one["steps"], one["negative_prompt"]) for one in sent} == {(1, 4, "a car")}
    assert all(one.headers["authorization"] == "Bearer secret" for one in peer.asked)
    assert told[-1] == (3, 3)


def test_a_server_that_knows_openai_fields_only_is_sent_no_others(peer: Peer) -> None:
    connect(peer, extras=False).generate(job(steps=4, guidance=2.0))
    sent = json.loads(peer.asked[-1].body)
    assert set(sent) == {"prompt", "n", "size", "response_format", "model"}


def test_an_edit_sends_picture_and_mask_and_keeps_what_the_mask_keeps(peer: Peer) -> None:
    picture, mask = Image.new("RGB", (64, 64), "blue"), Image.new("L", (64, 64), 0)
    mask.paste(255, (0, 0, 32, 64))
    made = connect(peer).generate(job(images=(picture,), mask=mask, strength=0.5))[0]
    asked = peer.asked[-1]
    headers, body = asked.headers, asked.body
    assert asked.path == "/v1/images/edits"
    assert headers["content-type"].startswith("multipart/form-data")
    start = body.rindex(b"\x89PNG")
    sent = Image.open(io.BytesIO(body[start:]))
    assert (sent.mode, sent.getpixel((0, 0)), sent.getpixel((63, 0))) == (
        "RGBA", (0, 0, 0, 0), (0, 0, 0, 255),
    )  # fmt: skip
    assert made.getpixel((0, 0)) == (255, 0, 0)
    assert made.getpixel((63, 0)) == (0, 0, 255)


def test_a_picture_changed_without_words_is_a_variation(peer: Peer) -> None:
    connect(peer).generate(job(prompt="", images=(Image.new("RGB", (64, 64)),)))
    assert peer.asked[-1].path == "/v1/images/variations"
    assert b'name="prompt"' not in peer.asked[-1].body


def test_another_size_of_the_same_proportions_is_scaled(peer: Peer) -> None:
    peer.answer = lambda *_: Peer.row(b64_json=base64.b64encode(png(128, 128)).decode())
    assert connect(peer).generate(job())[0].size == (64, 64)


def test_a_full_server_is_asked_again_and_then_it_is_busy(peer: Peer) -> None:
    def at_last(count: int, body: bytes) -> tuple[int, dict[str, str], bytes]:
        return (503, {"retry-after": "0"}, b"") if count < 3 else Peer.good(count, body)

    peer.answer = at_last
    assert len(connect(peer).generate(job())) == 1
    peer.answer = lambda *_: (429, {"retry-after": "0"}, b"{}")
    with pytest.raises(Busy):
        connect(peer).generate(job())


def test_how_long_it_wants_to_be_left_alone_is_heeded_and_said(peer: Peer) -> None:
    sent = {"date": "Tue, 01 Dec 2026 10:00:00 GMT"}
    later = {**sent, "retry-after": "Tue, 01 Dec 2026 10:02:00 GMT"}
    assert retry_after_s({"retry-after": "7"}) == 7
    assert retry_after_s(later) == 120
    assert retry_after_s({**later, "date": "Tue, 01 Dec 2026 10:09:00 GMT"}) == 0
    assert retry_after_s({"retry-after": "soon"}) is None
    # Two minutes are more than there is time for: nobody waits, nor asks again too soon.
    peer.answer = lambda *_: (429, {"retry-after": "120"}, b"{}")
    remote = connect(peer, timeout_s=60)
    for _ in range(2):
        with pytest.raises(Busy) as caught:
            remote.generate(job())
        assert 100 < caught.value.retry_after_s <= 120
    assert sum(bool(one.body) for one in peer.asked) == 1


def events(*rows: dict[str, object], kind: str = "image_generation") -> tuple[int, Any, bytes]:
    """Answer with a stream, as OpenAI's clients read it."""
    named = [{**row, "type": f"{kind}.{row['type']}"} if "type" in row else row for row in rows]
    text = "".join(f"event: x\r\ndata: {json.dumps(row)}\r\n\r\n" for row in named)
    return 200, {"content-type": "text/event-stream; charset=utf-8"}, b": hello\n\n" + text.encode()


def part(index: int, colour: str, **more: object) -> dict[str, object]:
    data = base64.b64encode(png(600, 600, colour)).decode()
    return {"type": "partial_image", "partial_image_index": index, "b64_json": data, **more}


LAST: dict[str, object] = {"type": "completed", "b64_json": base64.b64encode(png()).decode()}


def test_partial_images_become_drafts_in_the_thread_that_asked(peer: Peer) -> None:
    known = {"provenance": {"step": 6, "steps": 8}}
    peer.answer = lambda *_: events(
        part(0, "blue"), part(0, "navy"), part(1, "green", **known), {"type": "partial_image"}, LAST
    )
    looks: list[Any] = []
    made = connect(peer).generate(
        job(drafts=5), draft=lambda one: looks.append((one, threading.get_ident()))
    )
    assert made[0].getpixel((0, 0)) == (255, 0, 0)
    assert [(one.index, one.step, one.steps) for one, _ in looks] == [(1, 1, 4), (1, 6, 8)]
    assert {max(one.picture.size) for one, _ in looks} <= {64}
    assert {thread for _, thread in looks} == {threading.get_ident()}
    sent = json.loads(peer.asked[-1].body)
    assert (sent["stream"], sent["partial_images"]) == (True, 3)
    # What takes a draft may end the job.
    with pytest.raises(ZeroDivisionError):
        connect(peer).generate(job(drafts=1), draft=lambda _: 1 // 0)  # type: ignore[arg-type]


def test_a_server_without_streams_is_asked_without_and_not_again(peer: Peer) -> None:
    def plain(count: int, body: bytes) -> tuple[int, dict[str, str], bytes]:
        if b"partial_images" in body:
            return 400, {}, b'{"error": {"message": "Unknown parameter: \'partial_images\'."}}'
        return Peer.good(count, body)

    peer.answer, remote = plain, connect(peer)
    for asked in (2, 1):
        before = len(peer.asked)
        assert len(remote.generate(job(drafts=2), draft=print)) == 1
        assert len(peer.asked) - before == asked
    # A refusal of the prompt is no such answer: it stands, and is not asked for twice.
    peer.answer = lambda *_: (400, {}, b'{"error": {"code": "moderation_blocked"}}')
    before = len(peer.asked)
    with pytest.raises(GenerationFailed, match="moderation_blocked"):
        connect(peer).generate(job(drafts=2), draft=print)
    assert sum(bool(one.body) for one in peer.asked[before:]) == 1


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        ([part(0, "blue")], GenerationFailed),
        ([part(0, "blue"), {"error": {"code": "moderation_blocked"}}], GenerationFailed),
        ([{"error": {"code": "busy", "message": "a red apple"}}], Busy),
        ([{**LAST, "b64_json": "%%%"}], GenerationFailed),
        ([{**LAST, "b64_json": 7}], GenerationFailed),
        ([{"x": "y" * 3_000_000}], GenerationFailed),
    ],
    ids=["cut_off", "refused_late", "full", "no_base64", "no_text", "too_large"],
)
def test_a_stream_that_ends_badly_is_one_clear_error(
    peer: Peer, rows: list[dict[str, object]], expected: type[ChopmarkError]
) -> None:
    peer.answer = lambda *_: events(*rows)
    with pytest.raises(expected) as caught:
        connect(peer, max_bytes=2_000_000).generate(job(drafts=2), draft=lambda _: None)
    assert "red apple" not in caught.value.explain()


def test_events_are_found_however_their_bytes_are_cut() -> None:
    text = b'data: {"a":\r\ndata: 1}\r\n\r\n: x\n\ndata: [DONE]\n\ndata: {"b": 2}\r\r'
    for cut in range(1, 9):
        reader = EventReader()
        pieces = [text[at : at + cut] for at in range(0, len(text), cut)]
        found = [one for piece in [*pieces, b"\n"] for one in reader.feed(piece)]
        assert found == [{"a": 1}, {"b": 2}]


HOSTILE: dict[str, tuple[Callable[..., Any], type[ChopmarkError]]] = {
    "redirect": (lambda *_: (307, {"location": "http://10.0.0.1/"}, b""), GenerationFailed),
    "picture_elsewhere": (lambda *_: Peer.row(url="http://169.254.169.254/x"), GenerationFailed),
    "file_url": (lambda *_: Peer.row(url="file:///etc/passwd"), GenerationFailed),
    "no_picture": (lambda *_: Peer.row(), GenerationFailed),
    "no_base64": (lambda *_: Peer.row(b64_json="%%%"), GenerationFailed),
    "no_image": (lambda *_: Peer.row(b64_json="aGVsbG8="), GenerationFailed),
    "svg": (
        lambda *_: Peer.row(b64_json=base64.b64encode(b"<svg onload='x'/>").decode()),
        GenerationFailed,
    ),
    "no_json": (lambda *_: (200, {}, b"<html>"), GenerationFailed),
    "deep_json": (lambda *_: (200, {}, b"[" * 200_000), GenerationFailed),
    "json_list": (lambda *_: (200, {}, b"[1]"), GenerationFailed),
    "rows_of_another_type": (lambda *_: (200, {}, b'{"data": {"0": 1}}'), GenerationFailed),
    "too_large": (lambda *_: (200, {}, b"x" * 3_000_000), GenerationFailed),
    "too_many_pixels": (
        lambda *_: Peer.row(b64_json=base64.b64encode(png(2000, 2000)).decode()),
        GenerationFailed,
    ),
    "other_proportions": (
        lambda *_: Peer.row(b64_json=base64.b64encode(png(128, 64)).decode()),
        GenerationFailed,
    ),
    "wrong_key": (lambda *_: (401, {}, b"{}"), ConfigurationError),
    "refused": (
        lambda *_: (400, {}, b'{"error": {"code": "blocked", "message": "a red apple"}}'),
        GenerationFailed,
    ),
}  # fmt: skip


@pytest.mark.parametrize("what", HOSTILE)
def test_whatever_the_server_answers_is_one_clear_error(peer: Peer, what: str) -> None:
    peer.answer, expected = HOSTILE[what]
    remote = connect(peer, max_bytes=2_000_000, max_pixels=1_000_000, retries=0)
    with pytest.raises(expected) as caught:
        remote.generate(job())
    # Their words stay out of our errors: they may hold the prompt.
    assert "red apple" not in caught.value.explain()
    # Nothing but the server itself was asked.
    assert {one.path for one in peer.asked} <= {"/v1/models", "/v1/images/generations"}


def test_a_picture_behind_an_address_of_the_server_itself_is_fetched(peer: Peer) -> None:
    peer.answer = lambda *_: Peer.row(url=f"{peer.url}/picture.png")
    assert connect(peer).generate(job())[0].getpixel((0, 0)) == (255, 0, 0)


def test_a_server_that_never_ends_is_given_up_in_time(peer: Peer) -> None:
    peer.answer = peer.never
    with pytest.raises(GenerationFailed):
        connect(peer, timeout_s=0.4, retries=0).generate(job())


def test_a_server_that_drips_is_given_up_in_time(peer: Peer) -> None:
    def drip() -> Iterator[bytes]:
        while not peer.closing.wait(0.02):
            yield b" "

    remote = connect(peer, timeout_s=0.4, retries=0)
    peer.reply = lambda asked: Reply(200, drip(), length=10**6)  # type: ignore[method-assign]
    with pytest.raises(GenerationFailed, match="in time"):
        remote.generate(job())


def test_who_leaves_does_not_wait_for_the_server(peer: Peer) -> None:
    peer.answer = peer.never
    with pytest.raises(Cancelled):
        connect(peer, timeout_s=HANG_S).generate(
            job(),
            cancelled=lambda: bool(peer.asked[-1].body),  # as soon as it was asked
        )


def test_no_server_no_model_no_start(peer: Peer) -> None:
    with pytest.raises(ModelNotFound, match="no-such"):
        connect(peer, "#no-such")
    url = peer.url
    peer.close()
    with pytest.raises(ModelLoadError) as caught:
        RemoteGenerator.connect(f"remote:{url}/v1", options=RemoteOptions(connect_s=1.0))
    assert caught.value.hint


@pytest.mark.parametrize(
    "address",
    [
        "remote:",
        "remote:ftp://host/v1",
        "remote:https://user:key@host/v1",
        "remote:https://host/v1?key=secret",
        "remote:https://ho st/v1",
        "remote:https://[::1/v1",
        "remote:http://example.org/v1",
        "remote:http://127.0.0.1.example.org/v1",
    ],
)
def test_an_address_that_cannot_be_used_or_would_tell_secrets_is_refused(address: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        split_address(address, allow_plain_http=False)
    assert caught.value.hint
    assert "secret" not in caught.value.explain()


def test_plain_http_must_be_allowed_by_name() -> None:
    assert split_address("remote:http://gpu.internal:8000/v1/", allow_plain_http=True) == (
        "http://gpu.internal:8000/v1",
        "",
    )


def test_the_key_is_in_no_representation() -> None:
    assert "topsecret" not in repr(RemoteOptions(key="topsecret"))

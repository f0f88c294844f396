"""The tools that the load benchmarks measure with: what they count must be what there was."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import io
import json
import os
import socket
import subprocess
import sys
import threading
from typing import TYPE_CHECKING, Any

import pytest
from PIL import Image
from starlette.testclient import TestClient

from benchmarks import hostile_bodies
from benchmarks.hostile_wire import exchange, half_sent
from benchmarks.processes import cpu_seconds, family, memory
from benchmarks.wire import Connection, form, json_post, post

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

# A child burns 0.2 s of CPU itself and 0.2 s in a grandchild that it waits for; then another
# grandchild holds 64 MiB until it is told to stop.
_TREE = """
import subprocess, sys, time
burn = "import time\\nwhile time.process_time() < 0.2: pass"
exec(burn)
subprocess.run([sys.executable, "-c", burn], check=True)
hold = "held = bytearray(b'x') * 2**26; print('held', flush=True); input()"
held = subprocess.Popen([sys.executable, "-c", hold], stdin=subprocess.PIPE)
input()
held.communicate(b"\\n")
"""


@pytest.fixture
def tree() -> Iterator[int]:
    """Run the tree until its memory is held; return its root."""
    with subprocess.Popen(
        [sys.executable, "-c", _TREE], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as root:
        assert root.stdout is not None
        assert root.stdout.readline() == b"held\n"
        yield root.pid
        root.communicate(b"\n")


def test_a_family_is_a_process_and_all_it_started(tree: int) -> None:
    found = family(tree)
    assert tree in found
    assert len(found) == 2  # the one that burned has ended
    assert os.getpid() not in found


def test_cpu_time_counts_children_that_live_and_that_ended(tree: int) -> None:
    assert cpu_seconds(tree) >= 0.4


def test_memory_counts_what_a_grandchild_holds(tree: int) -> None:
    held = memory(tree)
    assert held.pss >= 2**26
    assert held.rss >= held.pss


@contextlib.contextmanager
def answering(answer: bytes, *, reads: int | None = None) -> Iterator[int]:
    """Serve one connection on loopback: read so many bytes (all there are: up to two line ends)."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            connection, _ = server.accept()
            with connection:
                got = b""
                while len(got) < reads if reads is not None else b"\r\n\r\n" not in got:
                    got += connection.recv(2**16)
                connection.sendall(answer)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield server.getsockname()[1]
        thread.join()


LENGTH = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX-Record-Id: r\r\n\r\nhello"
CHUNKED = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nhel\r\n2\r\nlo\r\n0\r\n\r\n"
TO_THE_END = b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\nhello"


@pytest.mark.parametrize("answer", [LENGTH, CHUNKED, TO_THE_END])
def test_an_answer_is_read_however_its_length_is_told(answer: bytes) -> None:
    async def ask(port: int) -> bytes:
        async with Connection(port) as connection:
            return (await connection.ask(json_post("/", {"a": 1}))).body

    with answering(answer) as port:
        assert asyncio.run(ask(port)) == b"hello"


def test_an_answer_that_breaks_off_is_an_error() -> None:
    async def ask(port: int) -> None:
        async with Connection(port) as connection:
            await connection.ask(json_post("/", {}))

    with answering(LENGTH[:-1]) as port, pytest.raises(ConnectionResetError):
        asyncio.run(ask(port))


def test_a_refusal_is_seen_while_the_body_is_on_its_way() -> None:
    told = json.dumps({"error": {"code": "too_large"}}).encode()
    refusal = b"HTTP/1.1 413 Too Large\r\ncontent-length: %d\r\n\r\n%s" % (len(told), told)
    large = post("/", bytes(2**26), kind="application/json")
    with answering(refusal) as port:
        assert exchange(port, large, limit_s=60).said == "413 too_large"


def test_half_sent_requests_tell_what_became_of_them() -> None:
    part = post("/", b"half", kind="application/json", length=100)
    with answering(b"HTTP/1.1 408 Late\r\ncontent-length: 0\r\n\r\n", reads=len(part)) as port:
        assert [one.said for one in half_sent(port, part, 1, limit_s=60)] == ["408"]
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        assert [one.said for one in half_sent(port, part, 2, limit_s=0.1)] == ["held", "held"]


def test_a_form_is_what_a_server_reads() -> None:
    head, _, body = form("/v1/images/edits", b"pixels", prompt="a red apple").partition(b"\r\n\r\n")
    assert f"content-length: {len(body)}".encode() in head
    assert b'name="prompt"\r\n\r\na red apple\r\n' in body
    assert b"\r\n\r\npixels\r\n--" in body


@pytest.mark.parametrize("make", [hostile_bodies.webp_bomb, hostile_bodies.gif_bomb])
def test_a_bomb_is_an_animation_that_opens(make: Callable[[int, int], bytes]) -> None:
    with Image.open(io.BytesIO(make(30, 64))) as picture:
        assert (getattr(picture, "n_frames", 1), picture.size) == (30, (64, 64))
        picture.seek(29)
        picture.load()


@pytest.mark.parametrize(
    ("data", "size"),
    [
        (hostile_bodies.vast_png(70, 80), (70, 80)),
        (hostile_bodies.many_chunks(100), (64, 64)),
        (hostile_bodies.deep_jumbf(100), (64, 64)),
    ],
    ids=["vast", "chunks", "jumbf"],
)
def test_a_hostile_png_is_a_png(data: bytes, size: tuple[int, int]) -> None:
    with Image.open(io.BytesIO(data)) as picture:
        picture.load()
        assert picture.size == size


def test_superboxes_lie_within_each_other() -> None:
    data = hostile_bodies.deep_jumbf(3)
    start = data.index(b"caBX") + 4
    end = start + int.from_bytes(data[start - 8 : start - 4], "big")
    for _ in range(3):
        assert data[start + 4 : start + 8] == b"jumb"
        assert start + int.from_bytes(data[start : start + 4], "big") == end
        description = int.from_bytes(data[start + 8 : start + 12], "big")
        start += 8 + description
    assert start == end


def test_a_text_fits_into_the_bytes_it_may_have() -> None:
    assert hostile_bodies.text("ab", 5) == "ababa"
    assert len(hostile_bodies.text("\u0430", 100, most_bytes=60)) == 30


def test_the_plain_server_gives_what_ours_gives() -> None:
    from benchmarks.plain_server import create_app

    class Made:
        images = (Image.new("RGB", (256, 256), "red"),)

    def pipeline(**_: Any) -> Made:
        return Made()

    with TestClient(create_app(pipeline)) as client:
        answer = client.post("/v1/images/generations", json={"prompt": "a", "size": "512x512"})
    data = base64.b64decode(answer.json()["data"][0]["b64_json"])
    with Image.open(io.BytesIO(data)) as picture:
        assert (picture.format, picture.size) == ("PNG", (512, 512))

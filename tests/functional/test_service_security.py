"""What somebody would try who does not belong here, over real sockets."""

from __future__ import annotations

import base64
import contextlib
import io
import json
import socket
import struct
import threading
import time
import zlib
from typing import TYPE_CHECKING, Self
from urllib.parse import quote, urlsplit

import httpx
import pytest
from PIL import Image

from chopmark import Settings
from tests.support.generator import StandIn, unreached
from tests.support.home import open_with
from tests.support.server import serve
from tests.support.wait import HANG_S

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from chopmark import Pipeline
    from tests.support.server import Live


@pytest.fixture(scope="module")
def live(shared_pipeline: Pipeline, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    """Everything real but the generator, which nothing here may reach."""
    home = tmp_path_factory.mktemp("security") / "home"
    settings = Settings(home=home, max_image_pixels=4_000_000)
    generator = StandIn(unreached, id="unreached")
    with (
        open_with(shared_pipeline, settings, generator=generator) as pipeline,
        serve(pipeline) as live,
    ):
        yield live


@pytest.fixture(scope="module")
def base_url(live: Live) -> str:
    return live.url


@pytest.fixture
def client(live: Live) -> Iterator[httpx.Client]:
    with live.client() as client:
        yield client


def _raw(base_url: str, data: bytes, *, silence_s: float = HANG_S) -> bytes:
    where = urlsplit(base_url)
    got = b""
    with socket.create_connection(
        (where.hostname or "", where.port or 0), timeout=silence_s
    ) as raw:
        raw.sendall(data)
        with contextlib.suppress(TimeoutError, ConnectionResetError):
            while chunk := raw.recv(65536):
                got += chunk
    return got


def _data_url(data: bytes) -> str:
    return "data:image/png;base64," + base64.b64encode(data).decode()


def _moderate(client: httpx.Client, url: str) -> httpx.Response:
    part = {"type": "image_url", "image_url": {"url": url}}
    return client.post("/v1/moderations", json={"input": [part]})


PATHS = [
    "../../../../etc/passwd",
    "..%2f..%2f..%2fetc%2fpasswd",
    "..%5c..%5cwindows",
    "%2e%2e/%2e%2e/tenancy/access.db",
    "0123456789abcdef/../../audit/log.db",
    "0123456789abcdef%00.json",
    "file:///etc/passwd",
    "0123456789ABCDEF",
    "0123456789abcdef0",
    "' OR 1=1 --",
    "*",
]


@pytest.mark.parametrize("route", ["/api/v1/records/", "/api/v1/receipts/", "/v1/models/"])
@pytest.mark.parametrize("path", PATHS)
def test_no_id_leads_out_of_the_records(base_url: str, route: str, path: str) -> None:
    # Over a raw socket: a client library would tidy the path up.
    target = f"{route}{quote(path, safe='%/.:*')}"
    head = "Host: localhost\r\nConnection: close"
    answer = _raw(base_url, f"GET {target} HTTP/1.1\r\n{head}\r\n\r\n".encode())
    assert answer.split(b" ", 2)[1] in {b"400", b"404"}, answer[:200]
    assert b"root:" not in answer
    assert b"SQLite" not in answer


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:{port}/a.png",
        "https://169.254.169.254/latest/meta-data/",
        "HTTP://localhost:{port}/a.png",
        "file:///etc/passwd",
        "ftp://localhost:{port}/a.png",
        "//localhost:{port}/a.png",
        "gopher://localhost:{port}/_x",
        "data:text/html;base64,PGh0bWw+",
        "data:image/png,http://localhost:{port}/",
        "data:image/svg+xml;base64,"
        + base64.b64encode(b'<svg><image href="http://localhost:{port}/"/></svg>').decode(),
        " http://localhost:{port}/a.png",
    ],
)
def test_no_address_is_fetched(client: httpx.Client, url: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as trap:
        trap.settimeout(0.2)
        answer = _moderate(client, url.replace("{port}", str(trap.getsockname()[1])))
        assert answer.status_code in {400, 415}, answer.text
        with pytest.raises(TimeoutError):
            trap.accept()


def _png(width: int, height: int, rows: bytes) -> bytes:
    def chunk(name: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        )

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")
    )


@pytest.fixture(scope="module")
def bombs() -> dict[str, bytes]:
    text = zlib.compress(b"\0" * 60_000_000, 9)
    ztxt = b"zTXt" + b"comment\0\0" + text
    bomb = io.BytesIO()
    Image.new("1", (30_000, 30_000)).save(bomb, "PNG")
    gif = io.BytesIO()
    frames = [Image.new("P", (500, 500), color) for color in range(120)]
    frames[0].save(gif, "GIF", save_all=True, append_images=frames[1:])
    plain = _png(64, 64, zlib.compress(b"\0" * 64 * 193))
    at = plain.index(b"IDAT") - 4
    inside = struct.pack(">I", len(ztxt) - 4) + ztxt + struct.pack(">I", zlib.crc32(ztxt))
    return {
        "a picture of 900 million pixels": bomb.getvalue(),
        "a header that promises 60000x60000": _png(60_000, 60_000, zlib.compress(b"\0" * 1000)),
        "rows that unpack to 60 MB": _png(64, 64, text),
        "a comment that unpacks to 60 MB": plain[:at] + inside + plain[at:],
        "120 frames": gif.getvalue(),
    }


@pytest.mark.parametrize(
    "bomb",
    [
        "a picture of 900 million pixels",
        "a header that promises 60000x60000",
        "rows that unpack to 60 MB",
        "a comment that unpacks to 60 MB",
        "120 frames",
    ],
)
def test_a_bomb_does_not_go_off(client: httpx.Client, bombs: dict[str, bytes], bomb: str) -> None:
    data = bombs[bomb]
    assert len(data) < 4_000_000
    with _Memory() as memory:
        started = time.process_time()
        answers = [
            _moderate(client, _data_url(data)),
            client.post("/api/v1/verify", files={"image": ("a.png", data)}),
            client.post("/v1/images/edits", data={"prompt": "a"}, files={"image": ("a.png", data)}),
            client.post(
                "/v1/images/edits",
                data={"prompt": "a"},
                files=[("image[]", ("a.png", data))] * 3,
            ),
        ]
    for answer in answers:
        # The 60 MB of a comment or of surplus rows are dropped; the picture beside them is fine,
        # and it is then the generator here that is not.
        assert answer.status_code in {200, 400, 413, 415, 500}, answer.text
        if answer.status_code == 500:
            assert answer.json()["error"]["code"] == "generation_failed"
    assert time.process_time() - started < 30
    assert memory.grown < 400 * 2**20, f"{memory.grown / 2**20:.0f} MiB"


class _Memory:
    """How far this process's resident memory went up meanwhile."""

    def __enter__(self) -> Self:
        self.grown = 0
        self._stop = threading.Event()
        self._before = self._now()
        self._thread = threading.Thread(target=self._watch)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._stop.wait(0.005):
            self.grown = max(self.grown, self._now() - self._before)

    @staticmethod
    def _now() -> int:
        from pathlib import Path

        return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


@pytest.mark.parametrize(
    ("name", "headers", "body"),
    [
        ("two lengths", "Content-Length: 5\r\nContent-Length: 50\r\n", b"{}"),
        (
            "a length and chunks",
            "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
            b"0\r\n\r\nGET /v1/models HTTP/1.1\r\nHost: localhost\r\n\r\n",
        ),
        ("an odd encoding", "Transfer-Encoding: xchunked\r\n", b"0\r\n\r\n"),
        ("a space before the colon", "Content-Length : 5\r\n", b"12345"),
        ("a folded header", "X-A: b\r\n c: d\r\nContent-Length: 0\r\n", b""),
        ("a signed length", "Content-Length: +5\r\n", b"12345"),
        ("a bare line feed in a header", "X-A: b\nContent-Length: 0\r\n", b""),
        ("a zero byte", "X-A: b\0c\r\nContent-Length: 0\r\n", b""),
    ],
)
def test_no_second_request_is_smuggled(base_url: str, name: str, headers: str, body: bytes) -> None:
    request = (
        f"POST /v1/moderations HTTP/1.1\r\nHost: localhost\r\n"
        f"Content-Type: application/json\r\n{headers}\r\n"
    ).encode() + body
    # Two seconds of silence are the end where the server keeps the connection.
    answer = _raw(base_url, request, silence_s=2)
    # One answer at most, and it is a refusal; a second one would be the smuggled request's.
    assert answer.count(b"HTTP/1.1 ") <= 1, (name, answer)
    assert not answer or answer.split(b" ", 2)[1] in {b"400", b"411", b"415", b"422", b"501"}, name
    assert b"unreached" not in answer


def test_headers_of_an_answer_hold_nothing_of_the_caller(client: httpx.Client) -> None:
    answer = client.post(
        "/v1/images/generations",
        json={"prompt": "a", "model": "x\r\nset-cookie: a=b"},
        headers={"x-request-id": "forged", "x-record-id": "forged"},
    )
    assert answer.status_code == 404
    assert "set-cookie" not in answer.headers
    assert "forged" not in str(answer.headers)
    assert answer.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize(
    "body",
    [
        b"[" * 100_000,
        b'{"prompt":' * 50_000,
        b'{"prompt": "' + b"\\ud800" * 10 + b'"}',
        b'{"prompt": "a", "n": 1e999}',
        b'{"prompt": "a", "seed": ' + b"9" * 5000 + b"}",
        b'{"prompt": "a", "size": "' + b"9" * 100_000 + b'x1"}',
        b"\xff\xfe{",
        b'{"prompt": "a", "prompt": {"a": 1}}',
        b"null",
        b'"text"',
    ],
)
def test_odd_json_is_400_and_quick(client: httpx.Client, body: bytes) -> None:
    started = time.process_time()
    answer = client.post(
        "/v1/images/generations", content=body, headers={"content-type": "application/json"}
    )
    assert answer.status_code == 400, answer.text[:300]
    assert len(answer.content) < 4096
    assert time.process_time() - started < 10


def test_odd_forms_are_refused(client: httpx.Client) -> None:
    many = {f"f{number}": "x" for number in range(2000)}
    picture = {"image": ("a.png", b"x")}
    assert client.post("/v1/images/edits", data=many, files=picture).status_code == 400
    pictures = [("image", (f"{n}.png", b"x")) for n in range(40)]
    assert client.post("/v1/images/edits", files=pictures).status_code == 400
    head = {"content-type": "multipart/form-data"}
    assert client.post("/v1/images/edits", content=b"x", headers=head).status_code == 400
    named = {"image": ("../../../etc/passwd\r\nx: y", b"x")}
    answer = client.post("/v1/images/edits", data={"prompt": "a"}, files=named)
    assert answer.status_code in {400, 415}


def test_a_body_without_a_length_is_counted_too(client: httpx.Client, live: Live) -> None:
    def endless() -> Iterator[bytes]:
        for _ in range(int(live.pipeline.settings.max_image_bytes * 1.5 / 65536)):
            yield b" " * 65536

    head = {"content-type": "application/json"}
    try:
        answer = client.post("/v1/moderations", content=endless(), headers=head)
    except httpx.WriteError:
        return  # the connection was closed before all of it was sent
    assert answer.status_code == 413
    assert answer.json()["error"]["code"] == "image_too_large"


def test_a_slow_sender_does_not_stop_the_others(base_url: str, client: httpx.Client) -> None:
    where = urlsplit(base_url)
    slow = []
    try:
        for _ in range(50):
            raw = socket.create_connection((where.hostname or "", where.port or 0))
            raw.sendall(
                b"POST /v1/moderations HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99\r\n\r\n{"
            )
            slow.append(raw)
        assert client.get("/healthz").status_code == 200
        assert client.post("/v1/moderations", json={"input": "a red apple"}).status_code == 200
    finally:
        for raw in slow:
            raw.close()


def test_files_of_keys_are_private(live: Live) -> None:
    folder: Path = live.pipeline.parts.home / "tenancy"
    assert folder.stat().st_mode & 0o077 == 0
    for path in folder.iterdir():
        assert path.stat().st_mode & 0o077 == 0, path.name


def test_the_description_names_no_file_of_the_server(client: httpx.Client) -> None:
    text = json.dumps(client.get("/openapi.json").json())
    for word in ("/work/", "/home/", "site-packages"):
        assert word not in text

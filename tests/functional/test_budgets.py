"""What somebody sends to use up time or memory, each kind with the refusal that it gets.

Small enough for every run: limits are lowered where a setting is one. How much is held and whose
turn it is are counted; what that costs at full size, ``benchmarks/hostile.py`` measures.
"""

from __future__ import annotations

import asyncio
import base64
import json
import socket
import struct
import threading
import zlib
from contextlib import asynccontextmanager, contextmanager
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest

from chopmark.errors import UnreadableImage
from chopmark.kit import limits
from chopmark.service.connection import BoundedConnection
from chopmark.service.deployment import Deployment
from chopmark.service.state import state_of
from chopmark.site import create_site
from chopmark.tenancy import AccessStore, People
from tests.support.generator import StandIn
from tests.support.server import Live, serve
from tests.support.wait import HANG_S, until, until_async

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

    import httpx

    from chopmark import Pipeline

JSON = {"content-type": "application/json"}
MIB = 1 << 20


@pytest.fixture
def start(open_pipeline: Callable[..., Pipeline]) -> Callable[..., Any]:
    """Returns a factory of running sites: the API and the pages, with settings of the test's."""

    @contextmanager
    def run(**settings: Any) -> Iterator[Site]:
        pipeline = open_pipeline(generator=StandIn(), **{"requests_per_minute": 0, **settings})
        with AccessStore.open(pipeline.parts.home) as store:
            key = store.create_key("default", scopes=("generate", "moderate", "verify", "read",
                                                      "fetch:manifests")).text  # fmt: skip
        with serve(pipeline, create_site) as live:
            site = Site(live, key)
            try:
                yield site
            finally:
                for raw in site.raws:
                    raw.close()

    return run


class Site:
    """A running site, and the key to it."""

    def __init__(self, live: Live, key: str) -> None:
        self.live = live
        self.raws: list[Raw] = []
        self.key = {"authorization": f"Bearer {key}"}
        self.deployment = state_of(live.app.api, Deployment)
        self.service = self.deployment.service

    def client(self, *, known: bool = True) -> httpx.Client:
        return self.live.client(headers=self.key if known else {})

    def raw(self, method: str, path: str, *headers: str, known: bool = True) -> Raw:
        """Send the head of a request and nothing else."""
        more = [f"Authorization: {self.key['authorization']}"] if known else []
        return self.connect(
            f"{method} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n"
            + "".join(f"{one}\r\n" for one in (*more, *headers))
            + "\r\n"
        )

    def connect(self, sent: str) -> Raw:
        """Open a connection, and send so much on it."""
        self.raws.append(Raw(self.live.url, sent))
        return self.raws[-1]

    def somebody(self) -> dict[str, str]:
        """Return the headers of a person who signed in."""
        with People.open(self.live.pipeline.parts.home) as people:
            people.add("ada", roles=["creator"], tenant="default")
            link = people.link("ada")
        with self.live.client() as client:
            said = client.post("/api/v1/session", json={"link": link})
        return {
            "cookie": f"chopmark_session={said.cookies['chopmark_session']}",
            "x-csrf-token": said.json()["csrf_token"],
        }


class Raw:
    """A connection on which a test writes byte for byte."""

    def __init__(self, url: str, sent: str | bytes = b"") -> None:
        where = urlsplit(url)
        self.socket = socket.create_connection((where.hostname or "", where.port or 0))
        self.socket.settimeout(HANG_S)
        self.send(sent)

    def send(self, data: str | bytes) -> None:
        self.socket.sendall(data.encode() if isinstance(data, str) else data)

    def answer(self) -> tuple[int, str]:
        """Return the answer's status and code, read until the server closes or is through."""
        said = b""
        while b"\r\n\r\n" not in said or not said.rstrip().endswith(b"}"):
            piece = self.socket.recv(65536)
            if not piece:
                break
            said += piece
        head, _, body = said.partition(b"\r\n\r\n")
        return int(head.split()[1]), json.loads(body)["error"]["code"]

    def status(self) -> int:
        """Return the answer's status alone."""
        return int(self.socket.recv(65536).split()[1])

    def closed(self) -> bool:
        """Wait until the server closes."""
        try:
            while self.socket.recv(65536):
                pass
        except ConnectionResetError:
            pass
        return True

    def close(self) -> None:
        self.socket.close()


def refusal(answer: httpx.Response) -> tuple[int, str]:
    """Return status and code; of a page they stand in its text."""
    if answer.headers["content-type"].startswith("text/html"):
        code = answer.text.partition(f'<p class="quiet">{answer.status_code} ')[2]
        code = code.partition("<code>")[2].partition("</code>")[0]
        return answer.status_code, code
    error = answer.json()["error"]
    return answer.status_code, error["code"]


# Sizes


def pieces(total: int) -> Iterator[bytes]:
    """A body that is chunked, so that its length is known to nobody."""
    for _ in range(total // 4096 + 1):
        yield b" " * 4096


TEXT_ROUTES = [
    ("POST", "/api/v1/appeals", False),
    ("POST", "/api/v1/session", False),
    ("POST", "/sign-in", False),
    ("POST", "/api/v1/nothing/of/this/name", True),
    ("POST", "/api/v1/search", True),
    ("POST", "/api/v1/c2pa/matches/byBinding", True),
    ("PUT", "/api/v1/c2pa/bindings", True),
    ("GET", "/v1/models", True),
    ("DELETE", "/api/v1/session", False),
]


@pytest.mark.parametrize("declared", [True, False], ids=["declared", "chunked"])
def test_what_takes_no_picture_takes_64_kb(start: Any, *, declared: bool) -> None:
    size = limits.TEXT_BODY.most + 1
    with start(public_verify=True) as site:
        for method, path, known in TEXT_ROUTES:
            with site.client(known=known) as client:
                if method in {"GET", "DELETE"} and not declared:
                    continue  # nobody reads it
                said = client.request(
                    method,
                    path,
                    content=b" " * size if declared else pieces(size),
                    headers={
                        "content-type": "application/x-www-form-urlencoded"
                        if path == "/sign-in"
                        else "application/json"
                    },
                )
            if not declared and said.status_code == 404:
                continue  # a route that is not there reads nothing
            assert refusal(said) == (413, "request_too_large"), path
        assert site.deployment.bodies.held == 0


def test_a_picture_route_takes_what_its_pictures_may_have(start: Any) -> None:
    with start(max_image_bytes=4096, max_references=1, public_verify=True) as site:
        text = limits.TEXT_BODY.most
        with site.client() as client:
            for path, most in (
                ("/api/v1/verify", 4096 + text),
                ("/verify", 4096 + text),
                ("/api/v1/c2pa/matches/byContent", 4096 + text),
                ("/v1/moderations", int(1.4 * 4096) + text),
            ):
                over = client.post(path, content=b" " * (most + 1), headers=JSON)
                assert refusal(over) == (413, "image_too_large"), path
                if "byContent" not in path:  # there all of the body is the picture
                    fits = client.post(path, content=b" " * most, headers=JSON)
                    assert fits.status_code != 413, path


def test_every_route_of_pictures_is_known_as_one(start: Any) -> None:
    """A new route that takes a form or a picture says so where the bounds of bodies stand."""
    from chopmark.service.body_limit import body_bound

    with start() as site:
        settings = site.live.pipeline.settings
        described = site.live.app.api.openapi()["paths"]
        forms = [
            path
            for path, methods in described.items()
            for method in methods.values()
            if {"multipart/form-data", "image/*"} & set(
                method.get("requestBody", {}).get("content", {})
            )
        ]  # fmt: skip
        assert len(forms) >= 5
        for path in forms:
            assert body_bound("POST", path.replace("{", "").replace("}", ""), settings).pictures


# Before anybody is known, and before anything is read


HEAD = ("Content-Type: application/json", "Content-Length: 4000")


def test_without_a_key_nothing_but_headers_is_read(start: Any) -> None:
    with start() as site:
        for path in ("/v1/images/generations", "/v1/moderations", "/api/v1/verify", "/verify"):
            raw = site.raw("POST", path, *HEAD, known=False)
            assert raw.status() == 401, path
        assert site.deployment.bodies.unfinished == 0


def test_too_many_requests_are_refused_with_their_bodies_unread(start: Any) -> None:
    with start(requests_per_minute=1) as site:
        with site.client() as client:
            assert client.get("/v1/models").status_code == 200
        raw = site.raw("POST", "/v1/images/generations", *HEAD)
        assert raw.answer() == (429, "rate_limit_exceeded")
    with start() as site:
        with site.client(known=False) as client:
            for _ in range(60):
                assert client.post("/api/v1/session", json={}).status_code == 400
        raw = site.raw("POST", "/api/v1/session", *HEAD, known=False)
        assert raw.answer() == (429, "rate_limit_exceeded")


def test_a_key_that_is_sent_again_is_asked_for_before_the_body(start: Any) -> None:
    """``Idempotency-Key`` needs the whole body; it is not read of somebody who is not let in."""
    with start() as site:
        raw = site.raw("POST", "/v1/images/generations", *HEAD, "Idempotency-Key: a", known=False)
        assert raw.answer() == (401, "invalid_api_key")


# JSON and forms


@pytest.mark.parametrize(
    "body",
    [
        b"[" * 5000,
        b'{"a":' * 5000,
        b'{"prompt": "a", "x": ' + b"[" * 40 + b"]" * 40 + b"}",
        b'{"prompt": "a", "x": [' + b"{}," * 12_000 + b"1]}",
        b'{"prompt": "a \\ud800"}',
        b'{"prompt": "a", "user": "\\udc00\\ud800"}',
        b'{"prompt": "a", "\\ud800": 1}',
        b'{"prompt": "a\\u0000b"}',
        b'{"prompt": "a", "seed": ' + b"9" * 5000 + b"}",
        b'{"prompt": "a", "seed": 1e999}',
        b'{"prompt": "a", "seed": NaN}',
        b'{"prompt": "\xed\xa0\x80"}',
        '{"prompt": "a"}'.encode("utf-16"),
        b'{"prompt": "a", "n": 99999999999999999999999999}',
    ],
)
def test_odd_json_is_one_coded_400(start: Any, body: bytes) -> None:
    with start() as site, site.client() as client:
        for path in ("/v1/images/generations", "/v1/models/drawing:generateContent"):
            said = client.post(path, content=body, headers=JSON)
            assert said.status_code == 400, (path, said.text)
            assert len(said.content) < 4096
        said = client.post("/v1/images/generations", content=body, headers=JSON)
        assert refusal(said) == (400, "invalid_request")
        anybody = client.post("/api/v1/session", content=body, headers=JSON)
        assert anybody.status_code == 400


def form(parts: int, *, file: bool = False, size: int = 1) -> bytes:
    name = 'filename="a"; ' if file else ""
    part = (
        b'--b\r\nContent-Disposition: form-data; name="x"; '
        + name.encode()
        + b"\r\n\r\n"
        + b"a" * size
        + b"\r\n"
    )
    return part * parts + b"--b--\r\n"


@pytest.mark.parametrize(
    "body",
    [
        form(limits.FIELDS.most + 1),
        form(limits.FILES.most + 1, file=True),
        form(1, size=limits.TEXT_PART.most + 1),
        b"--b\r\n" + b"X-A: b\r\n" * 100 + b"\r\n",
        b'--b\r\nContent-Disposition: form-data; name="' + b"n" * 9000 + b'"\r\n\r\na\r\n--b--\r\n',
    ],
    ids=["fields", "files", "a long field", "many headers", "a long header"],
)
def test_forms_of_too_many_parts_are_refused(start: Any, body: bytes) -> None:
    head = {"content-type": "multipart/form-data; boundary=b"}
    with start(public_verify=True) as site, site.client() as client:
        for path in ("/v1/images/edits", "/api/v1/verify", "/verify"):
            said = client.post(path, content=body, headers=head)
            assert refusal(said) == (400, "invalid_request"), path


def test_texts_of_a_moderation_have_a_length(start: Any) -> None:
    with start(max_prompt_chars=100) as site, site.client() as client:
        for texts in ("a" * 101, ["a", "a" * 101], ["a" * 90] * 9):
            said = client.post("/v1/moderations", json={"input": texts})
            assert refusal(said) == (400, "invalid_request")
        assert client.post("/v1/moderations", json={"input": "an apple"}).status_code == 200


# Slow senders


def test_a_body_that_does_not_come_is_408_and_the_connection_is_closed(start: Any) -> None:
    with start(body_idle_s=0.2) as site:
        raw = site.raw("POST", "/v1/moderations", *HEAD)
        raw.send('{"input"')
        assert raw.answer() == (408, "request_timeout")
        assert raw.closed()
        until(lambda: site.deployment.bodies.unfinished == 0)
        assert site.deployment.bodies.held == 0


def test_a_body_in_drops_is_408_too(start: Any) -> None:
    with start(body_idle_s=60, body_timeout_s=0.5) as site:
        kind = "Content-Type: multipart/form-data; boundary=b"
        raw = site.raw("POST", "/api/v1/verify", kind, "Content-Length: 4000")
        raw.send(form(1, file=True)[:60])
        answered = threading.Event()

        def drip() -> None:
            while not answered.wait(0.05):
                try:
                    raw.send(b"a")
                except OSError:
                    return

        dripping = threading.Thread(target=drip)
        dripping.start()
        try:
            assert raw.answer() == (408, "request_timeout")
        finally:
            answered.set()
            dripping.join()


def test_headers_that_do_not_end_are_408(start: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(BoundedConnection, "headers_s", 0.2)
    with start() as site:
        for begun in ("GET /healthz HT", "GET /healthz HTTP/1.1\r\nHost: a\r\nX: "):
            raw = site.connect(begun)
            assert raw.answer() == (408, "request_timeout")
            assert raw.closed()


def test_headers_that_are_too_long_are_431(start: Any) -> None:
    with start() as site:
        raw = site.connect("GET /healthz HTTP/1.1\r\nX: " + "a" * limits.HEADERS.most)
        assert raw.answer() == (431, "headers_too_large")
        assert raw.closed()
        raw = site.connect("no HTTP at all\r\n\r\n")
        assert raw.answer() == (400, "invalid_request")


def test_what_goes_on_after_a_refusal_is_not_read_for_ever(
    start: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(BoundedConnection, "rest_s", 0.2)
    with start() as site:
        raw = site.raw("POST", "/v1/moderations", *HEAD, known=False)
        assert raw.status() == 401
        assert raw.closed()  # the other 4,000 bytes never came


def test_half_sent_bodies_shut_nobody_out(start: Any) -> None:
    with start(max_connections=200) as site:
        slow = [site.raw("POST", "/v1/moderations", *HEAD) for _ in range(limits.UNFINISHED.most)]
        until(lambda: site.deployment.bodies.unfinished == limits.UNFINISHED.most)
        more = site.raw("POST", "/v1/moderations", *HEAD)
        assert more.answer() == (503, "busy")
        with site.client() as client:
            assert client.get("/healthz").status_code == 200
        with AccessStore.open(site.live.pipeline.parts.home) as store:
            from chopmark.tenancy import Tenant

            store.set_tenant(Tenant(name="other"))
            other = store.create_key("other", scopes=("moderate",)).text
        with site.live.client(headers={"authorization": f"Bearer {other}"}) as client:
            assert client.post("/v1/moderations", json={"input": "a cat"}).status_code == 200
        for raw in (*slow, more):
            raw.close()
        until(lambda: site.deployment.bodies.unfinished == 0)


def test_when_all_connections_are_taken_the_slowest_loses_its_own(start: Any) -> None:
    with start(max_connections=8) as site:
        slow = [site.connect("GET /healthz HTTP/1.1\r\n") for _ in range(24)]
        with site.client() as client:
            assert client.get("/healthz").status_code == 200
        assert slow[0].closed()


def test_bodies_hold_no_more_than_there_is_room_for(start: Any) -> None:
    with start(max_body_bytes_held=MIB, max_image_bytes=MIB // 2) as site:
        kind = "Content-Type: multipart/form-data; boundary=b"
        first = [
            site.raw("POST", "/api/v1/verify", kind, f"Content-Length: {MIB // 4}")
            for _ in range(2)
        ]
        until(lambda: site.deployment.bodies.held == MIB // 2)
        # The same tenant has its half; nothing of the third is read before it is told so.
        third = site.raw("POST", "/api/v1/verify", kind, f"Content-Length: {MIB // 4}")
        assert third.answer() == (503, "busy")
        for raw in (*first, third):
            raw.close()
        until(lambda: site.deployment.bodies.held == 0)


# Pictures


def chunk(kind: bytes, content: bytes = b"") -> bytes:
    checksum = zlib.crc32(kind + content)
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", checksum)


def bomb(width: int, height: int) -> bytes:
    """Return a PNG of one colour whose rows are there: it unpacks to all that it declares."""
    rows = zlib.compressobj()
    packed = b"".join(rows.compress(bytes(1 + 3 * width)) for _ in range(height)) + rows.flush()
    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"".join(
        (b"\x89PNG\r\n\x1a\n", chunk(b"IHDR", head), chunk(b"IDAT", packed), chunk(b"IEND"))
    )


SMALL = bomb(96, 96)
CHUNKS = SMALL[:33] + chunk(b"tEXt") * limits.PNG_CHUNKS.most + SMALL[33:]


def data_url(data: bytes) -> str:
    return "data:image/png;base64," + base64.b64encode(data).decode()


#: How each route that looks at a picture is sent one.
LOOKS: dict[str, Callable[[httpx.Client, bytes], httpx.Response]] = {
    "/api/v1/verify": lambda client, data: client.post("/api/v1/verify", files={"image": data}),
    "/verify": lambda client, data: client.post("/verify", files={"image": data}),
    "/verify/restored": lambda client, data: client.post("/verify/restored", files={"image": data}),
    "byContent": lambda client, data: client.post(
        "/api/v1/c2pa/matches/byContent", content=data, headers={"content-type": "image/png"}
    ),
    "/api/v1/hashes/match": lambda client, data: client.post(
        "/api/v1/hashes/match", files={"image": data}
    ),
    "/v1/moderations": lambda client, data: client.post(
        "/v1/moderations",
        json={"input": [{"type": "image_url", "image_url": {"url": data_url(data)}}]},
    ),
    "a mask": lambda client, data: client.post(
        "/v1/images/edits", files={"image": SMALL, "mask": data}, data={"prompt": "an apple"}
    ),
}
EDITS: dict[str, Callable[[httpx.Client, bytes], httpx.Response]] = {
    "/v1/images/edits": lambda client, data: client.post(
        "/v1/images/edits", files={"image": data}, data={"prompt": "an apple"}
    ),
    "a reference": lambda client, data: client.post(
        "/v1/images/edits",
        files=[("image[]", SMALL), ("image[]", data)],
        data={"prompt": "an apple"},
    ),
    "/v1/images/variations": lambda client, data: client.post(
        "/v1/images/variations", files={"image": data}
    ),
    "generateContent": lambda client, data: client.post(
        "/v1/models/drawing:generateContent",
        json={
            "contents": [
                {
                    "parts": [
                        {"text": "an apple"},
                        {"inlineData": {"data": data_url(data).partition(",")[2]}},
                    ]
                }
            ]
        },
    ),
}


def test_files_of_too_many_parts_and_pixels_are_refused_before_their_turn(start: Any) -> None:
    with start(max_image_pixels=10_000, max_image_bytes=1 << 18) as site:
        with site.client() as client:
            for route, send in {**LOOKS, **EDITS}.items():
                said = send(client, CHUNKS)
                code = (413, "image_too_complex")
                if route == "generateContent":
                    assert said.status_code == 413
                    assert said.json()["error"]["details"][0]["reason"] == code[1].upper()
                else:
                    assert refusal(said) == code, route
                for large in (bomb(101, 100), SMALL + bytes(1 << 18)):
                    said = send(client, large)
                    assert said.status_code == 413, route
                    if route != "generateContent":
                        assert refusal(said) == (413, "image_too_large"), route
        assert site.service.looking.turns.running == 0


class Gate:
    """Stands for the room of pixels: notes who wants how much, and lets nobody in until opened."""

    def __init__(self) -> None:
        self.asked: list[int] = []
        self.opened = threading.Event()

    @asynccontextmanager
    async def held(self, amount: int) -> AsyncIterator[None]:
        self.asked.append(amount)
        await until_async(self.opened.is_set)
        yield


def test_every_route_of_pictures_takes_a_turn_and_room(start: Any) -> None:
    with start() as site:
        for route in LOOKS:
            _waits_for_room(site, route)


def _waits_for_room(site: Site, route: str) -> None:
    gate = Gate()
    site.service.looking.room = gate  # type: ignore[assignment]
    said: list[httpx.Response] = []

    def ask() -> None:
        with site.client() as client:
            said.append(LOOKS[route](client, SMALL))

    asking = threading.Thread(target=ask)
    asking.start()
    until(lambda: gate.asked)
    assert (site.service.looking.turns.running, said) == (1, []), route
    gate.opened.set()
    asking.join(HANG_S)
    assert said[0].status_code < 500, (route, said[0].text)
    assert gate.asked == [96 * 96], route
    assert site.service.looking.turns.running == 0, route


def test_edits_take_room_for_all_of_their_pictures(start: Any) -> None:
    pixels = {"a reference": 2 * 96 * 96}
    with start() as site:
        for route, send in EDITS.items():
            gate = Gate()
            gate.opened.set()
            site.service.edit_room = gate
            with site.client() as client:
                assert send(client, SMALL).status_code == 200, route
            assert gate.asked == [pixels.get(route, 96 * 96)], route


def test_pictures_that_are_too_many_pixels_together_are_refused(start: Any) -> None:
    with start(max_image_pixels=10_000, max_pixels_in_flight=10_000) as site:
        with site.client() as client:
            said = EDITS["a reference"](client, SMALL)
        assert refusal(said) == (413, "image_too_large")


class Hanging:
    """What a picture may do to a decoder: the work never ends, until the test lets it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.begun = threading.Event()
        self.ends = threading.Event()

        def hang(*_: Any, **__: Any) -> Any:
            self.begun.set()
            assert self.ends.wait(HANG_S)
            raise UnreadableImage("it was let go")

        monkeypatch.setattr("chopmark.pipeline.inspect.examine", hang)


def test_what_takes_too_long_is_504_and_keeps_its_turn_until_it_ends(
    start: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    hanging = Hanging(monkeypatch)
    with start(look_timeout_s=0.2) as site:
        with site.client() as client:
            for route in ("/api/v1/verify", "/verify"):
                assert refusal(LOOKS[route](client, SMALL)) == (504, "stage_timeout")
        # Both are answered, and both still run: a thread cannot be stopped.
        assert site.service.looking.turns.running == 2
        hanging.ends.set()
        until(lambda: site.service.looking.turns.running == 0)


def test_who_goes_away_keeps_a_turn_that_has_begun_and_no_other(
    start: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    hanging = Hanging(monkeypatch)
    with start(max_running=1) as site:
        turns = site.service.looking.turns
        body = (
            form(1, file=True)
            .replace(b'"x"', b'"image"')
            .replace(b"\r\n\r\na", b"\r\n\r\n" + SMALL)
        )
        kind = "Content-Type: multipart/form-data; boundary=b"
        sent = []
        for _ in range(2):
            sent.append(site.raw("POST", "/api/v1/verify", kind, f"Content-Length: {len(body)}"))
            sent[-1].send(body)
            until(hanging.begun.is_set)
        until(lambda: (turns.running, turns.waiting) == (1, 1))
        for raw in sent:
            raw.close()
        until(lambda: turns.waiting == 0)
        assert turns.running == 1
        hanging.ends.set()
        until(lambda: turns.running == 0)


# The public pages


def test_the_detector_is_for_those_who_are_let_in(start: Any) -> None:
    pages = [("GET", "/verify"), ("POST", "/verify"), ("POST", "/verify/restored")]
    with start() as site:
        with site.client(known=False) as client:
            for method, path in pages:
                said = client.request(method, path, files={"image": SMALL})
                assert refusal(said) == (401, "not_signed_in"), (method, path)
                assert 'href="/sign-in' in said.text
                assert "CHOPMARK_PUBLIC_VERIFY" in said.text
            assert refusal(LOOKS["/api/v1/verify"](client, SMALL)) == (401, "invalid_api_key")
            assert refusal(LOOKS["byContent"](client, SMALL)) == (401, "invalid_api_key")
        with site.client() as client:
            assert client.get("/verify").status_code == 200
            assert LOOKS["/verify"](client, SMALL).status_code == 200
            assert refusal(client.get("/studio")) == (401, "not_signed_in")
        with AccessStore.open(site.live.pipeline.parts.home) as store:
            wrong = store.create_key("default", scopes=("generate",)).text
        for key, expected in ((wrong, (403, "missing_scope")), ("cm_x", (401, "invalid_api_key"))):
            with site.live.client(headers={"authorization": f"Bearer {key}"}) as client:
                assert refusal(client.get("/verify")) == expected
        with site.live.client(headers=site.somebody()) as client:
            assert client.get("/verify").status_code == 200
            assert LOOKS["/verify"](client, SMALL).status_code == 200


def test_it_is_for_everybody_where_the_deployer_says_so(start: Any) -> None:
    with start(public_verify=True) as site, site.client(known=False) as client:
        assert client.get("/verify").status_code == 200
        for route in ("/verify", "/api/v1/verify", "byContent"):
            assert LOOKS[route](client, SMALL).status_code == 200, route


# Overload


def comments(lines: Iterator[str], number: int) -> list[str]:
    """Return the first lines of a stream that say something."""
    found: list[str] = []
    for line in lines:
        if line:
            found.append(line)
        if len(found) == number:
            break
    return found


@pytest.mark.parametrize("end", ["made", "refused"])
def test_a_stream_that_waits_says_so(start: Any, monkeypatch: pytest.MonkeyPatch, end: str) -> None:
    monkeypatch.setattr("chopmark.service.watch.QUEUED_S", 0.02)
    prompt = "an apple" if end == "made" else "explicit photo of a naked woman having sex"
    asked = {"prompt": prompt, "stream": True}
    with start(max_running=1) as site, site.client() as client, site.client() as other:
        generator = site.live.pipeline.parts.generator
        generator.gate.clear()
        first = threading.Thread(
            target=lambda: other.post("/v1/images/generations", json={"prompt": "an apple"})
        )
        first.start()
        until(lambda: site.service.generator_turns.running == 1)
        with client.stream("POST", "/v1/images/generations", json=asked) as said:
            lines = said.iter_lines()
            assert said.status_code == 200
            assert comments(lines, 3) == [": queued"] * 3
            generator.gate.set()
            events = [line for line in lines if line.startswith(("event:", "data:"))]
        first.join(HANG_S)
        if end == "made":
            assert events[0] == "event: image_generation.completed"
        else:
            assert events[0] == "event: error"
            assert '"moderation_blocked"' in events[1]


def test_geminis_stream_says_so_too(start: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("chopmark.service.watch.QUEUED_S", 0.02)
    asked = {
        "contents": [{"parts": [{"text": "an apple"}]}],
        "generationConfig": {"thinkingConfig": {"includeThoughts": True}},
    }
    path = "/v1beta/models/embedded:streamGenerateContent?alt=sse"
    with start(max_running=1, model_aliases="embedded") as site, site.client() as client:
        generator = site.live.pipeline.parts.generator
        generator.gate.clear()
        with client.stream("POST", path, json=asked) as running:
            until(lambda: site.service.generator_turns.running == 1)
            with site.client() as other, other.stream("POST", path, json=asked) as said:
                lines = said.iter_lines()
                # Google's client takes a comment line for a chunk: blank ones keep it alive.
                assert [next(lines), next(lines)] == ["", ""]
                generator.gate.set()
                assert any('"inlineData"' in line for line in lines)
            running.read()


async def test_forty_official_clients_at_once_all_end_well(start: Any) -> None:
    """With their defaults: two tries more, each after what ``Retry-After`` says."""
    from openai import AsyncOpenAI

    with start() as site:
        generator = site.live.pipeline.parts.generator
        generator.gate.clear()
        key = site.key["authorization"].removeprefix("Bearer ")

        async def one(client: AsyncOpenAI, number: int) -> int:
            made = await client.images.generate(
                prompt=f"{number} apples", size="128x128", model="drawing"
            )
            return len(made.data or ())

        async with AsyncOpenAI(base_url=f"{site.live.url}/v1", api_key=key) as client:
            asked = [asyncio.create_task(one(client, number)) for number in range(40)]
            turns = site.service.generator_turns
            await until_async(lambda: turns.running + turns.waiting == 40)
            generator.gate.set()
            assert await asyncio.gather(*asked) == [1] * 40

"""Who is let in: nobody through a bare proxy or another site's page, and nobody is locked out."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest

from chopmark import Pipeline, Settings
from chopmark.cli.server import _may_listen
from chopmark.errors import ConfigurationError
from chopmark.service.connection import server_options
from chopmark.site import create_site
from chopmark.tenancy import AccessStore, People
from tests.support.generator import StandIn
from tests.support.home import open_with
from tests.support.server import Live, serve

if TYPE_CHECKING:
    import httpx

PASSWORD = "four short plain words"
GENERATE = "/v1/images/generations"
APPLE = {"prompt": "a red apple"}


@pytest.fixture(scope="module")
def site(shared_pipeline: Pipeline, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    settings = Settings(home=tmp_path_factory.mktemp("door") / "home", requests_per_minute=0)
    with (
        open_with(shared_pipeline, settings, generator=StandIn()) as pipeline,
        serve(pipeline, create_site) as live,
    ):
        yield live


@pytest.fixture
def bare(site: Live) -> Live:
    """The whole site, with neither a key nor a person."""
    site.generator.jobs.clear()
    return site


@pytest.fixture
def client(bare: Live) -> Iterator[httpx.Client]:
    with bare.client() as client:
        yield client


PROXIED = [
    {"x-forwarded-for": "8.8.8.8"},
    {"x-forwarded-for": "127.0.0.1"},
    {"x-forwarded-host": "images.example"},
    {"x-forwarded-proto": "https"},
    {"x-real-ip": "8.8.8.8"},
    {"forwarded": "for=8.8.8.8;host=x.example"},
    {"via": "1.1 nginx"},
    {"cf-connecting-ip": "8.8.8.8"},
    {"true-client-ip": "8.8.8.8"},
    {"x-envoy-external-address": "8.8.8.8"},
    {"x-amzn-trace-id": "Root=1-1-1"},
    {"cdn-loop": "cloudflare"},
    {"X-Client-IP": "8.8.8.8"},
]


@pytest.mark.parametrize("headers", PROXIED, ids=lambda one: next(iter(one)))
def test_what_came_through_a_proxy_is_nobody_of_this_machine(
    bare: Live, client: httpx.Client, headers: dict[str, str]
) -> None:
    answer = client.post(GENERATE, json=APPLE, headers=headers)
    assert (answer.status_code, answer.json()["error"]["code"]) == (403, "access_denied")
    assert client.get("/studio", headers=headers).status_code == 401
    assert bare.generator.jobs == []


def _head(live: Live, *lines: str) -> bytes:
    where = urlsplit(live.url)
    with socket.create_connection((where.hostname or "", where.port or 0)) as raw:
        raw.sendall("\r\n".join([*lines, "connection: close", "", ""]).encode())
        return b"".join(iter(lambda: raw.recv(65536), b""))


def test_http_1_0_is_a_proxy_that_says_nothing_of_itself(bare: Live) -> None:
    host = urlsplit(bare.url).netloc
    assert b" 403 " in _head(bare, "GET /v1/models HTTP/1.0", f"host: {host}")
    assert b" 200 " in _head(bare, "GET /v1/models HTTP/1.1", f"host: {host}")


HOSTS = [
    "evil.example", "127.0.0.1.evil.example", "localhost.", "localhost@evil.example",
    "evil.example@localhost", "user:pw@127.0.0.1", "[::1]x.evil", "[::1].evil:80", "[::1",
    "::1", "[::1]@evil", "127.1", "0x7f000001", "2130706433", "localhost:80:80", "localhost:x",
    "localhost evil", "127.0.0.1/evil", "128.0.0.1", "[::2]", "[fe80::1]", "127.0.0.999", "",
]  # fmt: skip


@pytest.mark.parametrize("host", HOSTS)
def test_only_this_machines_own_names_are_its_own(bare: Live, host: str) -> None:
    answer = _head(bare, "GET /v1/models HTTP/1.1", f"host: {host}")
    assert b" 403 " in answer or b" 400 " in answer, answer[:200]


@pytest.mark.parametrize(
    "host", ["localhost", "LocalHost:80", "127.0.0.1", "127.9.9.9:1", "[::1]", "[::1]:8000"]
)
def test_its_own_names_are(bare: Live, host: str) -> None:
    assert b" 200 " in _head(bare, "GET /v1/models HTTP/1.1", f"host: {host}")


def test_two_host_headers_are_none(bare: Live) -> None:
    answer = _head(bare, "GET /v1/models HTTP/1.1", "host: localhost", "host: evil.example")
    assert b" 400 " in answer or b" 403 " in answer


CROSS = [
    {"origin": "https://evil.example", "sec-fetch-site": "cross-site"},
    {"origin": "https://evil.example"},
    {"origin": "null"},
    {"sec-fetch-site": "cross-site"},
    {"sec-fetch-site": "same-site"},
    {"origin": "http://127.0.0.1:1"},
]


@pytest.mark.parametrize("headers", CROSS, ids=str)
def test_no_other_sites_page_makes_a_picture_here(
    bare: Live, client: httpx.Client, headers: dict[str, str], make_picture: Any, to_bytes: Any
) -> None:
    files = {"image": ("a.png", to_bytes(make_picture(64, 64)))}
    for answer in (
        client.post("/v1/images/edits", files=files, data=APPLE, headers=headers),
        client.post("/v1/images/variations", files=files, headers=headers),
        client.post(GENERATE, content=b'{"prompt": "a"}', headers=headers),
        client.post(
            GENERATE, content=b'{"prompt": "a"}', headers={**headers, "content-type": "text/plain"}
        ),
        client.post("/v1/models/x:generateContent", json={}, headers=headers),
        client.post("/api/v1/verify", files=files, headers=headers),
        client.post("/api/v1/session", json={"link": "x"}, headers=headers),
        client.post("/api/v1/appeals", json={}, headers=headers),
    ):
        assert answer.status_code == 403, answer.request.url
        assert answer.json()["error"]["code"] in {"access_denied", 403}  # Google's is a number
    assert bare.generator.jobs == []


def test_its_own_pages_and_programs_do(bare: Live, client: httpx.Client) -> None:
    for headers in (
        {},
        {"origin": bare.url},
        {"origin": bare.url, "sec-fetch-site": "same-origin"},
        {"sec-fetch-site": "none"},
    ):
        assert client.post(GENERATE, json=APPLE, headers=headers).status_code == 200


def test_a_key_may_come_from_anywhere(open_pipeline: Callable[..., Pipeline]) -> None:
    pipeline = open_pipeline(generator=StandIn())
    with AccessStore.open(pipeline.settings.home) as store:
        key = store.create_key("default").text
    headers = {"authorization": f"Bearer {key}", **CROSS[0], **PROXIED[0], **PROXIED[6]}
    with serve(pipeline) as live, live.client(headers=headers) as client:
        assert client.post(GENERATE, json=APPLE).status_code == 200


def test_without_keys_nothing_is_served_under_a_public_name(home: Any) -> None:
    with pytest.raises(ConfigurationError, match=r"will not serve as img\.example"):
        _may_listen(Settings(home=home, public_url="https://img.example"))
    _may_listen(Settings(home=home, public_url="http://localhost:8000"))
    with AccessStore.open(home) as store:
        store.create_key("default")
    _may_listen(Settings(home=home, public_url="https://img.example"))


# Who asks


def test_only_a_trusted_proxy_says_who_asks(open_pipeline: Callable[..., Pipeline]) -> None:
    for trusted, seen in (("", "127.0.0.1"), ("127.0.0.1", "203.0.113.9"), ("10.0.0.0/8", None)):
        pipeline = open_pipeline(generator=StandIn(), trusted_proxies=trusted)
        with AccessStore.open(pipeline.settings.home) as store:
            key = store.create_key("default").text
        headers = {"authorization": f"Bearer {key}", "x-forwarded-for": "203.0.113.9"}
        with serve(pipeline) as live, live.client(headers=headers) as client:
            assert client.post(GENERATE, json=APPLE).status_code == 200
        log = pipeline.parts.log
        content = log.private(log.find(kind="request.received")[0].index)
        assert content is not None
        assert content["client"] == (seen or "127.0.0.1")
        pipeline.close()


def test_a_proxy_that_is_none_is_an_error() -> None:
    with pytest.raises(ConfigurationError, match="trusted_proxies"):
        server_options(Settings(trusted_proxies="127.0.0.1,everybody"))


def test_a_stranger_locks_nobody_out(open_pipeline: Callable[..., Pipeline]) -> None:
    pipeline = open_pipeline(generator=StandIn())
    with People.open(pipeline.settings.home) as people, serve(pipeline) as live:
        people.add("root", roles=["reader"], tenant=None, password=PASSWORD)
        with live.client() as client:
            codes = [
                client.post(
                    "/api/v1/session", json={"name": "root", "password": f"wrong {n} and so on"}
                ).status_code
                for n in range(11)
            ]
            right = client.post("/api/v1/session", json={"name": "root", "password": PASSWORD})
    assert codes == [401] * 10 + [429]
    assert right.status_code == 200
    assert right.cookies.get("chopmark_device")


def test_a_stranger_uses_up_nobodys_appeals(open_pipeline: Callable[..., Pipeline]) -> None:
    pipeline = open_pipeline(generator=StandIn())
    with serve(pipeline) as live, live.client() as client:
        refused = client.post(
            GENERATE, json={"prompt": "explicit photo of a naked woman having sex"}
        )
        decision = refused.json()["error"]["decision_id"]
        AccessStore.open(pipeline.settings.home).close()
        codes = [
            client.post(
                "/api/v1/appeals",
                headers={"x-forwarded-for": f"203.0.113.{n}"},
                json={"decision_id": "0123456789abcde0", "statement": "x"},
            ).status_code
            for n in range(62)
        ]
        assert codes == [404] * 5 + [429] * 57
        mine = client.post(
            "/api/v1/appeals", json={"decision_id": decision, "statement": "a painting"}
        )
        assert mine.status_code == 200
        ticket = {"ticket": mine.json()["ticket"]}
        assert client.get(f"/api/v1/appeals/{decision}", params=ticket).status_code == 200

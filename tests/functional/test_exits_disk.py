"""A full disk is one error, whichever file noticed it first; redirects follow no caller's Host."""

from __future__ import annotations

import base64
import errno
import http.client
import os
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest

from chopmark import GenerationRequest, Pipeline, Settings
from chopmark.errors import ConfigurationError, LogUnavailable
from chopmark.kit.disk_full import named_by_disk
from chopmark.service.deployment import Deployment
from chopmark.service.state import state_of
from chopmark.site import create_site
from tests.support.generator import StandIn
from tests.support.home import open_with
from tests.support.server import Live, serve

GENERATE = "/v1/images/generations"
APPLE = {"prompt": "a red apple"}


@pytest.fixture
def live(open_pipeline: Callable[..., Pipeline]) -> Iterator[Live]:
    with serve(open_pipeline(generator=StandIn())) as live:
        yield live


def _fill(store: Any) -> None:
    """Let a database grow no more: SQLite then says what it says on a full disk."""
    with store._database.write() as transaction:
        transaction.execute("PRAGMA max_page_count = 1")


def _no_room(*_: object, **__: object) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_a_full_disk_is_said_to_be_one_whoever_notices(
    live: Live, monkeypatch: pytest.MonkeyPatch
) -> None:
    deployment = state_of(live.app, Deployment)
    with live.client() as client:
        assert client.post(GENERATE, json=APPLE).status_code == 200  # all is opened by now
        with monkeypatch.context() as patched:
            patched.setattr("chopmark.kit.files._draft", _no_room)  # manifests
            answer = client.post(GENERATE, json=APPLE)
            assert (answer.status_code, answer.json()["error"]["code"]) == (503, "log_unavailable")
            assert answer.headers["retry-after"]
        log = live.pipeline.parts.log
        assert len(log.find(kind="request.completed")) == 1
        assert log.find(kind="request.failed")[0].public["code"] == "log_unavailable"
        _fill(deployment.replays)
        answer = client.post(GENERATE, json=APPLE, headers={"idempotency-key": "k" * 200})
        assert (answer.status_code, answer.json()["error"]["code"]) == (503, "log_unavailable")
        assert len(log.find(kind="request.completed")) == 1


async def test_the_library_says_the_same(
    open_pipeline: Callable[..., Pipeline], monkeypatch: pytest.MonkeyPatch
) -> None:
    pipeline = open_pipeline(generator=StandIn())
    await pipeline.generate(GenerationRequest(prompt="a red apple"))
    monkeypatch.setattr("chopmark.kit.files._draft", _no_room)
    with pytest.raises(LogUnavailable):
        await pipeline.generate(GenerationRequest(prompt="a red apple"))


def test_what_is_no_full_disk_keeps_its_name() -> None:
    for cause in (PermissionError(errno.EACCES, "no"), OSError(errno.EROFS, "read-only"), None):
        error = ConfigurationError("it cannot be written")
        error.__cause__ = cause
        assert named_by_disk(error) is error
    error.__cause__ = OSError(errno.EDQUOT, "quota")
    assert isinstance(named_by_disk(error), LogUnavailable)


@pytest.fixture(scope="module")
def site(shared_pipeline: Pipeline, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    settings = Settings(home=tmp_path_factory.mktemp("slash") / "home", requests_per_minute=0)
    with (
        open_with(shared_pipeline, settings, generator=StandIn()) as pipeline,
        serve(pipeline, create_site) as live,
    ):
        yield live


@pytest.mark.parametrize(
    "path",
    [
        "/console/", "/api/v1/keys/", "/v1/models/", "/verify/", "/log/checkpoint/", "/",
        "//evil.example", "//evil.example/",
    ],
)  # fmt: skip
def test_no_redirect_follows_the_callers_host(site: Live, path: str) -> None:
    where = urlsplit(site.url)
    connection = http.client.HTTPConnection(where.hostname or "", where.port)
    connection.request("GET", path, headers={"host": "evil.example"})
    answer = connection.getresponse()
    answer.read()
    assert "evil" not in (answer.getheader("location") or "").replace(path, "")
    assert not (answer.getheader("location") or "").startswith(("http", "//"))
    connection.close()


def test_the_public_detector_says_p_in_steps(site: Live) -> None:
    with site.client() as client:
        made = client.post(GENERATE, json={**APPLE, "n": 2}).json()
        seen = set()
        for item in made["data"]:
            files = {"image": ("a.png", base64.b64decode(item["b64_json"]))}
            report = client.post("/api/v1/verify", files=files).json()
            assert report["verdict"] == "made_here"
            seen.add(report["watermark"]["p_value"])
    assert seen == {1e-9}

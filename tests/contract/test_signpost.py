"""Where others find the detector: one document, and what it names is there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import httpx

from chopmark.api.signpost import PATH
from chopmark.tenancy import AccessStore

if TYPE_CHECKING:
    from collections.abc import Callable


def test_a_stranger_finds_detector_resolver_and_keys(live_server: Callable[..., Any]) -> None:
    with live_server(profile="eu", log_origin="log.example/1") as server:
        with AccessStore.open(server.pipeline.parts.home) as store:
            store.create_key("default", scopes=("generate",))
        told = httpx.get(server.url + PATH).json()
        assert told["version"] == 1
        assert told["public"] is True
        assert told["requests_per_minute"] == 30
        assert told["log"]["origin"] == "log.example/1"
        # Each address answers somebody who has no key.
        for path in (told["resolver"], told["keys"], told["log"]["checkpoint"]):
            assert httpx.get(server.url + path).status_code == 200, path
        detector = told["detector"]
        answer = httpx.post(
            server.url + detector["api"], files={detector["field"]: ("a.png", b"no picture")}
        )
        assert answer.status_code in {400, 415}
        assert httpx.get(f"{server.url}/api/v1/keys").json()["log"]["origin"] == "log.example/1"


def test_the_techniques_are_those_of_a_report(live_server: Callable[..., Any]) -> None:
    import io

    from PIL import Image

    out = io.BytesIO()
    Image.new("RGB", (64, 64), "teal").save(out, "PNG")
    with live_server(profile="california") as server:
        told = httpx.get(server.url + PATH).json()["detector"]["techniques"]
        report = httpx.post(
            f"{server.url}/api/v1/verify", files={"image": ("a.png", out.getvalue())}
        ).json()
        assert [one["name"] for one in report["techniques"]] == told


def test_addresses_are_whole_only_where_the_deployer_said_its_name(
    live_server: Callable[..., Any],
) -> None:
    with live_server() as server:
        told = httpx.get(server.url + PATH, headers={"host": "localhost"}).json()
        assert told["detector"]["api"] == "/api/v1/verify"
        assert (told["public"], told["requests_per_minute"]) == (False, None)
    with live_server(public_url="https://pictures.example/") as server:
        told = httpx.get(server.url + PATH).json()
        assert told["detector"]["page"] == "https://pictures.example/verify"
        assert told["log"]["checkpoint"] == "https://pictures.example/log/checkpoint"

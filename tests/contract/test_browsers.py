"""HEAD wherever GET is, and the pages of other origins."""

from __future__ import annotations

from typing import Any

import pytest

from chopmark.errors import ConfigurationError
from chopmark.service.cors import cors_of
from chopmark.settings import Settings
from chopmark.site import create_site
from tests.support.server import serve

ORIGIN = "https://app.example"


@pytest.mark.parametrize(
    "path", ["/v1/models", "/v1/models/drawing", "/healthz", "/readyz", "/openapi.json", "/metrics"]
)
def test_head_is_get_without_its_content(live: Any, path: str) -> None:
    with live.client() as client:
        whole, head = client.get(path), client.head(path)
        assert (head.status_code, head.content) == (whole.status_code, b"")
        assert head.headers["content-type"] == whole.headers["content-type"]
        assert client.head("/v1/images/generations").status_code == 405


def test_head_of_the_pages(open_pipeline: Any) -> None:
    with serve(open_pipeline(), create_site) as live, live.client() as client:
        for path in ("/verify", "/studio", "/static/chopmark.css"):
            head = client.head(path)
            assert (head.status_code, head.content) == (client.get(path).status_code, b""), path


@pytest.mark.parametrize(
    "path",
    ["/api/v1/verify", "/api/v1/c2pa/services/status", "/log/checkpoint", "/v1/images/generations"],
)
def test_an_origin_that_is_named_may_call_the_api(live_server: Any, path: str) -> None:
    with (
        live_server(cors_origins=f" {ORIGIN} , http://localhost:3000") as live,
        live.client() as client,
    ):
        asked = client.options(
            path,
            headers={
                "origin": ORIGIN,
                "access-control-request-method": "POST",
                "access-control-request-headers": "authorization,content-type",
            },
        )
        assert asked.status_code == 200
        assert asked.headers["access-control-allow-origin"] == ORIGIN
        assert "authorization" in asked.headers["access-control-allow-headers"]
        assert "access-control-allow-credentials" not in asked.headers
        said = client.get(path, headers={"origin": ORIGIN})
        assert said.headers["access-control-allow-origin"] == ORIGIN
        assert "x-record-id" in said.headers["access-control-expose-headers"]
        other = client.get(path, headers={"origin": "https://other.example"})
        assert "access-control-allow-origin" not in other.headers


def test_no_origin_may_by_itself(live: Any) -> None:
    with live.client() as client:
        said = client.get("/v1/models", headers={"origin": ORIGIN})
    assert said.status_code == 200
    assert not [name for name in said.headers if name.startswith("access-control")]


@pytest.mark.parametrize(
    "origins", ["app.example", "https://app.example/", "https://a b", "ftp://a", "https://u@a"]
)
def test_what_is_no_origin_stops_the_start(origins: str) -> None:
    with pytest.raises(ConfigurationError, match="is no origin"):
        cors_of(Settings(cors_origins=origins))

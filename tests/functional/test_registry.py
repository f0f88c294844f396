"""The registry of what leaves and what stays is whole, and its invariants hold."""

from __future__ import annotations

import base64
import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from chopmark import Pipeline
from chopmark.pipeline.inspect import examine
from chopmark.service.forgetting import forget_beside_the_log
from chopmark.service.registry import STAYS, leaving, staying, tables_in_markdown
from chopmark.site import create_site
from tests.functional.test_service_desk import House
from tests.support.generator import StandIn
from tests.support.server import serve
from tests.support.wait import until

WORD = "zanzibarquokka"
DOCS = Path(__file__).parents[2] / "docs"


def _routes(app: Any) -> Iterator[tuple[str, str]]:
    while not hasattr(app, "routes"):
        app = app.app
    todo = [("", route) for route in app.routes]
    while todo:
        before, route = todo.pop()
        if hasattr(route, "original_router"):
            prefix = before + route.include_context.prefix
            todo += [(prefix, inner) for inner in route.original_router.routes]
            continue
        for method in getattr(route, "methods", None) or {"GET"}:
            yield method, before + route.path


@pytest.fixture
def house(home: Path, open_pipeline: Any, tmp_path: Path) -> Iterator[House]:
    from chopmark.tenancy import AccessStore, People, Tenant

    pipeline: Pipeline = open_pipeline(
        generator=StandIn(), requests_per_minute=0, prompt_index=True, cached_answers="exact",
        resolver_writes=True, hash_lists=tmp_path / "lists", review_pictures=True,
    )  # fmt: skip
    with People.open(home) as people, serve(pipeline, create_site) as live:
        with AccessStore.open(home) as store:
            store.set_tenant(Tenant(name="acme"))
        made = House(live, people)
        yield made
        for client in made.clients:
            client.close()


def test_every_route_is_in_it(house: House) -> None:
    site: Any = house.live.app
    found = [*_routes(site.api), *_routes(site.pages)]
    assert len(found) > 90
    assert [(method, path) for method, path in found if leaving(method, path) is None] == []
    # It tells: a route that nobody wrote down is not found.
    assert leaving("GET", "/api/v1/thumbnails/{id}") is None
    assert leaving("GET", "/v1/images/{id}") is None


def _paths(home: Path) -> list[str]:
    return [str(path.relative_to(home)) for path in home.rglob("*") if not path.is_dir()]


def _in_clear(home: Path) -> list[str]:
    found = subprocess.run(
        ["grep", "-rlai", WORD, str(home)], capture_output=True, text=True, check=False
    )
    return sorted(str(Path(line).relative_to(home)) for line in found.stdout.split())


def test_every_file_is_in_it_and_what_is_personal_goes_with_the_person(house: House) -> None:
    from chopmark.tenancy import AccessStore

    home, log = house.pipeline.parts.home, house.pipeline.parts.log
    with AccessStore.open(home) as store:
        key = store.create_key("acme", scopes=["generate", "moderate", "read", "verify"]).text
    client = house.client()
    client.headers["authorization"] = f"Bearer {key}"

    def ask(prompt: str, **more: Any) -> Any:
        body = {"prompt": prompt, "user": "42", **more}
        named = {"idempotency-key": str(len(prompt))}
        return client.post("/v1/images/generations", json=body, headers=named)

    made = ask(f"a red apple {WORD}")
    refused = ask(f"explicit photo of a naked woman having sex {WORD}").json()["error"]
    picture = base64.b64decode(made.json()["data"][0]["b64_json"])
    client.post(
        "/v1/images/edits",
        files={"image": ("a.png", picture)}, data={"prompt": f"green {WORD}", "user": "42"},
    )  # fmt: skip
    client.post("/api/v1/verify", files={"image": ("a.png", picture)})
    sent = {"prompt": f"a lake {WORD}", "user": "42"}
    line = {"custom_id": "1", "method": "POST", "url": "/v1/images/generations", "body": sent}
    lines = client.post(
        "/v1/files", files={"file": ("a", json.dumps(line))}, data={"purpose": "batch"}
    ).json()
    batch = {"endpoint": line["url"], "completion_window": "24h", "input_file_id": lines["id"]}
    begun = client.post("/v1/batches", json=batch).json()
    until(lambda: client.get(f"/v1/batches/{begun['id']}").json()["status"] == "completed")
    house.client().post(
        "/api/v1/appeals",
        json={"decision_id": refused["decision_id"], "statement": f"but {WORD}"},
    )
    ada = house.sign_in("ada", "acme", "exporter", "reader")
    eve = house.sign_in("eve", "acme", "exporter")
    asked = ada.post("/api/v1/exports", json={"purpose": "x", "content": True}).json()
    assert eve.post(f"/api/v1/exports/{asked['export_id']}/agree").status_code == 200
    ada.post("/api/v1/search", json={"text": "apple"})
    log.proof.checkpoint()
    assert house.pipeline.parts.answer_cache.later.drain(120)

    assert [path for path in _paths(home) if staying(path) is None] == []
    assert staying("thumbnails/1.png") is None
    held = {staying(path) for path in _in_clear(home)}
    assert all(line is not None and line.erased == "with the person" for line in held), held

    log.custody.erase("acme:42", by=("ada", "bob"), reason="asked")
    forget_beside_the_log(home, log)
    assert _in_clear(home) == []
    assert ask(f"a red apple {WORD}").status_code == 410
    assert ask(f"explicit photo of a naked woman having sex {WORD}").status_code == 410


def test_what_leaves_as_a_picture_is_marked_signed_and_booked(house: House) -> None:
    from chopmark.tenancy import AccessStore

    with AccessStore.open(house.pipeline.parts.home) as store:
        key = store.create_key("acme", scopes=["generate"]).text
    client = house.client()
    client.headers["authorization"] = f"Bearer {key}"
    apple = {"prompt": "a red apple"}
    openai = client.post("/v1/images/generations", json=apple).json()["data"][0]["b64_json"]
    gemini = client.post(
        "/v1/models/drawing:generateContent", json={"contents": [{"parts": [{"text": "a cat"}]}]}
    ).json()["candidates"][0]["content"]["parts"][0]["inlineData"]["data"]
    edited = client.post(
        "/v1/images/edits", data=apple, files={"image": ("a.png", base64.b64decode(openai))}
    ).json()["data"][0]["b64_json"]
    for data in (openai, gemini, edited):
        report = examine(house.pipeline.parts, base64.b64decode(data))
        assert (report.verdict, report.watermark.state) == ("made_here", "detected")
        assert report.record is not None


def test_the_page_shows_the_registry() -> None:
    page = (DOCS / "exits.md").read_text(encoding="utf-8")
    assert page.endswith("\n\n" + tables_in_markdown()), (
        "python -c 'from chopmark.service.registry import *; print(tables_in_markdown())'"
    )
    assert len({line.what for line in STAYS}) == len(STAYS)

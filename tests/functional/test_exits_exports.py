"""Exports: nothing of somebody who was erased, nothing older than a week, two who still may."""

from __future__ import annotations

import json
import subprocess
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

import chopmark.audit.desk.export as export_module
from chopmark import Pipeline
from chopmark.audit.desk.export_files import write_export
from chopmark.service.forgetting import forget_beside_the_log
from chopmark.service.retention import retaining
from chopmark.tenancy import People
from tests.functional.test_service_desk import House
from tests.support.generator import StandIn
from tests.support.server import serve
from tests.support.wait import HANG_S, until

WORD = "zanzibarquokka"


@pytest.fixture
def house(home: Path, open_pipeline: Callable[..., Pipeline]) -> Iterator[House]:
    from chopmark.tenancy import AccessStore, Tenant

    pipeline = open_pipeline(generator=StandIn(), requests_per_minute=0)
    with People.open(home) as people, serve(pipeline) as live:
        with AccessStore.open(home) as store:
            store.set_tenant(Tenant(name="acme"))
        made = House(live, people)
        made.refused["acme"] = made.refuse("acme", f"a man stabbed to death {WORD}")
        yield made
        for client in made.clients:
            client.close()


def _asked(client: Any, **body: Any) -> str:
    said = client.post("/api/v1/exports", json={"purpose": "x", "content": True, **body})
    return str(said.json()["export_id"])


def _in_clear(home: Path) -> list[str]:
    found = subprocess.run(
        ["grep", "-rlai", WORD, str(home)], capture_output=True, text=True, check=False
    )
    return [str(Path(line).relative_to(home)) for line in found.stdout.split()]


@pytest.mark.parametrize("form", ["jsonl", "csv"])
@pytest.mark.parametrize("told", [True, False])
def test_what_is_erased_is_in_no_export_any_more(house: House, form: str, told: bool) -> None:
    ada = house.sign_in("ada", "acme", "exporter")
    eve = house.sign_in("eve", "acme", "exporter")
    home, log = house.pipeline.parts.home, house.pipeline.parts.log
    export = _asked(ada, form=form)
    assert eve.post(f"/api/v1/exports/{export}/agree").status_code == 200
    url = f"/api/v1/exports/{export}/files/entries.{form}"
    assert WORD in ada.get(url).text
    if not told:  # as it is where another process erased
        house.pipeline.parts.followers.clear()
    log.custody.erase("acme:42", by=("ada", "bob"), reason="asked")
    if told:
        assert not [name for name in _in_clear(home) if name.startswith("exports")]
    assert ada.get(url).status_code == 404
    assert ada.get(url.replace(f"entries.{form}", "manifest.json")).status_code == 404
    assert ada.get(f"/console/exports/{export}").status_code in {400, 404}
    assert not [name for name in _in_clear(home) if name.startswith("exports")]
    (listed,) = ada.get("/api/v1/exports").json()["exports"]
    assert (listed["taken_away"], listed["files"]) == (True, [])


def test_what_has_no_content_in_it_stays(house: House) -> None:
    ada = house.sign_in("ada", "acme", "exporter")
    eve = house.sign_in("eve", "acme", "exporter")
    export = _asked(ada, content=False)
    eve.post(f"/api/v1/exports/{export}/agree")
    house.pipeline.parts.log.custody.erase("acme:42", by=("a", "b"), reason="asked")
    assert ada.get(f"/api/v1/exports/{export}/files/entries.jsonl").status_code == 200


def test_the_clock_takes_away_what_lies_here_for_a_week(house: House) -> None:
    ada = house.sign_in("ada", "acme", "exporter")
    eve = house.sign_in("eve", "acme", "exporter")
    export = _asked(ada)
    eve.post(f"/api/v1/exports/{export}/agree")
    home = house.pipeline.parts.home
    asked = home / "exports" / export / "asked.json"
    members = json.loads(asked.read_bytes())
    members["asked_at"] -= 8 * 24 * 3600
    asked.write_text(json.dumps(members))
    assert any(name.startswith("exports") for name in _in_clear(home))
    with retaining(house.pipeline.parts):
        until(lambda: not asked.exists())
    assert not any(name.startswith("exports") for name in _in_clear(home))


def test_what_cannot_be_read_is_taken_away(house: House) -> None:
    ada = house.sign_in("ada", "acme", "exporter")
    eve = house.sign_in("eve", "acme", "exporter")
    export = _asked(ada)
    eve.post(f"/api/v1/exports/{export}/agree")
    home, log = house.pipeline.parts.home, house.pipeline.parts.log
    (home / "exports" / export / "manifest.json").write_text("{")
    forget_beside_the_log(home, log)
    assert ada.get(f"/api/v1/exports/{export}/files/entries.jsonl").status_code == 404


@pytest.mark.parametrize("change", ["disabled", "no role", "moved"])
def test_whoever_asked_counts_as_they_are_now(house: House, change: str) -> None:
    ada = house.sign_in("ada", "acme", "exporter", "reader")
    eve = house.sign_in("eve", "acme", "exporter")
    export = _asked(ada)
    match change:
        case "disabled":
            house.people.disable("ada")
        case "no role":
            house.people.add("ada", roles=["reader"], tenant="acme")
        case _:
            house.people.add("ada", roles=["exporter"], tenant="globex")
    refused = eve.post(f"/api/v1/exports/{export}/agree")
    assert (refused.status_code, refused.json()["error"]["code"]) == (403, "not_permitted")
    assert house.pipeline.parts.log.find(kind="access.exported") == []
    assert eve.get("/api/v1/exports").json()["exports"][0]["agreed_by"] is None


def test_roles_that_came_later_count_too(house: House) -> None:
    ada = house.sign_in("ada", "acme", "exporter")
    export = _asked(ada)
    house.people.add("ada", roles=["exporter", "auditor"], tenant="acme")
    eve = house.sign_in("eve", "acme", "exporter")
    assert eve.post(f"/api/v1/exports/{export}/agree").status_code == 200


def test_an_export_that_is_being_written_is_not_written_twice(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    ada, eve, max_ = (house.sign_in(name, "acme", "exporter") for name in ("ada", "eve", "max"))
    inside, go_on = threading.Event(), threading.Event()

    def slowly(*args: Any, **options: Any) -> Any:
        inside.set()
        assert go_on.wait(HANG_S)
        return write_export(*args, **options)

    monkeypatch.setattr(export_module, "write_export", slowly)
    path = f"/api/v1/exports/{_asked(ada)}"
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(eve.post, f"{path}/agree")
        assert inside.wait(HANG_S)
        second = max_.post(f"{path}/agree")
        go_on.set()
        assert first.result().status_code == 200
    assert (second.status_code, second.json()["error"]["code"]) == (400, "invalid_request")
    assert "being written" in second.json()["error"]["message"]
    # What is cut off on the way is fetched on from there.
    url = f"{path}/files/entries.jsonl"
    whole = ada.get(url).content
    rest = ada.get(url, headers={"range": "bytes=100-"})
    assert (rest.status_code, rest.content) == (206, whole[100:])

"""Without a key only the own machine is served; the command line says why, and makes keys."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from typer.testing import CliRunner

from chopmark import Pipeline
from chopmark.api import create_app
from chopmark.cli import app as cli
from chopmark.errors import ConfigurationError, InvalidKey, TenantNotFound
from chopmark.settings import Settings
from chopmark.tenancy import AccessStore
from tests.support.generator import StandIn

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def run() -> Any:
    def run(*arguments: str) -> Any:
        return CliRunner().invoke(cli, arguments, catch_exceptions=True)

    return run


def test_serve_refuses_other_addresses_without_a_key(
    run: Any, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    served: list[str] = []
    monkeypatch.setattr("uvicorn.run", lambda *_, host, **__: served.append(host))
    monkeypatch.setattr("chopmark.pipeline.parts.Parts.open_all", lambda _: None)
    said = run("serve", "--host", "0.0.0.0")  # noqa: S104
    assert isinstance(said.exception, ConfigurationError)
    assert "no API keys" in str(said.exception)
    assert "access create" in said.exception.hint
    assert run("serve", "--host", "127.0.0.1").exit_code == 0
    assert run("access", "create").exit_code == 0
    assert run("serve", "--host", "0.0.0.0").exit_code == 0  # noqa: S104
    assert served == ["127.0.0.1", "0.0.0.0"]  # noqa: S104


def test_keys_on_the_command_line(run: Any, home: Path) -> None:
    said = run(
        "access", "create", "--tenant", "acme", "--scope", "read", "--scope", "verify",
        "--label", "ci", "--days", "3", "--policy", "strict", "--images-per-day", "9",
        "--requests-per-minute", "7", "--json",
    )  # fmt: skip
    made = json.loads(said.stdout)
    assert (made["tenant"], made["scopes"], made["label"]) == ("acme", ["read", "verify"], "ci")
    with AccessStore.open(home) as store:
        key, tenant = store.authenticate(made["key"])
        assert (tenant.policy, tenant.images_per_day, tenant.requests_per_minute) == (
            "strict",
            9,
            7,
        )
        listed = json.loads(run("access", "list", "--json").stdout)
        assert [row["key_id"] for row in listed["keys"]] == [key.key_id]
        assert made["key"] not in run("access", "list").stdout
        assert run("access", "revoke", key.key_id).exit_code == 0
        with pytest.raises(InvalidKey):
            store.authenticate(made["key"])
    assert run("access", "create", "--policy", "/no/such.yaml", "--tenant", "bad").exception
    with AccessStore.open(home) as store, pytest.raises(TenantNotFound):
        store.tenant("bad")


@pytest.mark.parametrize(
    ("address", "status"), [("127.0.0.1", 200), ("::1", 200), ("192.0.2.7", 403), ("10.0.0.1", 403)]
)
async def test_another_machine_is_turned_away_even_when_something_else_listens(
    settings: Settings, address: str, status: int
) -> None:
    with Pipeline.from_settings(settings) as pipeline:
        pipeline.parts.use(generator=StandIn())
        transport = httpx.ASGITransport(app=create_app(pipeline), client=(address, 1234))
        async with httpx.AsyncClient(
            transport=transport, base_url="http://localhost", trust_env=False
        ) as client:
            answer = await client.get("/api/v1/records/" + "0" * 16)
            assert answer.status_code == (404 if status == 200 else 403), answer.text
            assert (await client.get("/healthz")).status_code == 200

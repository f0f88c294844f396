"""Factories for logs and events."""

from __future__ import annotations

from hashlib import sha256
from importlib import import_module
from typing import TYPE_CHECKING, Any

import pytest

import chopmark.audit.audit_log as log_module
import chopmark.audit.proof.verify as verify_module
from chopmark.audit import AuditLog, Event, LogUnavailable
from chopmark.audit.log import connect
from chopmark.kit.ids import new_record_id
from tests.support.disk_faults import TemporaryPostgres

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from chopmark.audit.log.paths import Paths


@pytest.fixture
def make_event() -> Callable[..., Event]:
    """Make an event; members that are not given have ordinary values."""

    def make(**members: Any) -> Event:
        given: dict[str, Any] = {
            "kind": "request.received",
            "record_id": new_record_id(),
            "tenant": "default",
            "public": {"model": "embedded"},
            "private": {"prompt": "a red apple"},
            "subject": "person-1",
        }
        return Event(**(given | members))

    return make


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    """Start Debian's PostgreSQL, as the user postgres where we are root; give its address."""
    with TemporaryPostgres() as url:
        yield url


@pytest.fixture(params=["sqlite", "postgres"])
def backend(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Run the test once on each kind of database.

    On PostgreSQL each home gets two schemas of its own, for the log and for the keys.
    """
    if request.param == "postgres":
        try:
            server: str = request.getfixturevalue("postgres")
        except LogUnavailable as error:
            pytest.skip(error.message)

        def schema_of(paths: Paths, name: str) -> str:
            schema = f"{name}_{sha256(str(paths.home).encode()).hexdigest()[:20]}"
            with psycopg_connect(server) as connection:
                connection.execute(f"CREATE SCHEMA IF NOT EXISTS {schema}")
            return f"{server}&options=-csearch_path%3D{schema}"

        open_log_, open_keys_ = connect.open_log, connect.open_keys
        for module in (log_module, verify_module):
            monkeypatch.setattr(
                module,
                "open_log",
                lambda paths, _url, *, write: open_log_(
                    paths, schema_of(paths, "log"), write=write
                ),
            )
            monkeypatch.setattr(
                module,
                "open_keys",
                lambda paths, _url, *, write: open_keys_(
                    paths, schema_of(paths, "keys"), write=write
                ),
            )
    return str(request.param)


def psycopg_connect(url: str) -> Any:
    return import_module("psycopg").connect(url, autocommit=True)


@pytest.fixture
def sqlite_only(backend: str) -> None:
    """Skip on PostgreSQL what looks into SQLite's own files."""
    if backend != "sqlite":
        pytest.skip("looks into SQLite's files")


@pytest.fixture
def open_log(tmp_path: Path, backend: str) -> Iterator[Callable[..., AuditLog]]:
    """Open logs under ``tmp_path``; whatever is left open is closed at the end."""
    opened: list[AuditLog] = []
    assert backend

    def make(home: Path = tmp_path, **options: Any) -> AuditLog:
        log = AuditLog.open(home, **options)
        opened.append(log)
        return log

    yield make
    for log in opened:
        log.close()


@pytest.fixture
def filled_home(
    tmp_path: Path, open_log: Callable[..., AuditLog], make_event: Callable[..., Event]
) -> Callable[..., Path]:
    """Make a closed log of ``requests`` requests (two entries each) of three subjects."""

    def make(requests: int = 10, folder: str = "filled") -> Path:
        home = tmp_path / folder
        with open_log(home) as log:
            waiting = []
            for number in range(requests):
                record_id = new_record_id()
                subject = f"person-{number % 3}"
                waiting.append(
                    log.submit(
                        make_event(
                            record_id=record_id,
                            subject=subject,
                            private={"prompt": f"prompt number {number}"},
                        )
                    )
                )
                waiting.append(
                    log.submit(
                        make_event(
                            kind="request.completed",
                            record_id=record_id,
                            subject=None,
                            private={},
                            public={"decision": "allow", "score": 0.25},
                        )
                    )
                )
            for future in waiting:
                future.result(30)
        return home

    return make

"""Stores in files of the home and in PostgreSQL: the same tests run on both."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING

import psycopg
import pytest

from chopmark.errors import ConfigurationError, LogUnavailable
from chopmark.tenancy.database_state import DatabaseState
from chopmark.tenancy.redis_state import RedisState
from chopmark.tenancy.shared_state import MemoryState, SharedState
from chopmark.tenancy.surviving_state import SurvivingState
from tests.support.disk_faults import TemporaryPostgres
from tests.support.redis_server import TemporaryRedis

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

#: Put on tests that look into files, or that need what only servers with one database have.
ONLY_SQLITE = pytest.mark.parametrize("database", ["sqlite"], indirect=True)
ONLY_POSTGRES = pytest.mark.parametrize("database", ["postgres"], indirect=True)


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    """Start Debian's PostgreSQL, as the user postgres where we are root; give its address."""
    with TemporaryPostgres() as url:
        yield url


@pytest.fixture(params=["sqlite", "postgres"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Give what ``CHOPMARK_DATABASE`` would be: nothing, or an address of a schema of its own."""
    return "" if request.param == "sqlite" else _schema(request, tmp_path)


def _schema(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    try:
        server: str = request.getfixturevalue("postgres")
    except LogUnavailable as error:
        pytest.skip(error.message)
    schema = f"t_{sha256(str(tmp_path).encode()).hexdigest()[:20]}"
    with closing(psycopg.connect(server, autocommit=True)) as connection:
        connection.execute(f"CREATE SCHEMA {schema}".encode())
    return f"{server}&options=-csearch_path%3D{schema}"


@pytest.fixture(scope="session")
def redis() -> Iterator[TemporaryRedis]:
    """Start a Redis server that all tests of a process share."""
    with TemporaryRedis() as server:
        yield server


@dataclass
class Clock:
    now: float = 1_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture(params=["memory", "sqlite", "postgres", "redis"])
def state(request: pytest.FixtureRequest, tmp_path: Path, clock: Clock) -> Iterator[SharedState]:
    """Give each keeper of what servers count together, with a clock that the test moves."""
    kept = _keeper(request, tmp_path, clock)
    yield kept
    kept.close()


def _keeper(request: pytest.FixtureRequest, tmp_path: Path, clock: Clock) -> SharedState:
    if request.param == "memory":
        return MemoryState(clock)
    if request.param == "redis":
        try:
            server: TemporaryRedis = request.getfixturevalue("redis")
        except ConfigurationError as error:
            pytest.skip(error.message)
        # Each test has times of its own: what others counted is over.
        clock.now += 10**6 * next(_TESTS)
        return SurvivingState(RedisState(server.url, clock=clock), MemoryState(clock))
    database = "" if request.param == "sqlite" else _schema(request, tmp_path)
    return DatabaseState.open(tmp_path, database=database, clock=clock)


_TESTS = iter(range(1, 10**6))

"""Stores in files of the home and in PostgreSQL: the same tests run on both."""

from __future__ import annotations

from contextlib import closing
from hashlib import sha256
from typing import TYPE_CHECKING

import psycopg
import pytest

from chopmark.errors import LogUnavailable
from tests.support.disk_faults import TemporaryPostgres

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
    if request.param == "sqlite":
        return ""
    try:
        server: str = request.getfixturevalue("postgres")
    except LogUnavailable as error:
        pytest.skip(error.message)
    schema = f"t_{sha256(str(tmp_path).encode()).hexdigest()[:20]}"
    with closing(psycopg.connect(server, autocommit=True)) as connection:
        connection.execute(f"CREATE SCHEMA {schema}".encode())
    return f"{server}&options=-csearch_path%3D{schema}"

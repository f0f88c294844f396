"""Where the small stores beside the log lie: a file each in the home, or one PostgreSQL for all.

Several servers share keys, people, quotas and kept answers through the second. The same statements
run on both; a schema has the types of :data:`~chopmark.kit.database.SQLITE_TYPES` in braces.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from chopmark.errors import ConfigurationError, DatabaseUnavailable
from chopmark.kit.database import POSTGRES_TYPES, SQLITE_TYPES, DatabaseErrors
from chopmark.kit.sqlite import open_store

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from chopmark.kit.database import Database

__all__ = ["open_tenancy_store"]

#: Leases, sessions and windows of several servers are compared by their own clocks.
_MOST_SKEW_S: Final = 5.0
_ERRORS: Final = DatabaseErrors(
    unavailable=DatabaseUnavailable,
    corrupt=DatabaseUnavailable,
    hint="is the server there?",
    corrupt_hint="restore it from your backup",
)


def open_tenancy_store(
    home: Path,
    name: str,
    schema: str,
    *,
    database: str = "",
    added: Mapping[str, Mapping[str, str]] | None = None,
    secure_delete: bool = True,
) -> Database:
    """Open or make a store.

    Args:
        home: The home folder; the file is ``home/tenancy/NAME.db``.
        name: Lower-case letters.
        schema: Statements with two semicolons between, run at each opening.
        database: ``postgresql://...``; empty is the file.
        added: Columns that earlier versions of a table lacked, with types as in ``schema``.
        secure_delete: Whether what is deleted is overwritten with zeros, in the file.

    Raises:
        ConfigurationError: The file or the address cannot be used, or this machine's clock and the
            database's are more than five seconds apart.
        DatabaseUnavailable: The database does not answer.
    """
    if database:
        opened, types = _postgres(database, name, schema), POSTGRES_TYPES
    else:
        path = home / "tenancy" / f"{name}.db"
        types = SQLITE_TYPES
        opened = open_store(path, schema.format(**types), secure_delete=secure_delete)
    for table, columns in (added or {}).items():
        opened.add_columns(table, {key: kind.format(**types) for key, kind in columns.items()})
    return opened


def _postgres(url: str, name: str, schema: str) -> Database:
    if not url.startswith(("postgresql://", "postgres://")):
        raise ConfigurationError(
            "CHOPMARK_DATABASE is not the address of a database that we know",
            hint="postgresql://user@host/name, or nothing for files in the home",
        )
    from chopmark.kit.postgres import PostgresDatabase

    schema = schema.format(**POSTGRES_TYPES)
    opened = PostgresDatabase(f"{url}#{name}", schema=schema, errors=_ERRORS)
    with opened.read() as transaction:
        before = time.time()
        rows = transaction.execute("SELECT extract(epoch FROM clock_timestamp())")
        after = time.time()
    theirs = float(rows[0][0])
    if not before - _MOST_SKEW_S <= theirs <= after + _MOST_SKEW_S:
        opened.close()
        raise ConfigurationError(
            f"this machine's clock is {theirs - after:+.0f} s from the database's",
            hint="set both by NTP: sessions, limits and leases are shared by time",
        )
    return opened

"""Opens the two databases of a log: its own, and the one with the data keys."""

from __future__ import annotations

from typing import TYPE_CHECKING

from chopmark.audit.log.schema import APPEND_ONLY, APPEND_ONLY_POSTGRES, LOG_SCHEMA
from chopmark.audit.log.vault import SCHEMA as VAULT_SCHEMA
from chopmark.errors import ConfigurationError
from chopmark.kit.database import POSTGRES_TYPES, SQLITE_TYPES
from chopmark.kit.sqlite import SqliteDatabase

if TYPE_CHECKING:
    from chopmark.audit.log.paths import Paths
    from chopmark.kit.database import Database

__all__ = ["open_keys", "open_log"]


def open_log(paths: Paths, url: str | None, *, write: bool) -> Database:
    """Open the log's tables, and make them when ``write`` is true.

    Args:
        paths: Where the log lives.
        url: ``postgresql://...``; None is the SQLite file.
        write: False opens what is there, for reading only.

    Raises:
        LogUnavailable: They cannot be opened.
        LogCorrupt: They are damaged.
        ConfigurationError: Not an address of a database that we know.
    """
    if url is not None:
        schema = LOG_SCHEMA.format(**POSTGRES_TYPES) + APPEND_ONLY_POSTGRES
        return _postgres(url, schema if write else None)
    schema = LOG_SCHEMA.format(**SQLITE_TYPES) + APPEND_ONLY
    return SqliteDatabase(paths.log, schema=schema if write else None)


def open_keys(paths: Paths, url: str | None, *, write: bool) -> Database:
    """Open the table of data keys; see :func:`open_log`."""
    if url is not None:
        return _postgres(url, VAULT_SCHEMA.format(**POSTGRES_TYPES) if write else None)
    schema = VAULT_SCHEMA.format(**SQLITE_TYPES)
    # With a lock of its own: the keys' transaction runs inside the log's, and must not wait for it.
    return SqliteDatabase(paths.keys, schema=schema if write else None)


def _postgres(url: str, schema: str | None) -> Database:
    if not url.startswith(("postgresql://", "postgres://")):
        raise ConfigurationError(
            "the log's database has an address that is not known",
            hint="postgresql://user@host/name, or none for SQLite",
        )
    from chopmark.kit.postgres import PostgresDatabase

    return PostgresDatabase(url, schema=schema)

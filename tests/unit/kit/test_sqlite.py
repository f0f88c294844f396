"""The one SQLite opener: its version gate, readers that never wait, what failures become."""

from __future__ import annotations

import ast
import sqlite3
import stat
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from chopmark.audit import AuditLog
from chopmark.errors import ChopmarkError, ConfigurationError, LogCorrupt, LogUnavailable
from chopmark.generation.semantic import PromptIndex
from chopmark.kit import sqlite
from chopmark.kit.sqlite import SqliteDatabase, open_store, remove_other_version
from chopmark.provenance import ManifestStore
from chopmark.tenancy import AccessStore, People
from chopmark.tenancy.files import FileStore
from chopmark.tenancy.replays import Replays

if TYPE_CHECKING:
    from collections.abc import Callable

SCHEMA = "CREATE TABLE IF NOT EXISTS item (name TEXT PRIMARY KEY, size INTEGER NOT NULL) STRICT"
ROOT = Path(__file__).parents[3]
OPENERS: dict[str, tuple[Callable[[Path], object], type[ChopmarkError]]] = {
    "log": (AuditLog.open, LogUnavailable),
    "keys": (AccessStore.open, ConfigurationError),
    "people": (People.open, ConfigurationError),
    "files": (FileStore.open, ConfigurationError),
    "replays": (Replays.open, ConfigurationError),
    "manifests": (ManifestStore.open, ConfigurationError),
    "prompts": (PromptIndex.open, ConfigurationError),
}


@pytest.mark.parametrize("name", OPENERS)
def test_an_sqlite_that_can_corrupt_a_log_opens_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    opener, error = OPENERS[name]
    monkeypatch.setattr(sqlite, "_OLDEST", (99, 0, 0))
    with pytest.raises(error, match="can corrupt a write-ahead log") as caught:
        opener(tmp_path)
    assert "apsw" in caught.value.hint
    assert list(tmp_path.rglob("*.db")) == list(tmp_path.rglob("*.sqlite")) == []


def test_the_gate_is_at_the_release_that_mended_it() -> None:
    assert sqlite._OLDEST == (3, 51, 3)


def test_no_other_module_opens_sqlite() -> None:
    """The lint's banned-api says it where one writes; this holds for its exceptions too."""
    found = set()
    for room in ("src/chopmark", "audit", "generation", "provenance", "safety", "training"):
        for path in (ROOT / room).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text("utf-8"))):
                names = (
                    [alias.name for alias in node.names]
                    if isinstance(node, ast.Import)
                    else [node.module or ""]
                    if isinstance(node, ast.ImportFrom)
                    else []
                )
                if {name.split(".")[0] for name in names} & {"apsw", "sqlite3"}:
                    found.add(path.relative_to(ROOT).as_posix())
    assert found == {"src/chopmark/kit/sqlite.py"}


@pytest.fixture
def store(tmp_path: Path) -> SqliteDatabase:
    return open_store(tmp_path / "rooms" / "items.db", SCHEMA)


def test_a_reader_sees_the_last_commit_while_another_thread_writes(store: SqliteDatabase) -> None:
    """Reads are on the server's event loop: they do not wait for a commit of another thread."""
    with store.write() as transaction:
        transaction.execute("INSERT INTO item VALUES ('old', 1)")
    inside, go_on = threading.Event(), threading.Event()

    def write() -> None:
        with store.write() as transaction:
            transaction.execute("INSERT INTO item VALUES ('new', 2)")
            inside.set()
            go_on.wait()

    writer = threading.Thread(target=write)
    writer.start()
    inside.wait()
    try:
        with store.read() as transaction:  # a read that waited would wait for ever
            assert transaction.execute("SELECT name FROM item") == [("old",)]
    finally:
        go_on.set()
        writer.join()
    with store.read() as transaction:
        assert len(transaction.execute("SELECT name FROM item")) == 2
    store.close()


def test_what_fails_inside_is_rolled_back_and_raised(store: SqliteDatabase) -> None:

    def fail(statement: str) -> None:
        with store.write() as transaction:
            transaction.execute("INSERT INTO item VALUES ('a', 1)")
            transaction.execute(statement)
            raise KeyError

    with pytest.raises(KeyError):
        fail("INSERT INTO item VALUES ('b', 1)")
    with pytest.raises(ConfigurationError):
        fail("INSERT INTO nothing VALUES (1)")
    with store.write() as transaction:  # on a fresh connection
        assert transaction.execute("SELECT count(*) FROM item") == [(0,)]
    store.close()


def test_what_is_closed_is_closed(store: SqliteDatabase) -> None:
    store.close()
    store.close()
    for use in (store.read, store.write):
        with pytest.raises(ConfigurationError), use():
            pytest.fail("it opened")


def test_its_files_are_the_owners_alone(store: SqliteDatabase, tmp_path: Path) -> None:
    with store.write() as transaction:
        transaction.execute("INSERT INTO item VALUES ('a', 1)")
    folder = tmp_path / "rooms"
    names = {path.name for path in folder.iterdir()}
    assert names == {"items.db", "items.db-wal", "items.db-shm", "items.lock"}
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    for path in folder.iterdir():
        assert stat.S_IMODE(path.stat().st_mode) == 0o600, path.name
    store.close()
    assert {path.name for path in folder.iterdir()} == {"items.db", "items.lock"}


@pytest.mark.parametrize("mode", ["WAL", "DELETE"])
def test_a_file_of_the_standard_librarys_sqlite_opens(tmp_path: Path, mode: str) -> None:
    path = tmp_path / "items.db"
    old = sqlite3.connect(path)
    old.execute(f"PRAGMA journal_mode = {mode}")
    old.execute(SCHEMA)
    old.execute("INSERT INTO item VALUES ('a', 1)")
    old.commit()
    schema = old.execute("SELECT sql FROM sqlite_master").fetchall()
    old.close()
    store = open_store(path, SCHEMA)
    with store.write() as transaction:
        transaction.execute("INSERT INTO item VALUES ('b', 2)")
        assert transaction.execute("SELECT sql FROM sqlite_master WHERE type = 'table'") == [
            schema[0]
        ]
    store.close()
    again = sqlite3.connect(path)
    assert again.execute("SELECT name FROM item").fetchall() == [("a",), ("b",)]
    again.close()


def test_failures_are_of_the_owners_class(tmp_path: Path) -> None:
    path = tmp_path / "items.db"
    path.write_bytes(b"no database at all" * 100)
    with pytest.raises(ConfigurationError) as caught:
        open_store(path, SCHEMA, hint="delete it")
    assert caught.value.hint == "delete it"
    with pytest.raises(LogCorrupt) as corrupt:
        SqliteDatabase(path, schema=SCHEMA)
    assert "audit verify" in corrupt.value.hint
    with pytest.raises(LogUnavailable):
        SqliteDatabase(tmp_path / "none.db", schema=None)


def test_what_can_be_made_again_is_removed_unless_it_is_of_this_version(tmp_path: Path) -> None:
    path = tmp_path / "items.db"
    remove_other_version(path, 3)  # nothing there
    store = open_store(path, f"{SCHEMA};; PRAGMA user_version = 3")
    store.close()
    remove_other_version(path, 3)
    assert path.exists()
    remove_other_version(path, 4)
    assert not path.exists()
    path.write_bytes(b"no database at all" * 100)
    remove_other_version(path, 4)
    assert not path.exists()


def test_erased_bytes_are_in_no_file_after_a_scrub(store: SqliteDatabase, tmp_path: Path) -> None:
    name = "the-name-of-somebody" * 10
    with store.write() as transaction:
        transaction.execute("INSERT INTO item VALUES (?, 1)", (name,))
    with store.write() as transaction:
        transaction.execute("DELETE FROM item")

    def on_disk() -> bytes:
        return b"".join(path.read_bytes() for path in (tmp_path / "rooms").iterdir())

    assert name.encode() in on_disk()  # in the write-ahead log
    store.scrub()
    assert name.encode() not in on_disk()
    store.close()

"""What only PostgreSQL can do to us."""

from __future__ import annotations

import shutil
import subprocess
import sys
import threading
import time
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from chopmark.audit import AuditLog, Event, LogCorrupt, LogUnavailable, verify_log
from chopmark.errors import ConfigurationError
from chopmark.kit.ids import new_record_id
from tests.support.disk_faults import TemporaryPostgres

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@pytest.fixture
def server() -> Iterator[tuple[TemporaryPostgres, str]]:
    """Start a server that the test may stop."""
    running = TemporaryPostgres()
    try:
        url = running.__enter__()
    except LogUnavailable as error:
        pytest.skip(error.message)
    yield running, url
    running.__exit__()


@pytest.fixture
def schema(request: pytest.FixtureRequest) -> str:
    """Make a schema on the server that all tests share; give its address."""
    try:
        url: str = request.getfixturevalue("postgres")
    except LogUnavailable as error:
        pytest.skip(error.message)
    name = f"own_{new_record_id()}"
    with import_module("psycopg").connect(url, autocommit=True) as connection:
        connection.execute(f"CREATE SCHEMA {name}")
    return f"{url}&options=-csearch_path%3D{name}"


def test_a_restart_of_the_server_is_not_noticed_by_who_comes_later(
    server: tuple[TemporaryPostgres, str], tmp_path: Path, make_event: Callable[..., Event]
) -> None:
    running, url = server
    with AuditLog.open(tmp_path, database=url) as log:
        first = log.append(make_event())
        assert log.get(first.index) == first
        running.stop("immediate")
        running.start()
        # Both kept connections are dead now; reading and writing each find a new one.
        assert log.get(first.index) == first
        assert log.append(make_event()).index == first.index + 1


def test_a_server_that_crashes_loses_nothing_acknowledged(
    server: tuple[TemporaryPostgres, str], tmp_path: Path, make_event: Callable[..., Event]
) -> None:
    running, url = server
    log = AuditLog.open(tmp_path, database=url)
    acknowledged: list[tuple[int, str]] = []
    stop = threading.Event()

    def work() -> None:
        while not stop.is_set():
            event = make_event()
            while not stop.is_set():
                try:
                    record = log.append(event)
                except LogUnavailable:
                    time.sleep(0.02)
                    continue
                acknowledged.append((record.index, record.event_id))
                break

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    for _ in range(3):
        before = len(acknowledged)
        while len(acknowledged) < before + 30:
            time.sleep(0.01)
        running.stop("immediate")
        running.start()
    stop.set()
    for thread in threads:
        thread.join()
    for index, event_id in acknowledged:
        assert log.get(index).event_id == event_id
    log.close()
    report = verify_log(tmp_path, database=url)
    assert report.problems == ()
    assert report.size >= len(acknowledged)


def test_a_server_that_is_gone(
    server: tuple[TemporaryPostgres, str], tmp_path: Path, make_event: Callable[..., Event]
) -> None:
    running, url = server
    log = AuditLog.open(tmp_path, database=url)
    log.append(make_event())
    running.stop("immediate")
    for call in (
        log.writable,
        lambda: log.append(make_event()),
        lambda: log.get(0),
        lambda: AuditLog.open(tmp_path, database=url),
        lambda: verify_log(tmp_path, database=url),
    ):
        with pytest.raises(LogUnavailable):
            call()
    running.start()
    assert log.append(make_event()).index == 1
    log.close()


def test_the_operator_meets_triggers_and_the_walk_finds_the_rest(
    schema: str, tmp_path: Path, make_event: Callable[..., Event]
) -> None:
    url = schema
    psycopg = import_module("psycopg")
    with AuditLog.open(tmp_path, database=url) as log:
        for _ in range(300):
            log.submit(make_event())
    with psycopg.connect(url, autocommit=True) as connection:
        for statement in (
            "UPDATE entry SET tenant = 'x'",
            "DELETE FROM entry",
            "TRUNCATE entry",
        ):
            with pytest.raises(psycopg.errors.RaiseException, match="append-only"):
                connection.execute(statement)
        connection.execute("ALTER TABLE entry DISABLE TRIGGER ALL")
        for statement, back in (
            ("UPDATE entry SET tenant = 'x' WHERE idx = 7", "UPDATE entry SET tenant = 'default'"),
            ("UPDATE tile SET data = data || data", "UPDATE tile SET data = substr(data, 1, 8192)"),
        ):
            assert verify_log(tmp_path, database=url).ok
            connection.execute(statement)
            assert not verify_log(tmp_path, database=url).ok
            if "tile" in statement:
                connection.execute(back + " WHERE level = 0")
                connection.execute("UPDATE tile SET data = substr(data, 1, 32) WHERE level = 1")
            else:
                connection.execute(back)
        assert verify_log(tmp_path, database=url).ok


def test_a_role_that_may_only_insert_and_select(
    schema: str, tmp_path: Path, make_event: Callable[..., Event]
) -> None:
    """The grants that a deployer gives the writer's role take UPDATE and DELETE of entries away."""
    url = schema
    psycopg = import_module("psycopg")
    with AuditLog.open(tmp_path, database=url) as log:
        log.append(make_event())
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("CREATE ROLE writer")
        connection.execute(f"GRANT USAGE ON SCHEMA {url.rpartition('%3D')[2]} TO writer")
        connection.execute("GRANT SELECT, INSERT ON entry TO writer")
        connection.execute("SET ROLE writer")
        assert connection.execute("SELECT count(*) FROM entry").fetchone() == (1,)
        for statement in ("UPDATE entry SET tenant = 'x'", "DELETE FROM entry", "TRUNCATE entry"):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute(statement)


def test_an_address_of_something_else(tmp_path: Path) -> None:
    for url in ("mysql://somewhere", "log.db", ""):
        with pytest.raises(ConfigurationError):
            AuditLog.open(tmp_path, database=url)


def test_the_settings_lead_to_postgresql(
    schema: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, make_event: Callable[..., Event]
) -> None:
    from chopmark.pipeline.parts import Parts
    from chopmark.settings import load_settings

    monkeypatch.setenv("CHOPMARK_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("CHOPMARK_LOG_DATABASE", schema)
    parts = Parts(load_settings())
    parts.log.append(make_event())
    parts.close()
    assert not (tmp_path / "home" / "audit" / "log.db").exists()
    assert (tmp_path / "home" / "audit" / "vault" / "keys.db").is_file()  # unset: SQLite
    report = verify_log(tmp_path / "home", database=schema)
    assert (report.size, report.problems) == (1, ())


def test_tables_of_a_newer_version_are_refused(schema: str, tmp_path: Path) -> None:
    with AuditLog.open(tmp_path, database=schema):
        pass
    with import_module("psycopg").connect(schema, autocommit=True) as connection:
        assert connection.execute("SELECT version FROM chopmark_format").fetchall() == [(1,)]
        connection.execute("UPDATE chopmark_format SET version = 2")
    with pytest.raises(ConfigurationError, match="format 2") as caught:
        AuditLog.open(tmp_path, database=schema)
    assert "install" in caught.value.hint


def test_a_second_home_is_told_that_the_log_is_anothers(
    schema: str, tmp_path: Path, make_event: Callable[..., Event]
) -> None:
    with AuditLog.open(tmp_path / "one", database=schema) as log:
        log.append(make_event())
    with pytest.raises(LogCorrupt, match="signed by no key of this home") as caught:
        AuditLog.open(tmp_path / "two", database=schema)
    assert "another home began this log" in caught.value.hint
    with AuditLog.open(tmp_path / "one", database=schema) as log:
        assert log.size == 1


def machines(tmp_path: Path, schema: str, number: int) -> list[Path]:
    """Make so many homes with the keys of one log, as machines have them that share it."""
    homes = [tmp_path / f"machine{place}" for place in range(number)]
    AuditLog.open(homes[0], database=schema, keys_database=f"{schema}#keys").close()
    for home in homes[1:]:
        shutil.copytree(homes[0], home)
    return homes


def test_a_holder_that_stops_in_the_middle_is_shut_out(
    schema: str,
    tmp_path: Path,
    make_event: Callable[..., Event],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("chopmark.kit.postgres._SILENT_MS", 300)
    one, other = (
        AuditLog.open(home, database=schema, keys_database=f"{schema}#keys")
        for home in machines(tmp_path, schema, 2)
    )
    event = make_event(kind="policy.changed", private={}, subject=None)

    def stopped() -> None:
        with one._ledger.booking() as transaction:
            one._ledger.book_within(transaction, event)
            # It says nothing more: the server ends its session, and the next has its turn.
            other.append(make_event())

    with pytest.raises(LogUnavailable):
        stopped()
    assert (other.size, other.get(0).kind) == (1, "request.received")
    assert one.append(event).index == 1
    one.close()
    other.close()
    report = verify_log(tmp_path / "machine1", database=schema, keys_database=f"{schema}#keys")
    assert report.problems == ()


def test_machines_that_are_killed_lose_nothing_acknowledged(schema: str, tmp_path: Path) -> None:
    homes = machines(tmp_path, schema, 3)
    worker = Path(__file__).with_name("append_worker.py")
    running = [
        subprocess.Popen([sys.executable, worker, home, schema], stdout=subprocess.PIPE, text=True)
        for home in homes
    ]
    told: list[tuple[str, int]] = []
    for process in running:
        assert process.stdout is not None
        for _ in range(20):
            event_id, index = process.stdout.readline().split()
            told.append((event_id, int(index)))
        process.kill()  # whatever it is doing; the others go on
        rest = [line.split() for line in process.communicate()[0].splitlines()]
        told += [(parts[0], int(parts[1])) for parts in rest if len(parts) == 2]
    with AuditLog.open(homes[0], database=schema, keys_database=f"{schema}#keys") as log:
        assert len(told) >= 60
        assert [log.get(index).event_id for _, index in told] == [name for name, _ in told]
    assert verify_log(homes[0], database=schema, keys_database=f"{schema}#keys").problems == ()

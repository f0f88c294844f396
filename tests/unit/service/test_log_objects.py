"""The log's public files in a bucket: obstore's memory, and moto's S3 where it is installed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from chopmark.audit import AuditLog, Event, LogCorrupt, LogUnavailable
from chopmark.errors import ConfigurationError
from chopmark.kit.ids import new_record_id
from chopmark.kit.objects import Objects, checked, open_objects
from chopmark.service.log_objects import LogObjects

stores = pytest.importorskip("obstore.store")


@pytest.fixture(params=["memory", "s3"])
def objects(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Objects]:
    if request.param == "memory":
        yield checked(stores.MemoryStore())
        return
    moto = pytest.importorskip("moto.server", reason="moto is not installed")
    server = moto.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        host, port = server.get_host_and_port()
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://{host}:{port}")
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            monkeypatch.setenv(name, "x")
        monkeypatch.setenv("AWS_REGION", "us-east-1")
        httpx.put(f"http://{host}:{port}/bucket").raise_for_status()
        with pytest.raises(ConfigurationError, match="CHOPMARK_OBJECTS"):
            open_objects("s3://another/prefix")
        # Moto's buckets are its process's, not its server's.
        yield open_objects(f"s3://bucket/{tmp_path.name}")
    finally:
        server.stop()


@pytest.fixture
def log(tmp_path: Path) -> Iterator[AuditLog]:
    with AuditLog.open(tmp_path / "home") as log:
        yield log


def _append(log: AuditLog, times: int) -> None:
    events = [
        Event(kind="moderation.completed", record_id=new_record_id(), tenant="default")
        for _ in range(times)
    ]
    for waiting in [log.submit(event) for event in events]:
        waiting.result(30)


def _read(objects: Objects, path: str) -> bytes:
    found = objects.read(path)
    assert found is not None
    return found[0]


def test_tiles_and_checkpoint_follow_the_log(
    objects: Objects, log: AuditLog, tmp_path: Path
) -> None:
    one = LogObjects(objects, entries=False)
    _append(log, 3)
    assert one.publish(log, tmp_path / "one") == 2
    assert _read(objects, "log/checkpoint").split(b"\n")[1] == b"3"
    assert len(_read(objects, "log/tile/0/000.p/3")) == 96
    assert objects.read("log/tile/entries/000.p/3") is None
    assert one.publish(log, tmp_path / "one") == 0
    _append(log, 255)
    assert one.publish(log, tmp_path / "one") == 4
    assert len(_read(objects, "log/tile/0/000")) == 256 * 32
    # Another server of the log compares, and writes what is not there yet.
    other = LogObjects(objects, entries=True)
    assert other.publish(log, tmp_path / "other") == 2
    assert _read(objects, "log/tile/entries/001.p/2")


def test_no_checkpoint_is_undone(
    objects: Objects, log: AuditLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    signed = []
    for _ in range(3):
        _append(log, 1)
        signed.append(log.proof.checkpoint())
    first, middle, newest = signed
    one, other = (LogObjects(objects, entries=False) for _ in range(2))
    assert one._replace_checkpoint(log, first)
    read, met = objects.read, list[int]()

    def overtaken(path: str) -> Any:
        found = read(path)
        if not met:  # another server writes between our look and our write
            met.append(1)
            assert other._replace_checkpoint(log, middle)
        return found

    with monkeypatch.context() as patch:
        patch.setattr(objects, "read", overtaken)
        assert one._replace_checkpoint(log, newest)
    assert met
    assert not other._replace_checkpoint(log, middle)
    assert _read(objects, "log/checkpoint") == newest.note.encode()


def test_a_bucket_of_another_log_is_refused(
    objects: Objects, log: AuditLog, tmp_path: Path
) -> None:
    _append(log, 2)
    LogObjects(objects, entries=False).publish(log, tmp_path / "one")
    with AuditLog.open(tmp_path / "other") as another:
        _append(another, 2)
        with pytest.raises(LogCorrupt, match="another log/tile/0"):
            LogObjects(objects, entries=False).publish(another, tmp_path / "two")
        _append(another, 1)
        objects.delete("log/tile/0/000.p/2")
        with pytest.raises(LogCorrupt, match="another checkpoint"):
            LogObjects(objects, entries=False).publish(another, tmp_path / "three")


def test_what_takes_no_notice_of_conditions_is_refused_at_the_start(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="CHOPMARK_OBJECTS"):
        checked(stores.LocalStore(tmp_path))
    careless = Objects(stores.MemoryStore())
    careless.replace = lambda *_: True  # type: ignore[method-assign]
    from chopmark.kit.objects import _try

    with pytest.raises(ConfigurationError, match="no notice"):
        _try(careless)


def test_a_bucket_that_is_away_is_told_and_loses_nothing(
    log: AuditLog, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _append(log, 1)
    store = stores.from_url(
        "s3://bucket/prefix",
        endpoint="http://127.0.0.1:1",
        region="x",
        access_key_id="x",
        secret_access_key="x",
        client_options={"allow_http": True, "timeout": "1s"},
        retry_config={"max_retries": 0},
    )
    with pytest.raises(LogUnavailable, match="CHOPMARK_OBJECTS"):
        LogObjects(Objects(store), entries=False).publish(log, tmp_path / "one")
    assert (tmp_path / "one" / "checkpoint").is_file()
    for name in ("AWS_ENDPOINT_URL", "AWS_REGION"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(ConfigurationError, match="not the address"):
        open_objects("https://bucket")

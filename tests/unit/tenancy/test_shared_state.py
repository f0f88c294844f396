from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from chopmark.errors import ConfigurationError, CoolingDown, RateLimited
from chopmark.settings import Settings
from chopmark.tenancy.abuse_counts import AbuseCounts
from chopmark.tenancy.database_state import DatabaseState
from chopmark.tenancy.guesses import Guesses
from chopmark.tenancy.rates import Rates
from chopmark.tenancy.redis_state import RedisState
from chopmark.tenancy.shared_state import MemoryState, SharedState, digest_name
from chopmark.tenancy.states import open_shared_state
from chopmark.tenancy.surviving_state import SurvivingState
from tests.support.redis_server import TemporaryRedis
from tests.unit.tenancy.conftest import Clock
from tests.unit.tenancy.test_abuse_counts import REFUSALS, _angle

_TAKER = """
import pathlib, sys
from chopmark.settings import Settings
from chopmark.tenancy.rates import Rates
from chopmark.tenancy.states import open_shared_state
home, database, shared = sys.argv[1:]
state = open_shared_state(
    pathlib.Path(home), Settings(home=home, database=database, shared_state=shared)
)
rates = Rates(state, "api")
print("ready", flush=True)
sys.stdin.readline()
print(sum(rates.take("acme", 500).allowed for _ in range(400)))
state.close()
"""


def test_a_document_is_changed_as_a_whole(state: SharedState, clock: Clock) -> None:
    def one_more(known: bytes | None) -> bytes:
        return str(int(known or b"0") + 1).encode()

    def forty(_: int) -> None:
        for _ in range(10):
            state.change("count", "a", one_more, keep_s=60)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(forty, range(4)))
    assert state.read("count", "a") == b"40"
    assert state.read("count", "b") is state.read("other", "a") is None
    clock.now += 59
    assert state.read("count", "a") == b"40"
    clock.now += 1
    assert state.read("count", "a") is None
    assert state.change("count", "a", one_more, keep_s=60) == b"1"
    assert state.change("count", "a", lambda _: None, keep_s=60) is None
    assert state.read("count", "a") is None
    assert state.change("count", "a", lambda _: b"\x00\xff", keep_s=60) == b"\x00\xff"
    assert state.read("count", "a") == b"\x00\xff"


def test_wrong_passwords_are_counted_wherever_they_are_typed(state: SharedState) -> None:
    one, other = Guesses(state), Guesses(state)
    for server in (one, other) * 5:
        server.wrong("ada", address="a", device=None)
    with pytest.raises(RateLimited):
        other.wrong("ada", address="a", device=None)
    other.right("ada", address="a", device=None)
    one.wrong("ada", address="a", device=None)


@pytest.fixture(params=["postgres", "redis"])
def shared(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[str, str]:
    """Give ``CHOPMARK_DATABASE`` and ``CHOPMARK_SHARED_STATE`` of two servers."""
    if request.param == "redis":
        server: TemporaryRedis = request.getfixturevalue("redis_or_skip")
        return "", server.url
    from tests.unit.tenancy.conftest import _schema

    return _schema(request, tmp_path), ""


@pytest.fixture
def redis_or_skip(request: pytest.FixtureRequest) -> TemporaryRedis:
    try:
        server: TemporaryRedis = request.getfixturevalue("redis")
    except ConfigurationError as error:
        pytest.skip(error.message)
    return server


def test_two_processes_keep_one_limit(shared: tuple[str, str], tmp_path: Path) -> None:
    command = [sys.executable, "-c", _TAKER, str(tmp_path), *shared]
    servers = [
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    for server in servers:
        assert server.stdout is not None
        assert server.stdout.readline() == "ready\n"
    for server in servers:
        assert server.stdin is not None
        server.stdin.write("\n")
        server.stdin.flush()
    allowed = [int(server.communicate()[0]) for server in servers]
    assert sum(allowed) == 500
    assert max(allowed) <= 400


@pytest.fixture
def mortal(redis_or_skip: TemporaryRedis) -> Iterator[TemporaryRedis]:
    """Start a Redis server that a test may kill."""
    assert redis_or_skip
    with TemporaryRedis() as server:
        yield server


@pytest.mark.parametrize("second", ["memory", "database"])
def test_a_lost_redis_opens_no_limit_and_loses_no_wait(
    second: str, mortal: TemporaryRedis, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    clock, ticks = Clock(), Clock()
    spare = MemoryState(clock) if second == "memory" else DatabaseState.open(tmp_path, clock=clock)
    state = SurvivingState(RedisState(mortal.url, clock=clock), spare, ticks=ticks)
    rates, watch = Rates(state), AbuseCounts(_angle, state=state)

    def waits(person: str) -> bool:
        try:
            watch.check(person, REFUSALS, "80")
        except CoolingDown:
            return True
        return False

    assert [rates.take("acme", 3).allowed for _ in range(2)] == [True, True]
    for _ in range(3):
        watch.refused("ada", REFUSALS, "0", [])
    assert waits("ada")
    assert not state.trouble()

    mortal.kill()
    assert [rates.take("acme", 3).allowed for _ in range(2)] == [True, False]
    assert waits("ada")
    for _ in range(3):
        watch.refused("bob", REFUSALS, "0", [])
    assert waits("bob")
    assert "Redis is lost" in state.trouble()

    mortal.start()  # with nothing in it
    assert "Redis is lost" in state.trouble()
    assert not rates.take("acme", 3).allowed
    ticks.now += 2
    assert not rates.take("acme", 3).allowed
    assert not state.trouble()
    fresh = RedisState(mortal.url, clock=clock)
    assert not fresh.take(digest_name("requests acme"), 3).allowed
    kept = list(state.documents())
    assert len(kept) == 2
    assert [fresh.read(one.kind, one.name) for one in kept] == [one.body for one in kept]
    assert waits("ada")
    assert waits("bob")

    # Between two questions: it answers, and has forgotten all.
    fresh._client.flushall()
    assert waits("ada")
    assert not rates.take("acme", 3).allowed
    assert not state.trouble()
    fresh.close()
    state.close()
    told = [one.message for one in caplog.records if "shared state" in one.message]
    assert [("is lost" in one, "is back" in one) for one in told] == [(True, False), (False, True)]


@pytest.mark.parametrize(
    ("url", "what"),
    [
        ("http://127.0.0.1:6379", "not the address"),
        ("redis://127.0.0.1:1/0", "refused"),
        ("unix:///nowhere/socket", "/nowhere/socket"),
        ("redis://127.0.0.1:port/0", "port"),
    ],
)
def test_a_wrong_address_is_one_error(url: str, what: str, tmp_path: Path) -> None:
    pytest.importorskip("redis")
    with pytest.raises(ConfigurationError, match="CHOPMARK_SHARED_STATE") as caught:
        open_shared_state(tmp_path, Settings(home=tmp_path, shared_state=url))
    assert what in caught.value.message
    assert caught.value.hint


def test_a_replica_and_a_clock_that_is_wrong_are_told_at_the_start(
    mortal: TemporaryRedis, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr("chopmark.kit.redis.time.time", lambda: 1_000_000.0)
        with pytest.raises(ConfigurationError, match=r"clock is \+\d+ s"):
            RedisState(mortal.url)
    client = RedisState(mortal.url)._client
    client.replicaof("127.0.0.1", 1)
    client.close()
    with pytest.raises(ConfigurationError, match="read only"):
        RedisState(mortal.url)


def test_without_redis_py_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "redis", None)
    with pytest.raises(ConfigurationError) as caught:
        RedisState("redis://127.0.0.1/0")
    assert "chopmark[redis]" in (caught.value.hint or "")

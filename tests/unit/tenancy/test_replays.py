from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from chopmark.errors import (
    ConfigurationError,
    IdempotencyInFlight,
    IdempotencyMismatch,
    InvalidRequest,
)
from chopmark.tenancy.replays import KEPT_S, LEASE_S, KeptAnswer, Replays, Unanswered
from tests.unit.tenancy.conftest import ONLY_POSTGRES, ONLY_SQLITE

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

ANSWER = KeptAnswer(status=200, headers=(("x-record-id", "0"),), body=b"\x00picture\xff")


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def replays(tmp_path: Path, clock: Clock, database: str) -> Iterator[Replays]:
    opened = Replays.open(tmp_path, clock=clock, max_bytes=200, database=database)
    yield opened
    opened.close()


def test_claim_keep_and_replay(replays: Replays) -> None:
    assert replays.begin("acme", "k", b"one") is None
    with pytest.raises(IdempotencyInFlight):
        replays.begin("acme", "k", b"one")
    with pytest.raises(IdempotencyMismatch):
        replays.begin("acme", "k", b"two")
    replays.finish("acme", "k", b"one", ANSWER)
    assert replays.begin("acme", "k", b"one") == ANSWER
    with pytest.raises(IdempotencyMismatch):
        replays.begin("acme", "k", b"two")
    assert replays.begin("globex", "k", b"two") is None


def test_what_came_to_nothing_is_let_go(replays: Replays) -> None:
    assert replays.begin("acme", "k", b"one") is None
    replays.drop("acme", "k")
    assert replays.begin("acme", "k", b"two") is None


def test_a_day_later_the_key_is_free(replays: Replays, clock: Clock) -> None:
    replays.begin("acme", "k", b"one")
    replays.finish("acme", "k", b"one", ANSWER)
    clock.now += KEPT_S - 1
    assert replays.begin("acme", "k", b"one") == ANSWER
    clock.now += 2
    assert replays.begin("acme", "k", b"two") is None


def test_too_many_bytes_push_out_the_oldest(replays: Replays, clock: Clock) -> None:
    for number in range(4):
        clock.now += 1
        replays.begin("acme", f"k{number}", b"one")
        replays.finish(
            "acme", f"k{number}", b"one", KeptAnswer(status=200, headers=(), body=b"x" * 40)
        )
    assert replays.begin("acme", "k3", b"one") is not None
    assert replays.begin("acme", "k2", b"one") is not None
    assert replays.begin("acme", "k1", b"one") is None


def test_a_new_process_keeps_answers_and_forgets_what_ran(
    replays: Replays, tmp_path: Path, database: str
) -> None:
    replays.begin("acme", "done", b"one")
    replays.finish("acme", "done", b"one", ANSWER)
    replays.begin("acme", "running", b"one")
    again = Replays.open(tmp_path, clock=lambda: 1001.0, database=database)
    assert again.begin("acme", "done", b"one") == ANSWER
    assert again.begin("acme", "running", b"one") is None
    again.close()


@ONLY_POSTGRES
def test_what_a_server_that_died_was_working_on_is_taken_by_another(
    replays: Replays, clock: Clock, tmp_path: Path, database: str
) -> None:
    replays.begin("acme", "nothing-yet", b"one")
    replays.begin("acme", "ending", b"one")
    ending = Unanswered(record_id="0" * 26, ending=b"what it was about to end in")
    replays.end("acme", "ending", b"one", ending)
    other = Replays.open(tmp_path / "other", clock=clock, database=database)
    for passed_s in (1, LEASE_S - 2):
        clock.now += passed_s
        for key in ("nothing-yet", "ending"):
            with pytest.raises(IdempotencyInFlight):
                other.begin("acme", key, b"one")
    clock.now += 2
    with pytest.raises(IdempotencyMismatch):
        other.begin("acme", "nothing-yet", b"two")
    assert other.begin("acme", "nothing-yet", b"one") is None
    assert other.begin("acme", "ending", b"one") == ending
    other.finish("acme", "nothing-yet", b"one", ANSWER)
    assert replays.begin("acme", "nothing-yet", b"one") == ANSWER
    # What it took is its own now: the first server, back again, does not make it a second time.
    other.beat()
    replays.beat()
    with pytest.raises(IdempotencyInFlight):
        replays.begin("acme", "ending", b"one")
    with pytest.raises(IdempotencyInFlight, match="taken this request over"):
        replays.end("acme", "ending", b"one", ending)
    replays.finish("acme", "ending", b"one", KeptAnswer(status=500, headers=(), body=b"late"))
    other.finish("acme", "ending", b"one", ANSWER)
    kept = replays.begin("acme", "ending", b"one")
    assert isinstance(kept, KeptAnswer)
    assert (kept.body, kept.record_id) == (ANSWER.body, ending.record_id)
    other.close()


@ONLY_POSTGRES
def test_a_server_that_says_it_is_there_keeps_what_it_works_on(
    replays: Replays, clock: Clock, tmp_path: Path, database: str
) -> None:
    replays.begin("acme", "k", b"one")
    other = Replays.open(tmp_path / "other", clock=clock, database=database)
    for _ in range(5):
        clock.now += LEASE_S - 1
        replays.beat()
        other.beat()
        with pytest.raises(IdempotencyInFlight):
            other.begin("acme", "k", b"one")
    other.close()


@pytest.mark.parametrize("key", ["", " ", "a b", "é", "a\n", "x" * 256])
def test_what_is_no_key(replays: Replays, key: str) -> None:
    with pytest.raises(InvalidRequest):
        replays.begin("acme", key, b"one")


@ONLY_SQLITE
def test_without_the_client_nobody_reads_an_answer(replays: Replays, tmp_path: Path) -> None:
    answer = KeptAnswer(
        status=200, headers=(("x-record-id", "abc"),), body=b"a picture of a person"
    )
    replays.begin("acme", "8b1f-key-of-the-client", b"request digest")
    replays.finish("acme", "8b1f-key-of-the-client", b"request digest", answer)
    replays.close()
    kept = b"".join(file.read_bytes() for file in (tmp_path / "tenancy").iterdir())
    for part in (b"picture", b"x-record-id", b"8b1f", b"request digest", b"acme"):
        assert part not in kept
    again = Replays.open(tmp_path, clock=Clock())
    assert again.begin("acme", "8b1f-key-of-the-client", b"request digest") == answer
    with again._database.write() as transaction:
        transaction.execute("UPDATE sealed_replay SET sealed = ?", (b"\0" * 60,))
    with pytest.raises(ConfigurationError, match="does not open"):
        again.begin("acme", "8b1f-key-of-the-client", b"request digest")
    again.close()

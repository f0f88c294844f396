from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from chopmark.errors import Busy, RateLimited
from chopmark.tenancy.turns import Turns

if TYPE_CHECKING:
    from collections.abc import Callable


class Crowd:
    """Requests of named tenants at one queue; each holds its turn until it is let go."""

    def __init__(self, turns: Turns) -> None:
        self.turns = turns
        self.started: list[str] = []
        self.let_go: dict[str, asyncio.Event] = {}
        self.tasks: dict[str, asyncio.Task[None]] = {}

    async def come(self, *names: str) -> None:
        for name in names:
            self.let_go[name] = asyncio.Event()
            self.tasks[name] = asyncio.create_task(self._one(name))
            await asyncio.sleep(0)

    async def _one(self, name: str) -> None:
        async with self.turns.turn(name[0]):
            self.started.append(name)
            await self.let_go[name].wait()

    async def end(self, name: str) -> None:
        self.let_go[name].set()
        await self.tasks[name]
        await asyncio.sleep(0)


@pytest.fixture
def crowd() -> Callable[[int, int], Crowd]:
    return lambda slots, places: Crowd(Turns(slots=slots, places=places))


async def test_turns_go_round_the_tenants(crowd: Callable[[int, int], Crowd]) -> None:
    there = crowd(1, 10)
    await there.come("a1", "a2", "a3", "a4", "b1", "b2", "c1")
    for name in ("a1", "a2", "b1", "c1", "a3", "b2", "a4"):
        assert there.started[-1] == name
        await there.end(name)
    assert (there.turns.running, there.turns.waiting) == (0, 0)


async def test_no_more_run_than_there_are_slots(crowd: Callable[[int, int], Crowd]) -> None:
    there = crowd(2, 10)
    await there.come("a1", "a2", "a3")
    assert (there.turns.running, there.turns.waiting) == (2, 1)
    await there.end("a2")
    assert there.started == ["a1", "a2", "a3"]
    await there.end("a1")
    await there.end("a3")


async def test_a_full_queue_refuses(crowd: Callable[[int, int], Crowd]) -> None:
    there = crowd(1, 1)
    await there.come("a1", "a2", "a3")
    with pytest.raises(Busy):
        await there.tasks["a3"]
    await there.come("b1")  # as many wait of b as of a, when it comes: nobody is pushed out
    with pytest.raises(Busy):
        await there.tasks["b1"]
    await there.end("a1")
    await there.end("a2")


async def test_a_greedy_tenant_loses_its_last_place(crowd: Callable[[int, int], Crowd]) -> None:
    there = crowd(1, 3)
    await there.come("a1", "a2", "a3", "a4", "b1")
    with pytest.raises(RateLimited):
        await there.tasks["a4"]
    await there.end("a1")
    await there.end("a2")
    assert there.started[-1] == "b1"
    await there.end("b1")
    await there.end("a3")


async def test_a_place_is_given_away_in_the_moment_in_which_its_holder_leaves(
    crowd: Callable[[int, int], Crowd],
) -> None:
    there = crowd(1, 3)
    await there.come("a1", "a2", "a3", "a4")
    there.let_go["b1"] = asyncio.Event()
    there.tasks["b1"] = asyncio.create_task(there._one("b1"))
    there.tasks["a4"].cancel()  # it hears of it only after b1 was given its place
    for name in ("a1", "a2", "b1", "a3"):
        await there.end(name)
    assert there.started == ["a1", "a2", "b1", "a3"]
    assert (there.turns.running, there.turns.waiting) == (0, 0)


async def test_without_places_only_slots_serve(crowd: Callable[[int, int], Crowd]) -> None:
    there = crowd(1, 0)
    await there.come("a1", "b1")
    with pytest.raises(Busy):
        await there.tasks["b1"]
    await there.end("a1")


@pytest.mark.parametrize("gone", ["a2", "b1"])
async def test_who_goes_away_frees_the_place(crowd: Callable[[int, int], Crowd], gone: str) -> None:
    there = crowd(1, 10)
    await there.come("a1", "a2", "b1")
    there.tasks[gone].cancel()
    with pytest.raises(asyncio.CancelledError):
        await there.tasks[gone]
    assert there.turns.waiting == 1
    await there.end("a1")
    await there.end("b1" if gone == "a2" else "a2")
    assert (there.turns.running, there.turns.waiting) == (0, 0)


async def test_a_turn_that_comes_to_somebody_who_just_left_goes_on(
    crowd: Callable[[int, int], Crowd],
) -> None:
    there = crowd(1, 10)
    async with there.turns.turn("a"):
        await there.come("a2", "a3")
    there.tasks["a2"].cancel()  # the turn is a2's already, but a2 has not run yet
    with pytest.raises(asyncio.CancelledError):
        await there.tasks["a2"]
    await asyncio.sleep(0)
    assert there.started == ["a3"]
    await there.end("a3")
    assert (there.turns.running, there.turns.waiting) == (0, 0)


async def test_many_at_random_leave_nothing_behind() -> None:
    import random

    dice = random.Random(7)  # noqa: S311
    turns = Turns(slots=3, places=8)
    ran = refused = 0

    async def one(tenant: str) -> None:
        nonlocal ran, refused
        try:
            async with turns.turn(tenant):
                assert turns.running <= 3
                await asyncio.sleep(dice.random() / 500)
                ran += 1
        except (Busy, RateLimited):
            refused += 1

    tasks = []
    for _ in range(400):
        tasks.append(asyncio.create_task(one(dice.choice("aaab"))))
        await asyncio.sleep(dice.choice((0, 0, 0.001)))
        if dice.random() < 0.2:
            dice.choice(tasks).cancel()
        assert turns.waiting <= 8
    await asyncio.gather(*tasks, return_exceptions=True)
    assert (turns.running, turns.waiting) == (0, 0)
    assert ran > 50
    assert refused > 10


class Clock:
    """Seconds that a test moves on."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


async def test_who_is_refused_is_told_the_queues_own_pace() -> None:
    clock, dice = Clock(), iter((0.0, 1.0))
    turns = Turns(slots=2, places=4, clock=clock, dice=lambda: next(dice))
    for _ in range(20):
        async with turns.turn("a"):
            clock.now += 3
    there = Crowd(turns)
    await there.come("a1", "a2", "a3", "a4", "a5", "a6")
    # The fifth in line, at 3 s a turn and two at once: 7.5 s; spread over a quarter more.
    for name, seconds in (("a7", 7.5), ("a8", 9.375)):
        await there.come(name)
        with pytest.raises(Busy) as caught:
            await there.tasks[name]
        assert caught.value.retry_after_s == pytest.approx(seconds)
    for name in ("a1", "a2", "a3", "a4", "a5", "a6"):
        await there.end(name)


async def test_of_other_tenants_no_more_come_before_than_of_ones_own() -> None:
    clock = Clock()
    turns = Turns(slots=1, places=20, clock=clock)
    async with turns.turn("a"):
        clock.now += 2
    there = Crowd(turns)
    await there.come(*(f"a{number}" for number in range(9)))
    assert turns.wait_s("b") == pytest.approx(2 * 2)  # one of a's, then b's own
    assert turns.wait_s("a") == pytest.approx(9 * 2)
    for number in range(9):
        await there.end(f"a{number}")


async def test_no_retry_is_so_late_that_the_official_client_gives_up() -> None:
    clock = Clock()
    turns = Turns(slots=1, places=0, clock=clock, dice=lambda: 1.0)
    async with turns.turn("a"):
        clock.now += 3600
    assert turns.retry_s("a") == pytest.approx(60)


async def test_who_would_wait_too_long_is_refused_at_once() -> None:
    clock = Clock()
    turns = Turns(slots=1, places=100, longest_s=25, clock=clock)
    async with turns.turn("a"):
        clock.now += 10
    there = Crowd(turns)
    await there.come("a1", "a2", "a3", "a4")  # a2 and a3 wait 10 and 20 s, a4 would 30
    with pytest.raises(Busy, match="would not come within 25 s"):
        await there.tasks["a4"]
    for name in ("a1", "a2", "a3"):
        await there.end(name)


async def test_who_did_wait_too_long_is_sent_away() -> None:
    turns = Turns(slots=1, places=100, longest_s=0.01, clock=Clock())
    async with turns.turn("a"):
        pass  # a turn of no time at all: nobody is expected to wait
    there = Crowd(turns)
    await there.come("a1", "a2")
    with pytest.raises(Busy, match="no turn came within"):
        await there.tasks["a2"]
    assert (turns.running, turns.waiting) == (1, 0)
    await there.end("a1")
    assert turns.running == 0

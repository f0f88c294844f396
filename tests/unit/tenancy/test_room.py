from __future__ import annotations

import asyncio
import random

import pytest

from chopmark.tenancy.room import Room


class Guests:
    """Tasks that hold a part of a room until they are told to go."""

    def __init__(self, room: Room) -> None:
        self.room = room
        self.inside: list[str] = []
        self.go: dict[str, asyncio.Event] = {}
        self.tasks: dict[str, asyncio.Task[None]] = {}

    async def come(self, name: str, amount: int) -> None:
        self.go[name] = asyncio.Event()
        self.tasks[name] = asyncio.create_task(self._stay(name, amount))
        await asyncio.sleep(0)

    async def _stay(self, name: str, amount: int) -> None:
        async with self.room.held(amount):
            self.inside.append(name)
            await self.go[name].wait()

    async def leave(self, name: str) -> None:
        self.go[name].set()
        await self.tasks[name]
        await asyncio.sleep(0)


async def test_what_is_large_is_not_passed_by_what_is_small() -> None:
    there = Guests(Room(10))
    await there.come("six", 6)
    await there.come("nine", 9)
    await there.come("one", 1)
    assert there.inside == ["six"]
    await there.leave("six")
    assert there.inside == ["six", "nine", "one"]
    await there.leave("nine")
    await there.leave("one")
    assert there.room.taken == 0


async def test_more_than_there_is_gets_all_of_it() -> None:
    there = Guests(Room(10))
    await there.come("all", 1000)
    await there.come("one", 1)
    assert (there.inside, there.room.taken) == (["all"], 10)
    await there.leave("all")
    await there.leave("one")


async def test_who_leaves_the_line_does_not_hold_it_up() -> None:
    there = Guests(Room(10))
    await there.come("six", 6)
    await there.come("nine", 9)
    await there.come("one", 1)
    there.tasks["nine"].cancel()
    with pytest.raises(asyncio.CancelledError):
        await there.tasks["nine"]
    await asyncio.sleep(0)
    assert there.inside == ["six", "one"]
    await there.leave("six")
    await there.leave("one")
    assert there.room.taken == 0


async def test_room_comes_free_in_the_moment_in_which_who_waits_for_it_leaves() -> None:
    there = Guests(Room(10))
    await there.come("all", 10)
    await there.come("nine", 9)
    await there.come("one", 1)
    there.go["all"].set()
    there.tasks["nine"].cancel()  # it hears of it only after the room was given back
    await there.tasks["all"]
    with pytest.raises(asyncio.CancelledError):
        await there.tasks["nine"]
    assert there.inside == ["all", "one"]
    await there.leave("one")
    assert there.room.taken == 0


@pytest.mark.parametrize("seed", range(4))
async def test_many_at_random_leave_nothing_behind(seed: int) -> None:
    dice, room = random.Random(seed), Room(20)  # noqa: S311

    async def one() -> None:
        async with room.held(dice.randrange(1, 25)):
            assert room.taken <= 20
            await asyncio.sleep(dice.random() / 500)

    tasks = []
    for _ in range(300):
        tasks.append(asyncio.create_task(one()))
        await asyncio.sleep(0)
        if dice.random() < 0.3:
            dice.choice(tasks).cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert room.taken == 0

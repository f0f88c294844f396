from __future__ import annotations

import asyncio
from functools import partial

import pytest

from chopmark.errors import GuardFailed
from chopmark.pipeline.side_by_side import side_by_side
from chopmark.pipeline.steps import Case

#: More than passes here, in ms.
LONG_MS = 1e9


def test_works_run_at_once_and_answer_in_their_order() -> None:
    async def main() -> list[int]:
        last = asyncio.Event()

        async def work(number: int) -> int:
            if number < 2:
                await last.wait()  # hangs, where the first is waited for before the last begins
            last.set()
            return number

        return await side_by_side(
            Case(tenant="t"), [partial(work, number) for number in range(3)], most=3
        )

    assert asyncio.run(main()) == [0, 1, 2]


def test_no_more_run_at_once_than_may() -> None:
    at_once: list[int] = []

    async def main() -> None:
        running = 0

        async def work() -> None:
            nonlocal running
            running += 1
            at_once.append(running)
            await asyncio.sleep(0)
            running -= 1

        await side_by_side(Case(tenant="t"), [work] * 5, most=2)

    asyncio.run(main())
    assert max(at_once) == 2


def test_the_first_that_fails_ends_the_others() -> None:
    ended: list[str] = []

    async def main() -> None:
        async def fails() -> None:
            raise GuardFailed("broken")

        async def waits() -> None:
            try:
                await asyncio.Event().wait()
            finally:
                ended.append("waits")

        await side_by_side(Case(tenant="t"), [waits, fails], most=2)

    with pytest.raises(GuardFailed, match="broken"):
        asyncio.run(main())
    assert ended == ["waits"]


def test_what_overlaps_is_booked_as_the_time_that_passed() -> None:
    case = Case(tenant="t", timings_ms={"generate": LONG_MS, "mark": 5.0})

    async def work() -> None:
        case.timings_ms["mark"] += LONG_MS
        case.timings_ms["sign"] = case.timings_ms.get("sign", 0.0) + 3 * LONG_MS

    asyncio.run(side_by_side(case, [work, work], most=2))
    assert case.timings_ms["generate"] == LONG_MS
    assert 5.0 <= case.timings_ms["mark"] < LONG_MS
    assert case.timings_ms["sign"] == pytest.approx(3 * (case.timings_ms["mark"] - 5.0))

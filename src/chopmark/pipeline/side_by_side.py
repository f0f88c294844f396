"""The same step for several pictures of one request, as many at once as there are cores."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, TypeVar

from chopmark.workers.engine import usual_number

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from chopmark.pipeline.steps import Case

__all__ = ["side_by_side"]

T = TypeVar("T")


async def side_by_side(
    case: Case, works: Sequence[Callable[[], Awaitable[T]]], *, most: int | None = None
) -> list[T]:
    """Do what is to be done for each picture; return what came of it, in their order.

    The first that fails ends the others: what a request begins, it waits for.

    Args:
        case: The request. Its timings grow by what passed, and not by each picture's share of it.
        works: One for each picture; each runs its own steps, within their time.
        most: How many run at once; ``None``: as many as this machine has cores and memory for.

    Raises:
        ChopmarkError: One failed.
    """
    if len(works) < 2:
        return [await work() for work in works]
    before, begun = dict(case.timings_ms), time.perf_counter()
    gate = asyncio.Semaphore(most or usual_number())

    async def one(work: Callable[[], Awaitable[T]]) -> T:
        async with gate:
            return await work()

    tasks = [asyncio.ensure_future(one(work)) for work in works]
    try:
        return list(await asyncio.gather(*tasks))
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        _as_passed(case.timings_ms, before, 1000 * (time.perf_counter() - begun))


def _as_passed(timings_ms: dict[str, float], before: dict[str, float], passed_ms: float) -> None:
    """Shorten what overlapping steps added to the time that passed."""
    added = {name: ms - before.get(name, 0.0) for name, ms in timings_ms.items()}
    share = passed_ms / max(sum(added.values()), passed_ms, 1e-9)
    for name, ms in added.items():
        timings_ms[name] = before.get(name, 0.0) + share * ms

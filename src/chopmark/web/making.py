"""One generation, step by step, as somebody who waits for it can watch it."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from fastapi import Request

    from chopmark.pipeline.preview import Preview
    from chopmark.pipeline.released import Released
    from chopmark.pipeline.request import GenerationRequest
    from chopmark.service.access import Caller
    from chopmark.service.service import Service

__all__ = ["STEPS", "Step", "follow"]

# What a person is shown, and the stages of the pipeline that belong to each.
STEPS: Final[tuple[tuple[str, frozenset[str]], ...]] = (
    ("Judging what you asked for", frozenset({"received", "judge prompt", "judge input"})),
    ("Making the pictures", frozenset({"decided", "recall", "generate", "generating"})),
    ("Judging the pictures", frozenset({"judge output"})),
    ("Marking and signing", frozenset({"mark", "sign", "marking and signing"})),
    ("Booking", frozenset({"completed"})),
)


@dataclass(frozen=True, kw_only=True)
class Step:
    """Where a generation stands.

    Attributes:
        at: Number of the step in :data:`STEPS`.
        done: Of ``total`` parts of this step, where it has parts.
        total: 0 where it has none.
        released: The pictures, when it is over.
        previews: The newest judged look at each unfinished picture, by its number.
    """

    at: int = 0
    done: int = 0
    total: int = 0
    released: Released | None = None
    previews: tuple[Preview, ...] = ()

    @property
    def names(self) -> list[str]:
        """The steps, in order."""
        return [name for name, _ in STEPS]


async def follow(
    request: Request, service: Service, caller: Caller, asked: GenerationRequest, name: str
) -> AsyncIterator[Step]:
    """Make pictures and yield each step; the last one holds them.

    Raises:
        Refused: As :meth:`chopmark.service.service.Service.make`.
        ChopmarkError: Likewise.
    """
    loop = asyncio.get_running_loop()
    changed = asyncio.Event()
    now = Step()
    seen: dict[int, Preview] = {}

    def looked(preview: Preview) -> None:
        seen[preview.index] = preview

    def told(done: int, total: int, what: str) -> None:
        nonlocal now
        at = next((i for i, (_, stages) in enumerate(STEPS) if what in stages), now.at)
        now = Step(
            at=at,
            done=done,
            total=total,
            previews=tuple(seen[index] for index in sorted(seen)),
        )
        # The loop is closed when the server stops meanwhile.
        with contextlib.suppress(RuntimeError):
            loop.call_soon_threadsafe(changed.set)

    work = asyncio.ensure_future(
        service.make(request, caller, asked, identifier=name, progress=told, preview=looked)
    )
    try:
        yield now
        while not work.done():
            waiter = asyncio.ensure_future(changed.wait())
            await asyncio.wait({work, waiter}, return_when=asyncio.FIRST_COMPLETED)
            waiter.cancel()
            if changed.is_set() and not work.done():
                changed.clear()
                yield now
        yield Step(at=len(STEPS), released=work.result())
    finally:
        work.cancel()
        with contextlib.suppress(BaseException):
            await work

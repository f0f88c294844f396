"""A generation that is watched while it runs: what a stream or a page needs to know of it."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Coroutine
    from typing import Protocol

    from fastapi import Request

    from chopmark.kit.types import Progress
    from chopmark.pipeline.preview import Preview, PreviewSink
    from chopmark.pipeline.request import GenerationRequest
    from chopmark.service.caller import Caller

    R_co = TypeVar("R_co", covariant=True)

    class Makes(Protocol[R_co]):
        """:meth:`chopmark.service.service.Service.make`, or what is called like it."""

        def __call__(
            self,
            http: Request,
            caller: Caller,
            asked: GenerationRequest,
            /,
            *,
            identifier: str | None,
            progress: Progress,
            preview: PreviewSink,
        ) -> Coroutine[Any, Any, R_co]: ...


__all__ = ["HEARTBEAT_S", "QUEUED", "QUEUED_S", "GenerationState", "WatchedGeneration"]

T = TypeVar("T")
R = TypeVar("R")
#: Silence after which a stream says that it is alive: proxies cut one that is silent for a minute.
HEARTBEAT_S: Final = 15.0
#: The same before generation has begun. Until then an error can still be a plain HTTP answer, and
#: a client that hears nothing for longer takes the server for dead.
QUEUED_S: Final = 5.0
#: What a stream says meanwhile: a comment, which no client takes for an event.
QUEUED: Final = ": queued\n\n"
_BEGUN: Final = "generate"


@dataclass(frozen=True, kw_only=True)
class GenerationState:
    """How far a generation is.

    Attributes:
        stage: The pipeline's name of it; empty before the first.
        done: Of ``total`` parts of this stage, where it has parts.
        total: 0 where it has none.
        previews: The newest judged preview of each unfinished picture, by its number.
    """

    stage: str = ""
    done: int = 0
    total: int = 0
    previews: tuple[Preview, ...] = ()


class WatchedGeneration(Generic[R]):
    """One request on its way through :meth:`chopmark.service.service.Service.make`.

    It runs from the moment this is made; whoever makes it calls :meth:`stop` at the end. The
    previews in it were judged by the pipeline; only what it hands out is ever shown.
    """

    def __init__(
        self,
        http: Request,
        make: Makes[R],
        caller: Caller,
        asked: GenerationRequest,
        *,
        identifier: str | None,
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._begun = asyncio.Event()
        self._changed = asyncio.Event()
        self._previews: asyncio.Queue[Preview] = asyncio.Queue()
        self._state = GenerationState()
        self._work = asyncio.ensure_future(
            make(
                http,
                caller,
                asked,
                identifier=identifier,
                progress=lambda done, total, stage: self._post(
                    lambda: self._enter(stage, done, total)
                ),
                preview=lambda preview: self._post(lambda: self._show(preview)),
            )
        )

    async def begun(self) -> bool:
        """Tell whether generation has begun, after waiting for it ``QUEUED_S`` at most.

        Raises:
            Refused: The prompt or the input picture was blocked.
            ChopmarkError: What else kept it from beginning.
        """
        try:
            await self._first(self._begun.wait(), timeout_s=QUEUED_S)
            if self._work.done():
                self._work.result()
                return True
        except BaseException:
            self._work.cancel()
            raise
        return self._begun.is_set()

    async def previews(self) -> AsyncIterator[Preview | None]:
        """Yield each preview as it comes, and ``None`` where none came for ``HEARTBEAT_S``."""
        while True:
            preview = await self._first(self._previews.get(), timeout_s=HEARTBEAT_S)
            if preview is None and self._work.done():
                break
            yield preview
        while not self._previews.empty():
            yield self._previews.get_nowait()

    async def states(self) -> AsyncIterator[GenerationState]:
        """Yield how far it is, at once, whenever that changes and every ``QUEUED_S`` at least."""
        yield self._state
        while not self._work.done():
            await self._first(self._changed.wait(), timeout_s=QUEUED_S)
            if not self._work.done():
                self._changed.clear()
                yield self._state

    async def result(self) -> R:
        """Return what was made, or raise what kept it from being."""
        return await self._work

    async def stop(self) -> None:
        """Cancel what still runs. Idempotent."""
        self._work.cancel()
        with contextlib.suppress(BaseException):
            await self._work

    async def _first(
        self, awaited: Coroutine[Any, Any, T], *, timeout_s: float | None = None
    ) -> T | None:
        """Return what is awaited, or ``None`` where the work ends first or the time is over."""
        waiter = asyncio.ensure_future(awaited)
        try:
            await asyncio.wait(
                {self._work, waiter}, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED
            )
            return waiter.result() if waiter.done() else None
        finally:
            waiter.cancel()

    def _post(self, change: Callable[[], None]) -> None:
        # The pipeline reports from its threads, also when the server stops and the loop is closed.
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(change)

    def _enter(self, stage: str, done: int, total: int) -> None:
        self._state = replace(self._state, stage=stage, done=done, total=total)
        self._changed.set()
        if stage == _BEGUN:
            self._begun.set()

    def _show(self, preview: Preview) -> None:
        newest = {one.index: one for one in (*self._state.previews, preview)}
        self._state = replace(
            self._state, previews=tuple(newest[index] for index in sorted(newest))
        )
        self._changed.set()
        self._previews.put_nowait(preview)

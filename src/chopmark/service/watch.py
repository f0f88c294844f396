"""A generation that is watched while it runs: what a stream needs to know of it."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from typing import Self

    from fastapi import Request

    from chopmark.pipeline.preview import Preview
    from chopmark.pipeline.released import Released
    from chopmark.pipeline.request import GenerationRequest
    from chopmark.service.caller import Caller
    from chopmark.service.service import Service

__all__ = ["HEARTBEAT_S", "Making"]

#: Silence after which a stream says that it is alive: proxies cut one that is silent for a minute.
HEARTBEAT_S: Final = 15.0
_BEGUN: Final = "generate"


class Making:
    """One request on its way through :meth:`chopmark.service.service.Service.make`.

    The previews in it were judged by the pipeline; only what it hands out is ever streamed.
    """

    def __init__(
        self,
        http: Request,
        service: Service,
        caller: Caller,
        asked: GenerationRequest,
        *,
        identifier: str | None,
    ) -> None:
        loop = asyncio.get_running_loop()
        self._begun = asyncio.Event()
        self._previews: asyncio.Queue[Preview] = asyncio.Queue()

        def told(_done: int, _total: int, what: str) -> None:
            if what == _BEGUN:
                loop.call_soon_threadsafe(self._begun.set)

        def shown(preview: Preview) -> None:
            loop.call_soon_threadsafe(self._previews.put_nowait, preview)

        self._work = asyncio.ensure_future(
            service.make(http, caller, asked, identifier=identifier, progress=told, preview=shown)
        )

    async def begin(self) -> Self:
        """Return once generation has begun.

        Raises:
            Refused: The prompt or the input picture was blocked.
            ChopmarkError: What else kept it from beginning.
        """
        first = asyncio.ensure_future(self._begun.wait())
        try:
            await asyncio.wait({self._work, first}, return_when=asyncio.FIRST_COMPLETED)
            if self._work.done():
                self._work.result()
        except BaseException:
            self._work.cancel()
            raise
        finally:
            first.cancel()
        return self

    async def previews(self) -> AsyncIterator[Preview | None]:
        """Yield each preview as it comes, and ``None`` where none came for ``HEARTBEAT_S``."""
        while True:
            come = asyncio.ensure_future(self._previews.get())
            try:
                await asyncio.wait(
                    {self._work, come}, timeout=HEARTBEAT_S, return_when=asyncio.FIRST_COMPLETED
                )
                if come.done():
                    yield come.result()
                elif self._work.done():
                    break
                else:
                    yield None
            finally:
                come.cancel()
        while not self._previews.empty():
            yield self._previews.get_nowait()

    async def result(self) -> Released:
        """Return what was made, or raise what kept it from being."""
        return await self._work

    async def stop(self) -> None:
        """Cancel what still runs. Idempotent."""
        self._work.cancel()
        with contextlib.suppress(BaseException):
            await self._work

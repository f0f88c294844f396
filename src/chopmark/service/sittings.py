"""Sittings of the people who use the studio: found by name, counted, and ended when left alone."""

from __future__ import annotations

import asyncio
import contextlib
import time
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final
from weakref import WeakValueDictionary

from chopmark.errors import ChopmarkError, DatabaseUnavailable
from chopmark.kit.redaction import conceal
from chopmark.pipeline.released import Refused
from chopmark.pipeline.steps import in_thread

if TYPE_CHECKING:
    from collections.abc import Callable

    from fastapi import Request

    from chopmark.kit.types import Progress
    from chopmark.pipeline.preview import Preview, PreviewSink
    from chopmark.pipeline.request import GenerationRequest
    from chopmark.pipeline.sitting import Sitting
    from chopmark.service.caller import Caller
    from chopmark.service.service import Service

__all__ = ["Sittings"]

#: A sitting in which nothing was wished for so long has ended.
IDLE_S: Final = 60.0
#: However busy it is, so long after it began another one begins in its place.
_LONGEST_S: Final = 300.0
#: Of one person; the oldest ends when another begins.
_EACH: Final = 3
#: Half a word may be refused, so not every refusal of a sitting counts against the person: the
#: first, and one in so many after it.
_REFUSALS: Final = 10


@dataclass(kw_only=True)
class _Place:
    """A sitting that is going on, and how many wishes of it are on their way."""

    sitting: Sitting
    since: float
    wishes: int = 0
    ends: asyncio.TimerHandle | None = field(default=None)


class Sittings:
    """The sittings of one server.

    Args:
        service: Whose pipeline, turns, quotas and abuse rules apply.
        clock: Seconds.
    """

    def __init__(self, service: Service, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._service = service
        self._clock = clock
        # One for each person: nobody waits while somebody else's sitting ends.
        self._locks: WeakValueDictionary[tuple[str, str], asyncio.Lock] = WeakValueDictionary()
        self._places: dict[tuple[str, str, str], _Place] = {}

    async def wish(
        self,
        http: Request,
        caller: Caller,
        asked: GenerationRequest,
        /,
        *,
        name: str,
        identifier: str | None,
        preview: PreviewSink,
        progress: Progress | None = None,  # noqa: ARG002  looks are all that is told
    ) -> None:
        """Show looks at what a wish gives, as long as the client is there and no newer wish came.

        A wish of which a look was shown takes a picture from the tenant's day.

        Args:
            http: The request, whose end is watched.
            caller: Who asks; fills in tenant, policy, subject and client.
            asked: The wish.
            name: Which sitting of this person; a new one begins where there is none of the name.
            identifier: The person, as the tenant names them.
            preview: Takes the looks.
            progress: Not told anything.

        Raises:
            Refused: The policy said no to the words or to a look; the sitting goes on.
            QuotaExhausted: The tenant's day is used up.
            CoolingDown: The person was refused too often lately.
            Cancelled: A newer wish came, or the client went away.
            ChopmarkError: As in :meth:`chopmark.pipeline.sitting.Sitting.wish`.
        """
        conceal(asked.prompt, asked.negative_prompt, identifier)
        service = self._service
        mine = replace(
            asked,
            tenant=caller.tenant.name,
            policy=await in_thread(lambda: service.policy_of(caller.tenant)),
            subject=caller.subject(identifier),
            client=caller.address,
        )
        key = (caller.tenant.name, identifier or "", name)
        place: _Place | None = None
        try:
            place = await self._place(key, caller, mine)
            await service.attended(http, self._draw(place.sitting, caller, mine, preview))
        except ChopmarkError as error:
            service.metrics.failed(error)
            if isinstance(error, Refused) and place and place.sitting.refused % _REFUSALS == 1:
                await service.abuse.refused(caller.tenant, mine, error)
                await service.abuse.after(mine, error.record_id)
            raise
        finally:
            if place is not None:
                place.wishes -= 1
                self._put_off(key, place)

    async def _place(
        self, key: tuple[str, str, str], caller: Caller, mine: GenerationRequest
    ) -> _Place:
        async with self._lock_of(key):
            place = self._places.get(key)
            longest = min(_LONGEST_S, self._service.pipeline.settings.longest_s / 2)
            if place and (place.sitting.over or self._clock() - place.since > longest):
                await self._end(key)
                place = None
            # Words that grow letter by letter are no attempts at one refused wish, so beyond the
            # first they are not compared with it.
            wish = mine if place is None else replace(mine, prompt="")
            await self._service.abuse.before(caller.tenant, wish)
            if place is None:
                theirs = [one for one in self._places if one[:2] == key[:2]]
                for one in theirs[: max(0, len(theirs) + 1 - _EACH)]:
                    await self._end(one)
                sitting = await self._service.pipeline.sit(mine)
                place = self._places[key] = _Place(sitting=sitting, since=self._clock())
            place.wishes += 1
            self._put_off(key, place)
            return place

    def _put_off(self, key: tuple[str, str, str], place: _Place) -> None:
        """Have a sitting end a while from now, if it is not heard of again; not within a wish."""
        if place.ends is not None:
            place.ends.cancel()
        if place.wishes or self._places.get(key) is not place:
            return

        def leave() -> None:
            ending = asyncio.ensure_future(self._end(key))
            self._service.working.add(ending)
            ending.add_done_callback(self._service.working.discard)

        place.ends = asyncio.get_running_loop().call_later(IDLE_S, leave)

    async def _draw(
        self, sitting: Sitting, caller: Caller, mine: GenerationRequest, preview: PreviewSink
    ) -> None:
        service, shown = self._service, False

        def noted(look: Preview, /) -> None:
            nonlocal shown
            shown = True
            preview(look)

        # The older wish holds a turn at the generator, which this one needs.
        announced = sitting.announce()
        day = await service.stores.ask(lambda: service.store.reserve_images(caller.tenant, 1))
        try:
            async with service.generator_turns.turn(caller.tenant.name):
                await sitting.wish(mine, noted, announced=announced)
        finally:
            if not shown:
                tenant = caller.tenant.name
                # Where it cannot be returned, the day counts too many: nothing is lost by that.
                with contextlib.suppress(DatabaseUnavailable):
                    back = service.stores.ask(lambda: service.store.return_images(tenant, day, 1))
                    await asyncio.shield(back)

    async def end(self, caller: Caller, identifier: str | None, name: str) -> None:
        """End a person's sitting, if there is one of this name."""
        key = (caller.tenant.name, identifier or "", name)
        async with self._lock_of(key):
            await self._end(key)

    def _lock_of(self, key: tuple[str, str, str]) -> asyncio.Lock:
        lock = self._locks.get(key[:2])
        if lock is None:
            lock = self._locks[key[:2]] = asyncio.Lock()
        return lock

    async def end_all(self) -> None:
        """End every sitting, as the server stops."""
        for key in list(self._places):
            await self._end(key)

    async def _end(self, key: tuple[str, str, str]) -> None:
        place = self._places.pop(key, None)
        if place is None:
            return
        if place.ends is not None:
            place.ends.cancel()
        await place.sitting.end()

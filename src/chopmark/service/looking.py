"""Looking at a stranger's picture: when it is the caller's turn, and there is room for its pixels.

A file of 200 kB can unpack to 64 million pixels, and each step on the way holds a copy. What is
looked at together is bounded here by what the files' own heads declare, before a byte is unpacked.
"""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING, Any, TypeVar

from chopmark.errors import ImageTooLarge, StageTimeout
from chopmark.kit.picture_structure import declared_size
from chopmark.tenancy.room import Room
from chopmark.tenancy.turns import Turns

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Sequence

    from chopmark.service.caller import Caller
    from chopmark.settings import Settings

__all__ = ["Looking", "declared_pixels"]

T = TypeVar("T")


def declared_pixels(pictures: Sequence[bytes], settings: Settings) -> int:
    """Return how many pixels files unpack to; what does not say so counts as the largest.

    Raises:
        ImageTooLarge: One is over ``max_image_bytes`` or ``max_image_pixels``, or all are over what
            fits at once.
        ImageTooComplex: One has more parts than is looked at.
    """
    total = 0
    for data in pictures:
        # A body has room for other fields too, so that one file in it may be over its own bound.
        if len(data) > settings.max_image_bytes:
            raise ImageTooLarge(
                f"the file has {len(data)} bytes, the limit is {settings.max_image_bytes}",
                hint="send a smaller picture, or raise CHOPMARK_MAX_IMAGE_BYTES",
            )
        size = declared_size(data)
        pixels = settings.max_image_pixels if size is None else size.pixels
        if size is not None and pixels > settings.max_image_pixels:
            raise ImageTooLarge(
                f"the picture is {size.width}x{size.height} pixels, the limit is "
                f"{settings.max_image_pixels} in all",
                hint="scale it down first",
            )
        total += pixels
    most = max(settings.max_pixels_in_flight, settings.max_image_pixels)
    if len(pictures) > 1 and total > most:
        raise ImageTooLarge(
            f"the pictures have {total} pixels together, the limit is {most}",
            hint="scale them down first",
        )
    return total


class Looking:
    """Runs what looks at pictures, a few at a time.

    Attributes:
        turns: Whose turn it is.
        room: Pixels that are unpacked at the same time.
    """

    def __init__(self, settings: Settings, working: set[asyncio.Future[Any]]) -> None:
        # It is work for the processor: more at once than there are cores only takes memory.
        slots = min(settings.max_running, max(2, os.cpu_count() or 1))
        self.turns = Turns(
            slots=slots, places=8 * settings.max_queue, longest_s=settings.max_queue_s
        )
        self.room = Room(max(settings.max_pixels_in_flight, settings.max_image_pixels))
        self._settings = settings
        self._working = working

    async def run(
        self,
        caller: Caller,
        pictures: Sequence[bytes] | None,
        work: Callable[[], Coroutine[Any, Any, T]],
    ) -> T:
        """Do ``work``, which looks at ``pictures``, when it is the caller's turn.

        What takes too long is cancelled, which ends it where it runs in a worker. Turn and room are
        given back when the work has ended; a thread of this process goes on for a while.

        Args:
            caller: Who asks.
            pictures: The files; ``None`` where they are not known yet, and one is fetched.
            work: What to do then.

        Raises:
            ImageTooLarge: More pixels than is looked at.
            ImageTooComplex: More parts than is looked at.
            Busy: The queue is full, or the turn would not come in time.
            StageTimeout: The work took longer than ``Settings.look_timeout_s``.
        """
        settings = self._settings
        pixels = (
            settings.max_image_pixels if pictures is None else declared_pixels(pictures, settings)
        )
        begun: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        task = asyncio.ensure_future(self._in_turn(caller, pixels, work, begun))
        self._working.add(task)
        task.add_done_callback(self._ended)
        try:
            ends: set[asyncio.Future[Any]] = {task, begun}
            await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
            await asyncio.wait({task}, timeout=settings.look_timeout_s)
            if not task.done():
                raise StageTimeout(
                    f"looking at the picture took longer than {settings.look_timeout_s:g} s",
                    hint="send a smaller one, or try again when there is less to do",
                )
            return task.result()
        finally:
            if not task.done():
                task.cancel()

    async def _in_turn(
        self,
        caller: Caller,
        pixels: int,
        work: Callable[[], Coroutine[Any, Any, T]],
        begun: asyncio.Future[None],
    ) -> T:
        async with self.turns.turn(caller.counted_as), self.room.held(pixels):
            if not begun.done():
                begun.set_result(None)
            return await work()

    def _ended(self, task: asyncio.Future[Any]) -> None:
        self._working.discard(task)
        if not task.cancelled():
            task.exception()  # also of work that nobody waits for any more

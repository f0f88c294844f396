"""A person's seat at the desk, and what the pages remember of their shift."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated, Any, Final

from fastapi import Depends, Request

from chopmark.pipeline.steps import in_thread
from chopmark.web.render import page
from chopmark.web.viewers import needs

if TYPE_CHECKING:
    from collections.abc import Callable

    from fastapi import Response

    from chopmark.audit import AuditLog, Desk
    from chopmark.web.viewers import Viewer

__all__ = ["AtDesk", "Shift", "Shifts", "at_desk", "desk_of", "log_of", "seated"]

_PAUSE_S: Final = 600.0
_MOST: Final = 10_000


@dataclass(frozen=True, kw_only=True)
class Shift:
    """How long somebody has been looking at what hurts to look at.

    Attributes:
        began: On the clock of :class:`Shifts`.
        last: When they last did something.
        decided: Decisions since ``began``.
    """

    began: float
    last: float
    decided: int = 0

    @property
    def minutes(self) -> int:
        """Minutes without a pause of ten."""
        return int((self.last - self.began) // 60)


class Shifts:
    """Counts, in memory, how long each person has worked without a pause."""

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._shifts: dict[str, Shift] = {}

    def seen(self, name: str, *, decided: int = 0) -> Shift:
        """Count something that a person did; ten minutes without anything are a pause."""
        now = self._clock()
        with self._lock:
            known = self._shifts.pop(name, None)
            if known is None or now - known.last > _PAUSE_S:
                known = Shift(began=now, last=now)
            known = replace(known, last=now, decided=known.decided + decided)
            self._shifts[name] = known
            if len(self._shifts) > _MOST:
                self._shifts.pop(next(iter(self._shifts)))
        return known

    def rested(self, name: str) -> None:
        """Begin anew: they took a break."""
        with self._lock:
            self._shifts.pop(name, None)


def log_of(request: Request) -> AuditLog:
    """Return the log."""
    log: AuditLog = request.app.state.service.pipeline.parts.log
    return log


async def desk_of(request: Request, viewer: Viewer, purpose: str) -> Desk:
    """Seat somebody at the desk for a purpose, which is booked with whatever they do."""
    return await in_thread(lambda: log_of(request).desk(viewer.caller.actor(), purpose=purpose))


def seated(
    request: Request, viewer: Viewer, template: str, *, status: int = 200, **values: Any
) -> Response:
    """Return a page of the console, with the reminder of a break when one is due."""
    shift: Shift = request.app.state.shifts.seen(f"{viewer.tenant}:{viewer.name}")
    due = shift.minutes >= request.app.state.service.pipeline.settings.break_after_minutes
    return page(
        request, template, status=status, shift=shift, break_due=due, roles=viewer.roles, **values
    )


at_desk = needs("reader", "reviewer", "investigator", "exporter", "auditor", "operator")
AtDesk = Annotated[Any, Depends(at_desk)]

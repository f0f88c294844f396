"""Seals: one investigator closes a record to everybody, two open it again for a while."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Final

from fastapi import APIRouter, Form, Request, Response
from fastapi.responses import RedirectResponse

from chopmark.errors import InvalidRequest, RecordNotFound
from chopmark.kit.ids import record_of
from chopmark.kit.limits import PURPOSE
from chopmark.pipeline.steps import in_thread
from chopmark.web.console.shift import AtDesk, desk_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from chopmark.audit import Actor

__all__ = ["Unsealing", "Unsealings", "router"]

router = APIRouter()
_SECONDS: Final = 3600.0
_MOST: Final = 1000


@dataclass(frozen=True, kw_only=True)
class Unsealing:
    """An investigator's wish to open a sealed record, which another one must share."""

    record_id: str
    first: Actor
    reason: str
    until: float


class Unsealings:
    """What was asked for within the last hour, in memory: a wish that nobody shares ends."""

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._asked: dict[str, Unsealing] = {}

    def ask(self, record_id: str, first: Actor, reason: str) -> None:
        """Keep a wish; a newer one for the same record takes its place."""
        until = self._clock() + _SECONDS
        wish = Unsealing(record_id=record_id, first=first, reason=reason, until=until)
        with self._lock:
            self._asked.pop(record_id, None)
            self._asked[record_id] = wish
            if len(self._asked) > _MOST:
                self._asked.pop(next(iter(self._asked)))

    def of(self, record_id: str, actor: Actor) -> Unsealing | None:
        """Return the wish for a record that this person may see."""
        with self._lock:
            wish = self._asked.get(record_id)
        if wish is None or wish.until < self._clock() or wish.first.tenant != actor.tenant:
            return None
        return wish

    def done(self, record_id: str) -> None:
        """Forget a wish that was fulfilled."""
        with self._lock:
            self._asked.pop(record_id, None)


@router.post("/records/{record_id}/seal")
async def seal(
    record_id: str,
    request: Request,
    viewer: AtDesk,
    reason: Annotated[str, Form(max_length=PURPOSE.most)] = "",
) -> Response:
    """Close a record's content to everybody, until two investigators open it."""
    desk = await desk_of(request, viewer, "seal")
    await in_thread(lambda: desk.seal(record_id, reason=reason))
    return _back(record_id)


@router.post("/records/{record_id}/unseal")
async def ask_to_unseal(
    record_id: str,
    request: Request,
    viewer: AtDesk,
    reason: Annotated[str, Form(max_length=PURPOSE.most)] = "",
) -> Response:
    """Ask that a sealed record is opened."""
    desk = await desk_of(request, viewer, "unseal")
    if not reason.strip():
        raise InvalidRequest("opening a seal needs a reason")
    # Of another tenant's record nobody is told that it exists.
    await in_thread(lambda: desk.records(record_id))
    wishes: Unsealings = request.app.state.unsealings
    wishes.ask(record_of(record_id), viewer.caller.actor(), reason.strip())
    return _back(record_id)


@router.post("/records/{record_id}/unseal/agree")
async def agree_to_unseal(record_id: str, request: Request, viewer: AtDesk) -> Response:
    """Open it, as the second investigator; it closes again by itself."""
    wishes: Unsealings = request.app.state.unsealings
    second = viewer.caller.actor()
    wish = wishes.of(record_of(record_id), second)
    if wish is None:
        raise RecordNotFound("nobody asks to open this record any more", hint="ask for it anew")
    log = request.app.state.service.pipeline.parts.log

    def opened() -> None:
        desk = log.desk(wish.first, purpose="unseal")
        desk.unseal(wish.record_id, second=second, reason=wish.reason)

    await in_thread(opened)
    wishes.done(wish.record_id)
    return _back(record_id)


def _back(record_id: str) -> Response:
    return RedirectResponse(f"/console/records/{record_id}", status_code=303)

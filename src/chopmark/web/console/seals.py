"""Seals: one investigator closes a record to everybody, two open it again for a while."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Form, Request, Response
from fastapi.responses import RedirectResponse

from chopmark.errors import InvalidRequest, RecordNotFound
from chopmark.kit.ids import record_of
from chopmark.kit.limits import PURPOSE
from chopmark.pipeline.steps import in_thread
from chopmark.service.deployment import TheIdentity
from chopmark.service.people_now import actor_now
from chopmark.web.console.desk import DeskViewer, desk_of, log_of
from chopmark.web.page_state import ThePageState

__all__ = ["router"]

router = APIRouter()


@router.post("/records/{record_id}/seal")
async def seal(
    record_id: str,
    request: Request,
    viewer: DeskViewer,
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
    viewer: DeskViewer,
    state: ThePageState,
    reason: Annotated[str, Form(max_length=PURPOSE.most)] = "",
) -> Response:
    """Ask that a sealed record is opened."""
    desk = await desk_of(request, viewer, "unseal")
    if not reason.strip():
        raise InvalidRequest("opening a seal needs a reason")
    # Of another tenant's record nobody is told that it exists.
    await in_thread(lambda: desk.records(record_id))
    state.unseal_requests.ask(record_of(record_id), viewer.caller.actor(), reason.strip())
    return _back(record_id)


@router.post("/records/{record_id}/unseal/agree")
async def agree_to_unseal(
    record_id: str,
    request: Request,
    viewer: DeskViewer,
    state: ThePageState,
    identity: TheIdentity,
) -> Response:
    """Open it, as the second investigator; it closes again by itself."""
    second, log = viewer.caller.actor(), log_of(request)
    asked = state.unseal_requests.of(record_of(record_id), second)
    if asked is None:
        raise RecordNotFound("nobody asks to open this record any more", hint="ask for it anew")

    def unseal() -> None:
        first = actor_now(
            identity.people,
            asked.first.name,
            asked.first.tenant,
            asked.first.roles,
            asked_at=asked.asked_at,
        )
        desk = log.desk(first, purpose="unseal")
        desk.unseal(asked.record_id, second=second, reason=asked.reason)

    await in_thread(unseal)
    state.unseal_requests.done(asked.record_id)
    return _back(record_id)


def _back(record_id: str) -> Response:
    return RedirectResponse(f"/console/records/{record_id}", status_code=303)

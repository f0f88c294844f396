"""What is done about a record besides deciding on it: its pictures, notes, lists, golden cases."""

from __future__ import annotations

from typing import Annotated, Final, Literal

from fastapi import APIRouter, Form, Request, Response

from chopmark.errors import InvalidRequest
from chopmark.kit import limits
from chopmark.pipeline.steps import in_thread
from chopmark.service.deployment import TheService
from chopmark.service.golden import add_case
from chopmark.service.hash_entries import add_entry
from chopmark.service.review_rules import hours_for
from chopmark.web.console.desk import DeskViewer, desk_of
from chopmark.web.console.hash_lists import LIST_NAME
from chopmark.web.console.notices import after

__all__ = ["router"]

router = APIRouter()
_PURPOSE: Final = "act on a record"
Rationale = Annotated[str, Form(max_length=limits.RATIONALE.most)]
# For what an investigator has the record open: it is open still when they come back.
Why = Annotated[str, Form(max_length=limits.PURPOSE.most)]


@router.post("/records/{record_id}/act")
async def act(
    record_id: str,
    request: Request,
    viewer: DeskViewer,
    action: Annotated[str, Form()] = "",
    rationale: Rationale = "",
    why: Why = "",
) -> Response:
    """Withdraw pictures, take that back, release what is held, or end an exception."""
    desk = await desk_of(request, viewer, _PURPOSE)

    def done() -> str:
        match action:
            case "withdraw":
                desk.outputs.withdraw(record_id, rationale=rationale)
                return "withdrawn"
            case "restore":
                desk.outputs.restore(record_id, rationale=rationale)
                return "restored"
            case "release":
                desk.outputs.release(record_id, rationale=rationale)
                return "released"
            case "end_exception":
                standing = [one for one in desk.appeals.exceptions() if one.record_id == record_id]
                for one in standing:
                    desk.appeals.revoke_exception(one.index, reason=rationale)
                return "exception-ended"
            case _:
                raise InvalidRequest("nothing was chosen", hint="withdraw, restore or release")

    return _back(record_id, await in_thread(done), why=why)


@router.post("/records/{record_id}/takedown")
async def takedown(
    record_id: str,
    request: Request,
    viewer: DeskViewer,
    service: TheService,
    demand: Annotated[str, Form()] = "",
    reference: Annotated[str, Form(max_length=limits.PURPOSE.most)] = "",
    why: Why = "",
) -> Response:
    """Enter a demand to take the record's pictures down."""
    if demand not in {"order", "intimate"}:
        raise InvalidRequest("nothing was chosen", hint="an order, or an intimate picture")
    kind: Literal["order", "intimate"] = "intimate" if demand == "intimate" else "order"
    hours = hours_for(service.pipeline.settings, kind)
    desk = await desk_of(request, viewer, _PURPOSE)
    await in_thread(lambda: desk.review.takedown(record_id, kind, reference=reference, hours=hours))
    return _back(record_id, "demanded", why=why)


@router.post("/records/{record_id}/comment")
async def comment(
    record_id: str,
    request: Request,
    viewer: DeskViewer,
    text: Annotated[str, Form(max_length=limits.RATIONALE.most)] = "",
    why: Why = "",
) -> Response:
    """Leave a note on a record."""
    desk = await desk_of(request, viewer, _PURPOSE)
    await in_thread(lambda: desk.review.comment(record_id, text=text))
    return _back(record_id, "noted", why=why)


@router.post("/records/{record_id}/list")
async def to_list(
    record_id: str,
    request: Request,
    service: TheService,
    viewer: DeskViewer,
    name: Annotated[str, Form(alias="list", pattern=LIST_NAME)] = "desk",
    why: Why = "",
) -> Response:
    """Put the pictures of a record on a hash list."""
    viewer.caller.must_be("operator", of_every_tenant=True)
    desk = await desk_of(request, viewer, _PURPOSE)
    parts = service.pipeline.parts
    added = await in_thread(lambda: add_entry(parts, desk, name, record_id=record_id))
    count = sum(added["added"].values())
    return _back(record_id, "listed", count, added["entries"], why=why)


@router.post("/records/{record_id}/golden")
async def golden(
    record_id: str,
    request: Request,
    service: TheService,
    viewer: DeskViewer,
    action: Annotated[str, Form()] = "",
    rationale: Rationale = "",
    why: Why = "",
) -> Response:
    """Make a record's prompt a golden case of the policy that judges its tenant."""
    desk = await desk_of(request, viewer, _PURPOSE)
    made = await in_thread(
        lambda: add_case(service, desk, record_id, action=action, rationale=rationale)
    )
    return _back(record_id, "golden", made["cases"], why=why)


def _back(record_id: str, code: str, *counts: int, why: str) -> Response:
    return after(f"/console/records/{record_id}", code, *counts, why=why)

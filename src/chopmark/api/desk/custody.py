"""Erasure, holds and seals over HTTP.

A hold and a seal only protect, so one person or key is enough. What cannot be taken back (erasing,
ending a hold, opening a seal) is asked for by one and agreed to by another: a person, never a key.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Final

from fastapi import APIRouter, Path, Query, Response
from pydantic import Field

from chopmark.api.desk.records import AnyId
from chopmark.kit.ids import record_of
from chopmark.kit.limits import PURPOSE
from chopmark.pipeline.steps import in_thread
from chopmark.service.caller import AnyCaller, Caller, Eraser, Holder, Sealer
from chopmark.service.custody_acts import agree_to, reporter_of
from chopmark.service.deployment import TheDeployment, TheService
from chopmark.service.problems import RESPONSES
from chopmark.service.search_form import Strict, Whole

if TYPE_CHECKING:
    from chopmark.audit import Desk, Role
    from chopmark.service.service import Service

__all__ = ["router"]

router = APIRouter(prefix="/api/v1", responses=RESPONSES, tags=["custody"])
Reason = Annotated[str, Field(min_length=PURPOSE.least, max_length=PURPOSE.most)]
Subject = Annotated[
    str, Field(min_length=1, max_length=300, description="As the log knows them: TENANT:IDENTIFIER")
]
# Days that there are, so that whatever the description allows is taken.
_DAY: Final = (
    r"(?:20[0-9]{2}-(?:(?:0[13578]|1[02])-(?:0[1-9]|[12][0-9]|3[01])"
    r"|(?:0[469]|11)-(?:0[1-9]|[12][0-9]|30)|02-(?:0[1-9]|1[0-9]|2[0-8]))"
    r"|20(?:[02468][048]|[13579][26])-02-29)"
)
Moment = Annotated[
    str | None,
    Field(
        pattern=rf"^{_DAY}T(?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](?:\.[0-9]{{1,6}})?Z$",
        description="RFC 3339, UTC",
    ),
]
Stated = Annotated[
    str, Query(max_length=PURPOSE.most, pattern=r"\S", description="Why; it is logged")
]
HoldIndex = Annotated[int, Path(ge=0, le=2**53, description="Of the hold's entry")]
RequestId = Annotated[str, Path(pattern="^[0-9a-f]{32}$")]


class ReasonBody(Strict):
    """Why; it is logged."""

    reason: Reason


class ErasureBody(ReasonBody):
    """Whose content is to be erased, and why."""

    subject: Subject


class HoldBody(Strict):
    """Whose content is to be kept, on what ground, and until when."""

    subject: Subject
    basis: Reason
    until: Moment = None


class UnsealBody(ReasonBody):
    """For how many hours a seal is to be opened, and why."""

    hours: Annotated[int, Field(ge=1, le=72), Whole] = 8


class CyberTipBody(ReasonBody):
    """Why a report is to be drafted, and whether what was asked for stands in it."""

    prompt: bool = False


@router.post("/erasures")
async def ask_erasure(body: ErasureBody, service: TheService, caller: Eraser) -> dict[str, Any]:
    """Ask for the erasure of a person's content; another eraser must agree."""
    return service.two_persons.ask(caller, "erase", body.subject, reason=body.reason).to_dict()


@router.post("/holds")
async def hold(body: HoldBody, service: TheService, caller: Holder) -> dict[str, Any]:
    """Forbid erasing and expiring what is stored about a person."""
    desk = _desk(service, caller, "eraser", body.basis)
    booked = await in_thread(
        lambda: desk.place_hold(body.subject, basis=body.basis, until=body.until)
    )
    return {"event": booked.to_dict()}


@router.get("/holds")
async def holds(service: TheService, caller: Holder) -> dict[str, Any]:
    """List the holds that stand, oldest first."""
    desk = _desk(service, caller, "eraser", "list of holds")
    found = await in_thread(desk.holds)
    return {"holds": [one.to_dict() for one in found]}


@router.post("/holds/{index}/release")
async def ask_release(
    index: HoldIndex, body: ReasonBody, service: TheService, caller: Holder
) -> dict[str, Any]:
    """Ask for the end of a hold; another eraser must agree."""
    request = service.two_persons.ask(caller, "release_hold", str(index), reason=body.reason)
    return request.to_dict()


@router.post("/records/{record_id}/seal")
async def seal(
    record_id: AnyId, body: ReasonBody, service: TheService, caller: Sealer
) -> dict[str, Any]:
    """Close a record's content to everybody, until two investigators open it."""
    desk = _desk(service, caller, "investigator", body.reason)
    booked = await in_thread(lambda: desk.seal(record_id, reason=body.reason))
    return {"event": booked.to_dict()}


@router.post("/records/{record_id}/unseal")
async def ask_unseal(
    record_id: AnyId, body: UnsealBody, service: TheService, caller: Sealer
) -> dict[str, Any]:
    """Ask for a sealed record to be opened for a time; another investigator must agree."""
    request = service.two_persons.ask(
        caller, "unseal", record_of(record_id), reason=body.reason, hours=body.hours
    )
    return request.to_dict()


@router.post("/records/{record_id}/cybertip")
async def ask_cybertip(
    record_id: AnyId, body: CyberTipBody, service: TheService, caller: Sealer
) -> dict[str, Any]:
    """Ask for the draft of a CyberTipline report of a sealed record; another investigator agrees.

    Then what is stored about its person is held for a year. The draft is sent nowhere.
    """
    await in_thread(lambda: reporter_of(service.pipeline.settings))
    desk = _desk(service, caller, "investigator", body.reason)
    found = await in_thread(lambda: desk.records(record_id))
    request = service.two_persons.ask(
        caller, "cybertip", found[0].record_id, reason=body.reason, prompt=body.prompt
    )
    return request.to_dict()


@router.get("/records/{record_id}/cybertip", response_class=Response)
async def cybertip(
    record_id: AnyId, service: TheService, caller: AnyCaller, purpose: Stated
) -> Response:
    """Return the draft that two investigators released, as XML; the look is logged."""
    caller.must_be("investigator")
    desk = _desk(service, caller, "investigator", purpose)
    text = await in_thread(lambda: desk.cybertips.draft(record_id))
    name = f"cybertip-{record_of(record_id)}.xml"
    headers = {
        "cache-control": "no-store",
        "content-disposition": f'attachment; filename="{name}"',
    }
    return Response(text, media_type="application/xml", headers=headers)


@router.get("/custody")
async def waiting(service: TheService, caller: AnyCaller) -> dict[str, Any]:
    """List what waits for a second person, of what the caller could agree to."""
    return {"requests": [one.to_dict() for one in service.two_persons.waiting(caller)]}


@router.post("/custody/{request_id}/agree")
async def agree(
    request_id: RequestId, deployment: TheDeployment, caller: AnyCaller
) -> dict[str, Any]:
    """Agree to what somebody else asked for; it is done now and logged with both names."""
    booked = await in_thread(lambda: agree_to(deployment, caller, request_id))
    return {"event": booked.to_dict()}


def _desk(service: Service, caller: Caller, role: Role, purpose: str) -> Desk:
    """Return the desk for one act that the caller's scope allows, and for nothing else."""
    from chopmark.audit import Actor

    tenant = None if caller.every_tenant else caller.tenant.name
    actor = Actor(name=caller.name, roles=frozenset({role}), tenant=tenant)
    return service.pipeline.parts.log.desk(actor, purpose=purpose)

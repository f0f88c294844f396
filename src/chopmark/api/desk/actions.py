"""What the desk decides and who feels it: pictures withdrawn or let out, people let in or not."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

from fastapi import APIRouter, Path, Query
from pydantic import Field
from starlette.convertors import StringConvertor, register_url_convertor

from chopmark.api.desk.records import AnyId, CallerDesk, Purpose
from chopmark.kit.limits import RATIONALE
from chopmark.pipeline.steps import in_thread
from chopmark.service.caller import AnyCaller, RecordReader
from chopmark.service.deployment import TheService
from chopmark.service.people import PeopleDesk
from chopmark.service.problems import RESPONSES
from chopmark.service.released import links_to
from chopmark.service.search_form import Strict, Time

if TYPE_CHECKING:
    from chopmark.audit import Record

__all__ = ["router"]


class _PersonConvertor(StringConvertor):
    """An identifier may hold slashes; what ends in ``/actions`` is the other route's."""

    regex = "(?!.*/actions$).+"


register_url_convertor("person", _PersonConvertor())
router = APIRouter(prefix="/api/v1", responses=RESPONSES, tags=["desk"])
APerson = Annotated[
    str, Path(min_length=1, max_length=500, description="`TENANT:IDENTIFIER`, or the identifier")
]
Rationale = Annotated[str, Field(min_length=RATIONALE.least, max_length=RATIONALE.most)]


class RecordActionBody(Strict):
    """What happens to the pictures of a record, and why."""

    action: Literal["withdraw", "restore", "release"]
    rationale: Rationale
    until: Annotated[Time, Field(description="With `release`: until when it may be fetched")] = None


class PersonActionBody(Strict):
    """What happens to a person, and why."""

    action: Literal["warn", "suspend", "reinstate"]
    rationale: Rationale
    until: Annotated[Time, Field(description="With `suspend`: until when; null: for good")] = None


@router.post("/records/{record_id}/actions")
async def act_on_record(
    record_id: AnyId,
    body: RecordActionBody,
    desk: CallerDesk,
    service: TheService,
    _caller: AnyCaller,
) -> dict[str, Any]:
    """Withdraw the pictures of a record, take that back, or let out one that was held.

    After `release` the answer has `url` (and `links`, one for each picture), which needs no key
    and ends at `expires_at`.
    """

    def act() -> Record:
        match body.action:
            case "withdraw":
                return desk.outputs.withdraw(record_id, rationale=body.rationale)
            case "restore":
                return desk.outputs.restore(record_id, rationale=body.rationale)
            case "release":
                return desk.outputs.release(record_id, rationale=body.rationale, until=body.until)

    booked = await in_thread(act)
    answer: dict[str, Any] = {
        "record_id": booked.record_id,
        "action": body.action,
        "event": booked.to_dict(),
    }
    if body.action == "release":
        answer |= await in_thread(lambda: links_to(service.pipeline.parts, booked))
    return answer


@router.get("/people")
async def people(
    service: TheService,
    caller: RecordReader,
    q: Annotated[
        str | None, Query(max_length=200, description="Part of the identifier, without the tenant")
    ] = None,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
    before: Annotated[int | None, Query(ge=0, le=2**53)] = None,
) -> dict[str, Any]:
    """List the persons whom requests named, the last one heard of first; the look is logged."""
    desk = PeopleDesk(service, caller)
    return await in_thread(lambda: desk.listed(q, limit=limit, before=before))


@router.post("/people/{person:path}/actions")
async def act_on_person(
    person: APerson, body: PersonActionBody, service: TheService, caller: AnyCaller
) -> dict[str, Any]:
    """Warn a person, suspend them from their next request on, or let them in again."""
    desk = PeopleDesk(service, caller)
    booked = await in_thread(
        lambda: desk.act(person, body.action, rationale=body.rationale, until=body.until)
    )
    return {"person": person, "action": body.action, "event": booked.to_dict()}


@router.get("/people/{person:person}")
async def one_person(
    person: APerson,
    service: TheService,
    caller: RecordReader,
    purpose: Purpose = None,
    evidence: Annotated[bool, Query(description="With the prompts; takes a purpose")] = False,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
    before: Annotated[int | None, Query(ge=0, le=2**53)] = None,
) -> dict[str, Any]:
    """Return what is known of one person: counts, records, strikes, and what was done."""
    desk = PeopleDesk(service, caller, purpose=purpose)
    return await in_thread(lambda: desk.one(person, evidence=evidence, limit=limit, before=before))

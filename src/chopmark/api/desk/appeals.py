"""Appeals: opened by whoever holds a decision id, decided by reviewers who did not decide first.

Digital Services Act (EU) 2022/2065 article 20 asks for an easy way to complain about a decision;
whoever was refused has no account here, so that the decision id has to do.
"""

from __future__ import annotations

import hashlib
import hmac
from contextlib import asynccontextmanager
from pathlib import Path as FilePath
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

from fastapi import APIRouter, Query, Request
from pydantic import Field

from chopmark.api.desk.records import AnyId, CallerDesk
from chopmark.errors import DuplicateRecord, InvalidRequest, RecordNotFound
from chopmark.kit.files import random_secret
from chopmark.kit.ids import record_of
from chopmark.kit.limits import RATIONALE, STATEMENT
from chopmark.pipeline.steps import in_thread
from chopmark.service.access import slow_down
from chopmark.service.caller import RecordReader, Reviewer
from chopmark.service.deployment import TheDeployment
from chopmark.service.problems import RESPONSES
from chopmark.service.search_form import Strict, Time

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from chopmark.pipeline.parts import Parts
    from chopmark.service.deployment import Deployment

__all__ = ["AppealBody", "router", "ticket_key"]

router = APIRouter(prefix="/api/v1", responses=RESPONSES, tags=["appeals"])
# In a minute.
_WRONG_OF_ONE: Final = 5
_WRONG_OF_ALL: Final = 60


class AppealBody(Strict):
    """Against which decision, and why."""

    decision_id: Annotated[str, Field(pattern="^[0-9a-f]{16}$")]
    statement: Annotated[str, Field(min_length=STATEMENT.least, max_length=STATEMENT.most)]


class OutcomeBody(Strict):
    """How an appeal ends, and why; the person who appealed sees both."""

    outcome: Literal["upheld", "overturned"]
    rationale: Annotated[str, Field(min_length=RATIONALE.least, max_length=RATIONALE.most)]
    allow_until: Time = None


@router.post("/appeals")
async def open_appeal(
    body: AppealBody, request: Request, deployment: TheDeployment
) -> dict[str, Any]:
    """Appeal against a refusal. No account is needed; keep the ticket to ask for the outcome."""
    parts = deployment.service.pipeline.parts
    async with _guesses_counted(request, deployment):
        return await in_thread(
            lambda: _open_and_ticket(parts, body.decision_id, statement=body.statement)
        )


@router.get("/appeals/{decision_id}")
async def state(
    decision_id: AnyId,
    request: Request,
    deployment: TheDeployment,
    ticket: Annotated[str, Query(max_length=100, description="As the opening gave it")] = "",
) -> dict[str, Any]:
    """Report to whoever appealed how it stands: outcome and rationale once it is decided."""
    parts = deployment.service.pipeline.parts
    async with _guesses_counted(request, deployment):
        return await in_thread(lambda: _state(parts, record_of(decision_id), ticket))


@router.get("/review/appeals")
async def appeals(
    desk: CallerDesk, _caller: RecordReader, only_open: Annotated[bool, Query()] = True
) -> dict[str, Any]:
    """List appeals, oldest first."""
    found = await in_thread(lambda: desk.appeals.listed(only_open=only_open))
    return {"appeals": [appeal.to_dict() for appeal in found]}


@router.post("/review/appeals/lease")
async def lease(desk: CallerDesk, _caller: Reviewer) -> dict[str, Any]:
    """Take the oldest appeal that may be decided here; null when nothing waits."""
    found = await in_thread(desk.appeals.lease)
    return {"appeal": None if found is None else found.to_dict()}


@router.post("/review/appeals/{decision_id}/decide")
async def decide(
    decision_id: AnyId, body: OutcomeBody, desk: CallerDesk, _caller: Reviewer
) -> dict[str, Any]:
    """Uphold or overturn a refusal; ``allow_until`` lets this very prompt pass until then."""
    booked = await in_thread(
        lambda: desk.appeals.decide(
            decision_id, body.outcome, rationale=body.rationale, allow_until=body.allow_until
        )
    )
    return {"event": booked.to_dict()}


@asynccontextmanager
async def _guesses_counted(request: Request, deployment: Deployment) -> AsyncIterator[None]:
    """Count who names a decision that is none to appeal against; who names a right one may.

    Raises:
        RateLimited: Too many wrong ones, from there or from everywhere.
    """
    try:
        yield
    except (RecordNotFound, InvalidRequest, DuplicateRecord):
        address = request.client.host if request.client else ""
        await deployment.callers.stores.ask(
            lambda: slow_down(
                deployment.appeal_rates,
                "about appeals",
                address,
                of_one=_WRONG_OF_ONE,
                of_everybody=_WRONG_OF_ALL,
            )
        )
        raise


def _open_and_ticket(parts: Parts, decision_id: str, *, statement: str) -> dict[str, Any]:
    """Book an appeal; return what its opener needs to ask for the outcome later."""
    # The key first: an appeal that is booked without a ticket could never be asked about.
    key = ticket_key(parts.home)
    booked = parts.log.appeals.open(decision_id, statement=statement)
    return {
        "decision_id": booked.record_id,
        "opened": booked.time,
        "ticket": _ticket(key, booked.record_id),
    }


def _state(parts: Parts, record_id: str, ticket: str) -> dict[str, Any]:
    right = _ticket(ticket_key(parts.home), record_id)
    if not hmac.compare_digest(ticket.encode(), right.encode()):
        raise RecordNotFound(f"no appeal against {record_id} with this ticket")
    return parts.log.appeals.state(record_id).to_dict()


def ticket_key(home: FilePath) -> bytes:
    """Return the secret that tickets are made with, 32 bytes; drawn on first use.

    Raises:
        ConfigurationError: It cannot be made or read, or is not whole.
    """
    return random_secret(home / "tenancy" / "tickets.key", length=32)


def _ticket(key: bytes, record_id: str) -> str:
    return hmac.new(key, record_id.encode(), hashlib.sha256).hexdigest()

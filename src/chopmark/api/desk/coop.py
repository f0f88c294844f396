"""Coop's action callbacks: what its moderators and rules decide, decided here by its API key."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Header, Request
from pydantic import BaseModel, Field

from chopmark.api.desk.records import CallerDesk
from chopmark.api.nullable import SentBody
from chopmark.errors import ChopmarkError, DuplicateRecord, InvalidRequest, RecordNotFound
from chopmark.kit.limits import RATIONALE
from chopmark.pipeline.steps import in_thread
from chopmark.service.caller import Reviewer
from chopmark.service.coop import check_signature, rationale_of
from chopmark.service.deployment import TheDeployment
from chopmark.service.problems import RESPONSES
from chopmark.service.review_rules import rules_of

__all__ = ["router"]

router = APIRouter(prefix="/api/v1/coop", responses=RESPONSES, tags=["coop"])
_Short = Annotated[str, Field(min_length=1, max_length=500)]


class CoopItem(BaseModel):
    """What is acted on."""

    id: _Short
    typeId: _Short  # noqa: N815  as Coop spells it


class Named(SentBody):
    """An action or a policy."""

    id: _Short
    name: _Short | None = None


class CoopAction(SentBody):
    """What Coop sends when an action is taken; `rules`, `custom`, `creator` are not looked at."""

    item: CoopItem
    action: Named
    policies: Annotated[list[Named], Field(default_factory=list, max_length=100)]
    actorEmail: _Short | None = None  # noqa: N815
    actorNote: Annotated[str, Field(max_length=RATIONALE.most)] | None = None  # noqa: N815


@router.post("/actions")
async def act(
    body: CoopAction,
    request: Request,
    deployment: TheDeployment,
    desk: CallerDesk,
    _caller: Reviewer,
    coop_signature: Annotated[str, Header(max_length=2048)] = "",
) -> dict[str, Any]:
    """Decide on a task as Coop did; sent again, it is `already` decided and nothing more happens.

    It takes a key with the scope `review` and the server's signature over the body. Which action
    decides what is in the file that `CHOPMARK_COOP` names.
    """
    server = deployment.coop
    if server is None:
        raise RecordNotFound(
            "there is no Coop server", hint="the deployer names one in CHOPMARK_COOP"
        )
    check_signature(server, await request.body(), coop_signature)
    if body.item.typeId != server.item_type:
        raise InvalidRequest(
            f"items of type {body.item.typeId[:40]} are not ours", param="item.typeId"
        )
    decision = server.actions.get(body.action.id)
    if decision is None:
        raise InvalidRequest(
            f"action {body.action.id[:40]} decides nothing here",
            hint="name it under actions in the file of CHOPMARK_COOP",
            param="action.id",
        )
    rationale = rationale_of(
        body.action.id,
        policies=[policy.name or policy.id for policy in body.policies],
        by=body.actorEmail,
        note=body.actorNote,
    )
    (answer,) = await in_thread(
        lambda: desk.review.bulk(
            [body.item.id], decision, rationale=rationale, rules=rules_of(deployment.settings)
        )
    )
    said = {"record_id": body.item.id, "decision": decision}
    if isinstance(answer, DuplicateRecord):
        return {**said, "already": True}  # Coop tries a callback up to five times
    if isinstance(answer, ChopmarkError):
        raise answer
    return {**said, "already": False, "event": answer.to_dict()}

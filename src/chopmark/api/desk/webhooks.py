"""Webhooks over HTTP: who is told of what, and what did not arrive."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Path
from pydantic import Field

from chopmark.audit import Event, EventKind
from chopmark.errors import NotPermitted
from chopmark.kit.ids import new_record_id
from chopmark.pipeline.steps import in_thread
from chopmark.service.caller import AnyCaller, Caller
from chopmark.service.deployment import TheDeployment
from chopmark.service.outbound import check_target
from chopmark.service.problems import RESPONSES
from chopmark.service.search_form import Strict
from chopmark.tenancy.webhooks import WebhookEvent

__all__ = ["router"]

router = APIRouter(prefix="/api/v1/webhooks", responses=RESPONSES, tags=["webhooks"])
HookId = Annotated[str, Path(pattern="^[0-9a-f]{24}$")]


class HookBody(Strict):
    """Where to send, and what."""

    url: Annotated[str, Field(min_length=1, max_length=2048)]
    events: Annotated[list[WebhookEvent], Field(min_length=1, max_length=16)]


@router.post("")
async def add(body: HookBody, deployment: TheDeployment, caller: AnyCaller) -> dict[str, Any]:
    """Have an address told; the answer holds the secret that its messages are signed with, once.

    Messages follow Standard Webhooks: `webhook-id`, `webhook-timestamp`, `webhook-signature`.
    """
    tenant = _whose(caller)

    def added() -> dict[str, Any]:
        settings, log = deployment.settings, deployment.service.pipeline.parts.log
        check_target(body.url, private=settings.webhooks_private)
        hook, secret = deployment.webhooks.add(
            tenant=tenant, url=body.url, events=body.events, by=caller.name, since=log.size
        )
        _book(deployment, caller, "webhook.added", hook.hook_id, url=body.url)
        return {**hook.to_dict(), "secret": secret}

    return await in_thread(added)


@router.get("")
async def listed(deployment: TheDeployment, caller: AnyCaller) -> dict[str, Any]:
    """List who is told, how much arrived, and what was given up (`dead`)."""
    tenant, hooks = _whose(caller), deployment.webhooks

    def found() -> list[dict[str, Any]]:
        return [{**hook.to_dict(), "dead": hooks.dead(hook.hook_id)} for hook in hooks.all(tenant)]

    return {"webhooks": await in_thread(found)}


@router.delete("/{hook_id}", status_code=204)
async def remove(hook_id: HookId, deployment: TheDeployment, caller: AnyCaller) -> None:
    """Tell an address no more; what is on its way there goes."""
    tenant = _whose(caller)

    def removed() -> None:
        deployment.webhooks.remove(hook_id, tenant)
        _book(deployment, caller, "webhook.removed", hook_id)

    await in_thread(removed)


@router.post("/{hook_id}/retry")
async def retry(hook_id: HookId, deployment: TheDeployment, caller: AnyCaller) -> dict[str, Any]:
    """Send what was given up again, and let a switched-off webhook be used again."""
    tenant = _whose(caller)
    return {"sent_again": await in_thread(lambda: deployment.webhooks.retry(hook_id, tenant))}


def _whose(caller: Caller) -> str | None:
    """Return the tenant whose webhooks a caller manages; None is all tenants.

    Raises:
        NotPermitted: They manage none.
    """
    if not caller.roles & {"investigator", "operator", "reviewer"}:
        raise NotPermitted(
            "this takes one of the roles operator, investigator, reviewer",
            hint="ask the deployer for the role",
        )
    return None if caller.every_tenant else caller.tenant.name


def _book(
    deployment: TheDeployment, caller: Caller, kind: EventKind, hook_id: str, **private: str
) -> None:
    deployment.service.pipeline.parts.log.append(
        Event(
            kind=kind,
            record_id=new_record_id(),
            tenant=caller.tenant.name,
            public={"webhook": hook_id},
            private={"by": caller.name, **private},
        )
    )

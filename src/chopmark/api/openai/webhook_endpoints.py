"""``/v1/webhook_endpoints``: the webhooks of ``/api/v1/webhooks``, as OpenAI's clients manage them.

They know the events of batches, and by their ``extra_body`` or as plain texts all of ours.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Final, cast

from fastapi import APIRouter, Path, Query
from pydantic import ConfigDict, Field

from chopmark.api.nullable import SentBody
from chopmark.api.openai.files import page
from chopmark.errors import InvalidRequest, RecordNotFound
from chopmark.pipeline.steps import in_thread
from chopmark.service.caller import AnyCaller
from chopmark.service.deployment import TheDeployment
from chopmark.service.problems import RESPONSES
from chopmark.service.webhook_admin import WebhookAdmin
from chopmark.tenancy.webhook_events import WEBHOOK_EVENTS

if TYPE_CHECKING:
    from chopmark.tenancy.webhook_events import WebhookEvent
    from chopmark.tenancy.webhooks import Webhook

__all__ = ["router"]

router = APIRouter(prefix="/v1", responses=RESPONSES, tags=["openai"])
EndpointId = Annotated[str, Path(min_length=1, max_length=64)]
_Events = Annotated[
    list[Annotated[str, Field(max_length=60)]], Field(min_length=1, max_length=len(WEBHOOK_EVENTS))
]
_Name = Annotated[str, Field(min_length=1, max_length=200)]
_Url = Annotated[str, Field(min_length=1, max_length=2048)]
_DAY_S: Final = 24 * 3600.0


class _Strict(SentBody):
    model_config = ConfigDict(extra="ignore", strict=True)


class CreateEndpoint(_Strict):
    """Where to send, and what."""

    event_types: _Events
    name: _Name
    url: _Url


class UpdateEndpoint(_Strict):
    """What shall be another."""

    event_types: _Events | None = None
    name: _Name | None = None
    url: _Url | None = None


class RotateSecret(_Strict):
    """Whether the earlier secret stays good for a day."""

    keep_old_secret_active_for_24_hours: bool = False


class TestEndpoint(_Strict):
    """Which event a sample is of."""

    event_type: Annotated[str, Field(max_length=60)]


@router.get("/webhook_event_types")
async def event_types(_caller: AnyCaller) -> dict[str, Any]:
    """List the events that this server sends."""
    return {"object": "list", "data": [one for one in WEBHOOK_EVENTS if one != "*"]}


@router.post("/webhook_endpoints")
async def create(
    body: CreateEndpoint, deployment: TheDeployment, caller: AnyCaller
) -> dict[str, Any]:
    """Notify an address; the answer holds the secret that its messages are signed with, once."""
    admin, events = WebhookAdmin(deployment, caller), _known(body.event_types, "event_types")
    hook, secret = await in_thread(lambda: admin.add(body.url, events, name=body.name))
    return {**_described(hook), "signing_secret": secret}


@router.get("/webhook_endpoints")
async def listed(
    deployment: TheDeployment,
    caller: AnyCaller,
    after: Annotated[str | None, Query(max_length=64)] = None,
    limit: Annotated[int, Query(ge=1, le=100)] = 20,
) -> dict[str, Any]:
    """List the addresses that are notified, the newest first."""
    hooks = await in_thread(WebhookAdmin(deployment, caller).all)
    hooks.reverse()
    if after is not None:
        names = [hook.hook_id for hook in hooks]
        if after not in names:
            raise RecordNotFound(f"no webhook {after[:32]}")
        hooks = hooks[names.index(after) + 1 :]
    return page([_described(hook) for hook in hooks], limit)


@router.get("/webhook_endpoints/{endpoint_id}")
async def retrieve(
    endpoint_id: EndpointId, deployment: TheDeployment, caller: AnyCaller
) -> dict[str, Any]:
    """Describe one of them."""
    admin = WebhookAdmin(deployment, caller)
    return _described(await in_thread(lambda: admin.one(endpoint_id)))


@router.post("/webhook_endpoints/{endpoint_id}")
async def update(
    endpoint_id: EndpointId, body: UpdateEndpoint, deployment: TheDeployment, caller: AnyCaller
) -> dict[str, Any]:
    """Change its name, its address or its events."""
    admin = WebhookAdmin(deployment, caller)
    events = None if body.event_types is None else _known(body.event_types, "event_types")

    def change() -> Webhook:
        admin.change(endpoint_id, name=body.name, url=body.url, events=events)
        return admin.one(endpoint_id)

    return _described(await in_thread(change))


@router.delete("/webhook_endpoints/{endpoint_id}")
async def delete(
    endpoint_id: EndpointId, deployment: TheDeployment, caller: AnyCaller
) -> dict[str, Any]:
    """Notify an address no more; what is on its way there is dropped."""
    admin = WebhookAdmin(deployment, caller)
    await in_thread(lambda: admin.remove(endpoint_id))
    return {"id": endpoint_id, "object": "webhook_endpoint.deleted", "deleted": True}


@router.post("/webhook_endpoints/{endpoint_id}/rotate_secret")
async def rotate_secret(
    endpoint_id: EndpointId,
    deployment: TheDeployment,
    caller: AnyCaller,
    body: RotateSecret | None = None,
) -> dict[str, Any]:
    """Make a new secret; for a day messages can be signed with both."""
    admin = WebhookAdmin(deployment, caller)
    keep_s = _DAY_S if body is not None and body.keep_old_secret_active_for_24_hours else 0.0
    secret = await in_thread(lambda: admin.rotate(endpoint_id, keep_s=keep_s))
    hook = await in_thread(lambda: admin.one(endpoint_id))
    return {**_described(hook), "signing_secret": secret}


@router.post("/webhook_endpoints/{endpoint_id}/test")
async def send_sample(
    endpoint_id: EndpointId, body: TestEndpoint, deployment: TheDeployment, caller: AnyCaller
) -> dict[str, Any]:
    """Send a sample at once, and return what the address answers."""
    admin = WebhookAdmin(deployment, caller)
    [event] = _known([body.event_type], "event_type")
    status = await in_thread(lambda: admin.test(endpoint_id, event))
    return {
        "object": "webhook_endpoint.test",
        "webhook_endpoint_id": endpoint_id,
        "event_type": event,
        "status_code": status,
        "success": True,
    }


def _known(names: list[str], param: str) -> list[WebhookEvent]:
    """Return the events, all of which happen here: one that never comes would be waited for."""
    for place, name in enumerate(names):
        if name not in WEBHOOK_EVENTS:
            where = f"{param}[{place}]" if param.endswith("s") else param
            raise InvalidRequest(
                f"{where}: this server does not send {name!r}",
                hint="GET /v1/webhook_event_types lists of what it does",
                param=where,
            )
    return cast("list[WebhookEvent]", names)


def _described(hook: Webhook) -> dict[str, Any]:
    return {
        "id": hook.hook_id,
        "object": "webhook_endpoint",
        "name": hook.name,
        "url": hook.url,
        "event_types": list(hook.events),
        "created_at": int(hook.created),
        "updated_at": int(hook.changed),
        "signing_secret_hint": hook.secret_hint,
        "disabled": hook.disabled,
    }

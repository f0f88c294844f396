"""Webhooks as somebody of a tenant manages them, for both faces; what is changed is booked."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from chopmark.audit import Event
from chopmark.errors import NotPermitted
from chopmark.kit.ids import new_record_id
from chopmark.service.outbound import check_target

if TYPE_CHECKING:
    from collections.abc import Sequence

    from chopmark.audit import EventKind
    from chopmark.service.caller import Caller
    from chopmark.service.deployment import Deployment
    from chopmark.tenancy.webhooks import WebhookEvent

__all__ = ["WebhookAdmin"]


class WebhookAdmin:
    """The webhooks of a caller's tenant, or of all tenants. Every method runs in a thread.

    Args:
        deployment: Whose webhooks, and whose log.
        caller: An operator, an investigator or a reviewer.

    Raises:
        NotPermitted: The caller is none of these.
    """

    def __init__(self, deployment: Deployment, caller: Caller) -> None:
        if not caller.roles & {"investigator", "operator", "reviewer"}:
            raise NotPermitted(
                "this takes one of the roles operator, investigator, reviewer",
                hint="ask the deployer for the role",
            )
        self._deployment, self._caller = deployment, caller
        self._tenant = None if caller.every_tenant else caller.tenant.name

    def add(self, url: str, events: Sequence[WebhookEvent]) -> dict[str, Any]:
        """Have an address told from now on; the answer has its secret, this once.

        Raises:
            InvalidRequest: The address is none that is visited, or there are too many.
        """
        deployment = self._deployment
        check_target(url, private=deployment.settings.webhooks_private)
        hook, secret = deployment.webhooks.add(
            tenant=self._tenant,
            url=url,
            events=events,
            by=self._caller.name,
            since=deployment.service.pipeline.parts.log.size,
        )
        self._book("webhook.added", hook.hook_id, url=url)
        return {**hook.to_dict(), "secret": secret}

    def listed(self) -> list[dict[str, Any]]:
        """Return who is told, with what was given up."""
        hooks = self._deployment.webhooks
        return [
            {**hook.to_dict(), "dead": hooks.dead(hook.hook_id)} for hook in hooks.all(self._tenant)
        ]

    def remove(self, hook_id: str) -> None:
        """Tell an address no more.

        Raises:
            RecordNotFound: No such webhook, or another tenant's.
        """
        self._deployment.webhooks.remove(hook_id, self._tenant)
        self._book("webhook.removed", hook_id)

    def retry(self, hook_id: str) -> int:
        """Send what was given up again; return how many messages.

        Raises:
            RecordNotFound: No such webhook, or another tenant's.
        """
        return self._deployment.webhooks.retry(hook_id, self._tenant)

    def _book(self, kind: EventKind, hook_id: str, **private: str) -> None:
        self._deployment.service.pipeline.parts.log.append(
            Event(
                kind=kind,
                record_id=new_record_id(),
                tenant=self._caller.tenant.name,
                public={"webhook": hook_id},
                private={"by": self._caller.name, **private},
            )
        )

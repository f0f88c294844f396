"""Webhooks as somebody of a tenant manages them, for both faces; what is changed is booked."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from chopmark.audit import Event
from chopmark.errors import InvalidRequest, NotPermitted, RecordNotFound
from chopmark.kit.ids import new_record_id
from chopmark.service.outbound import check_target, send
from chopmark.tenancy.webhook_events import COOP

if TYPE_CHECKING:
    from collections.abc import Sequence

    from chopmark.audit import EventKind
    from chopmark.service.caller import Caller
    from chopmark.service.deployment import Deployment
    from chopmark.tenancy.webhook_events import WebhookEvent
    from chopmark.tenancy.webhooks import Webhook

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

    def add(
        self, url: str, events: Sequence[WebhookEvent], *, name: str = ""
    ) -> tuple[Webhook, str]:
        """Have an address told from now on; return it with its secret, which is shown this once.

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
            name=name,
        )
        self._book("webhook.added", hook.hook_id, url=url)
        return hook, secret

    def all(self) -> list[Webhook]:
        """Return who is told of events, oldest first."""
        hooks = self._deployment.webhooks.all(self._tenant)
        return [hook for hook in hooks if COOP not in hook.events]

    def one(self, hook_id: str) -> Webhook:
        """Return one of them.

        Raises:
            RecordNotFound: No such webhook, or another tenant's.
        """
        found = next((hook for hook in self.all() if hook.hook_id == hook_id), None)
        if found is None:
            raise RecordNotFound(f"no webhook {hook_id[:32]}")
        return found

    def change(
        self,
        hook_id: str,
        *,
        name: str | None = None,
        url: str | None = None,
        events: Sequence[WebhookEvent] | None = None,
    ) -> None:
        """Change what is given.

        Raises:
            RecordNotFound: No such webhook, or another tenant's.
            InvalidRequest: The address is none that is visited.
        """
        self.one(hook_id)
        deployment = self._deployment
        if url is not None:
            check_target(url, private=deployment.settings.webhooks_private)
        deployment.webhooks.change(hook_id, self._tenant, name=name, url=url, events=events)
        self._book("webhook.changed", hook_id, url=url or "", events=" ".join(events or ()))

    def rotate(self, hook_id: str, *, keep_s: float) -> str:
        """Return a new secret; messages are signed with the earlier one as well for a while.

        Raises:
            RecordNotFound: No such webhook, or another tenant's.
        """
        self.one(hook_id)
        secret = self._deployment.webhooks.rotate(hook_id, self._tenant, keep_s=keep_s)
        self._book("webhook.changed", hook_id, secret="rotated")  # noqa: S106  no secret
        return secret

    def test(self, hook_id: str, event: WebhookEvent) -> int:
        """Send a sample at once; return the status of the answer.

        Raises:
            RecordNotFound: No such webhook, or another tenant's.
            InvalidRequest: Nobody answers there.
        """
        self.one(hook_id)
        deployment = self._deployment
        sample = deployment.webhooks.sample(hook_id, self._tenant, event)
        try:
            return send(sample, private=deployment.settings.webhooks_private)
        except OSError as error:
            raise InvalidRequest(
                f"nobody answers at the webhook's address: {error}", param="url"
            ) from error

    def listed(self) -> list[dict[str, Any]]:
        """Return who is told, with what was given up."""
        hooks = self._deployment.webhooks
        return [
            {**hook.to_dict(), "dead": hooks.outbox.dead(hook.hook_id)}
            for hook in hooks.all(self._tenant)
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

"""People who are refused again and again: counted before and after each of their requests."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from chopmark.audit import Actor, Rule
from chopmark.errors import AccessError
from chopmark.kit.file_cache import FileCache
from chopmark.pipeline.steps import in_thread
from chopmark.service.standing import Standing
from chopmark.tenancy.abuse_counts import AbuseCounts
from chopmark.tenancy.abuse_rules import AbuseRule, AbuseRules, load_abuse

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    from numpy.typing import NDArray

    from chopmark.audit import Hit
    from chopmark.pipeline import Pipeline
    from chopmark.pipeline.released import Refused
    from chopmark.pipeline.request import GenerationRequest, SealRequest
    from chopmark.tenancy import Tenant
    from chopmark.tenancy.shared_state import SharedState

__all__ = ["AbuseControl"]

_PRIORITY: Final = 10


@dataclass(frozen=True, kw_only=True)
class _OneRecord(Rule):
    """A rule for one record alone."""

    record_id: str

    def matches(self, hit: Hit) -> bool:
        """Tell whether this is the record."""
        return hit.record_id == self.record_id


class AbuseControl:
    """Applies the abuse rules of each tenant to the people whom the tenant names.

    Args:
        pipeline: Its log takes which rules are in force, and its desk the records for review.
        on_rule: Called when a rule holds.
        state: Where people are counted; in memory where it is not given.
    """

    def __init__(
        self,
        pipeline: Pipeline,
        on_rule: Callable[[AbuseRule], None],
        state: SharedState | None = None,
    ) -> None:
        self._pipeline = pipeline
        self._rules = FileCache[AbuseRules](load_abuse)
        self._booked: dict[tuple[str, ...], AbuseRules] = {}
        self.watch = AbuseCounts(self._embed, on_rule=on_rule, state=state)
        self.standing = Standing(pipeline)

    def rules_of(self, tenant: Tenant) -> AbuseRules:
        """Return a tenant's rules.

        Raises:
            InvalidPolicy: The file cannot be used; nobody is let off meanwhile.
        """
        name = tenant.abuse or self._pipeline.settings.abuse
        rules = self._rules.get(name)
        # Of whom these rules are: the tenant's own, or the deployment's for everybody else.
        whose = (tenant.name,) if tenant.abuse else ()
        if self._booked.get(whose) is not rules:
            log, digest = self._pipeline.parts.log, rules.digest()
            if tenant.abuse:
                log.in_force("policy.changed", digest, what="abuse", tenant=tenant.name)
            else:
                log.in_force("policy.changed", digest, what="abuse")
            self._booked[whose] = rules
        return rules

    async def before(self, tenant: Tenant, asked: GenerationRequest | SealRequest) -> None:
        """Let a request pass.

        Raises:
            PersonSuspended: The person is turned away until somebody lets them in again.
            CoolingDown: The person must wait.
        """
        subject = asked.subject
        if subject is None:
            return

        def check() -> None:
            try:
                self.standing.check(subject)
                self.watch.check(subject, self.rules_of(tenant), asked.prompt)
            except AccessError as error:
                self.standing.turned_away(
                    subject=subject, tenant=asked.tenant, prompt=asked.prompt, error=error
                )
                raise

        await in_thread(check)

    async def refused(
        self, tenant: Tenant, asked: GenerationRequest | SealRequest, error: Refused
    ) -> None:
        """Count a refusal."""
        subject = asked.subject
        if subject is None:
            return

        def count() -> None:
            rules = self.rules_of(tenant)
            self.watch.refused(subject, rules, asked.prompt, error.verdict.categories)
            self.standing.refused(rules.strikes, subject=subject, tenant=asked.tenant)

        await in_thread(count)

    async def after(self, asked: GenerationRequest | SealRequest, record_id: str) -> None:
        """Send a record to review, if the person is under review."""
        subject = asked.subject
        if subject is None:
            return

        def route() -> None:
            queue = self.watch.queue_of(subject)
            if queue is not None:
                self._route(queue, asked.tenant, record_id)

        await in_thread(route)

    def _route(self, queue: str, tenant: str, record_id: str) -> None:
        log = self._pipeline.parts.log
        actor = Actor(name="abuse rules", roles=frozenset({"writer"}), tenant=tenant)
        rule = _OneRecord(queue=queue, priority=_PRIORITY, tenant=tenant, record_id=record_id)
        first = log.records(record_id)[0]
        log.desk(actor, purpose="a person under review").review.route([rule], since=first.index)

    def _embed(self, prompt: str) -> NDArray[np.float32]:
        from chopmark.safety import normalize
        from chopmark.safety.text.encoder import shared_encoder

        # Disguises are undone first, as the prompt guard does: they are no distance.
        return shared_encoder().embed(normalize(prompt).text)

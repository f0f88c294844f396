"""People who are refused again and again: counted before and after each of their requests."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Final

from chopmark.audit import Actor, Rule
from chopmark.pipeline.steps import in_thread
from chopmark.tenancy.abuse_counts import Watch
from chopmark.tenancy.abuse_rules import AbuseRule, AbuseRules, load_abuse

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    from numpy.typing import NDArray

    from chopmark.audit import Hit
    from chopmark.pipeline import Pipeline
    from chopmark.pipeline.released import Refused
    from chopmark.pipeline.request import GenerationRequest
    from chopmark.safety.text.encoder import SentenceEncoder
    from chopmark.tenancy import Tenant

__all__ = ["AbuseControl", "version_of"]

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
    """

    def __init__(self, pipeline: Pipeline, on_rule: Callable[[AbuseRule], None]) -> None:
        self._pipeline = pipeline
        self._rules: dict[tuple[str, int], AbuseRules] = {}
        self.watch = Watch(self._embed, told=on_rule)

    def rules_of(self, tenant: Tenant) -> AbuseRules:
        """Return a tenant's rules.

        Raises:
            InvalidPolicy: The file cannot be used; nobody is let off meanwhile.
        """
        name = tenant.abuse or self._pipeline.settings.abuse
        known = self._rules.get((name, version_of(name)))
        if known is None:
            known = self._rules[name, version_of(name)] = load_abuse(name)
            log, digest = self._pipeline.parts.log, known.digest()
            if tenant.abuse:
                log.in_force("policy.changed", digest, what="abuse", tenant=tenant.name)
            else:
                log.in_force("policy.changed", digest, what="abuse")
        return known

    async def before(self, tenant: Tenant, asked: GenerationRequest) -> None:
        """Let a request pass.

        Raises:
            CoolingDown: The person must wait.
        """
        subject = asked.subject
        if subject is not None:
            await in_thread(lambda: self.watch.check(subject, self.rules_of(tenant), asked.prompt))

    async def refused(self, tenant: Tenant, asked: GenerationRequest, error: Refused) -> None:
        """Count a refusal."""
        subject = asked.subject
        if subject is not None:
            await in_thread(
                lambda: self.watch.refused(
                    subject, self.rules_of(tenant), asked.prompt, error.verdict.categories
                )
            )

    async def after(self, asked: GenerationRequest, record_id: str) -> None:
        """Send a record to review, if the person is under review."""
        queue = None if asked.subject is None else self.watch.queue_of(asked.subject)
        if queue is not None:
            await in_thread(lambda: self._route(queue, asked.tenant, record_id))

    def _route(self, queue: str, tenant: str, record_id: str) -> None:
        log = self._pipeline.parts.log
        actor = Actor(name="abuse rules", roles=frozenset({"writer"}), tenant=tenant)
        rule = _OneRecord(queue=queue, priority=_PRIORITY, tenant=tenant, record_id=record_id)
        first = log.records(record_id)[0]
        log.desk(actor, purpose="a person under review").route([rule], since=first.index)

    @cached_property
    def _encoder(self) -> SentenceEncoder:
        from chopmark.safety.text.encoder import SentenceEncoder

        return SentenceEncoder()

    def _embed(self, prompt: str) -> NDArray[np.float32]:
        from chopmark.safety import normalize

        # Disguises are undone first, as the prompt guard does: they are no distance.
        return self._encoder.embed(normalize(prompt).text)


def version_of(name: str) -> int:
    """Return what changes when a file does; 0 for what is built in."""
    path = Path(name)
    return path.stat().st_mtime_ns if path.is_file() else 0

"""Whether a person may ask at all: suspended ones are turned away, and strikes lead there."""

from __future__ import annotations

import contextlib
import logging
from typing import TYPE_CHECKING, Final

from chopmark.audit import Actor, Event
from chopmark.errors import AccessError, ChopmarkError, PersonSuspended
from chopmark.kit.ids import new_record_id
from chopmark.tenancy.strikes import crossed, strikes, weight

if TYPE_CHECKING:
    from chopmark.audit import AuditLog
    from chopmark.kit.types import JsonValue
    from chopmark.pipeline import Pipeline
    from chopmark.tenancy.abuse_rules import StrikeRules

__all__ = ["Standing", "utc"]

_LOG = logging.getLogger(__name__)
_NAME: Final = "abuse rules"


def utc(shift_s: float = 0.0) -> str:
    """Return the time, ``shift_s`` from now, as RFC 3339 in UTC with microseconds."""
    import datetime as dt

    moment = dt.datetime.now(dt.UTC) + dt.timedelta(seconds=shift_s)
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


class Standing:
    """How the persons whom tenants name stand with us.

    Args:
        pipeline: Whose log knows.
    """

    def __init__(self, pipeline: Pipeline) -> None:
        self._pipeline = pipeline

    @property
    def _log(self) -> AuditLog:
        return self._pipeline.parts.log

    def check(self, subject: str) -> None:
        """Let a person's request pass.

        Raises:
            PersonSuspended: The desk, or the tenant's rules, suspended them.
            LogUnavailable: It cannot be told.
        """
        found = self._log.suspensions.find(subject)
        if found is None:
            return
        until = f"until {found.until}" if found.until else "until somebody lets them in again"
        raise PersonSuspended(
            f"the person whom this request names is suspended {until}",
            hint="whoever runs this service can reinstate them",
        )

    def turned_away(self, *, subject: str, tenant: str, prompt: str, error: AccessError) -> None:
        """Book that somebody asked who may not; the log being away lets nobody in."""
        private: dict[str, JsonValue] = {"prompt": prompt} if prompt else {}
        with contextlib.suppress(ChopmarkError):
            self._log.append(
                Event(
                    kind="request.turned_away",
                    record_id=new_record_id(),
                    tenant=tenant,
                    subject=subject,
                    public={"code": error.code},
                    private=private,
                )
            )

    def refused(self, rules: StrikeRules | None, *, subject: str, tenant: str) -> None:
        """Count a refusal that was just booked, and warn or suspend where that reaches a level."""
        if rules is None or not rules.levels:
            return
        actor = Actor(name=_NAME, roles=frozenset({"reviewer"}), tenant=tenant)
        desk = self._log.desk(actor, purpose="strikes of a person")
        now = utc()
        refusals = [(one.time, one.categories) for one in desk.people.refusals(subject, tenant)]
        if not refusals:
            return
        after = strikes(rules, refusals, at=now)
        level = crossed(rules, before=after - weight(rules, *refusals[0], at=now), after=after)
        if level is None:
            return
        rationale = f"{level.name} ({after:.2f} strikes, {level.at_least:g} or more)"
        if level.minutes is None:
            desk.people.warn(subject, rationale=rationale)
        else:
            desk.people.suspend(subject, rationale=rationale, until=utc(60 * level.minutes))
        _LOG.info("strikes of a person of tenant %s: %s", tenant, level.then)

"""The desk's pages of persons, for both faces: the log's knowledge with the tenant's rules."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from chopmark.errors import InvalidRequest, NotPermitted, TenantNotFound
from chopmark.service.standing import utc
from chopmark.tenancy.strikes import strikes, weight

if TYPE_CHECKING:
    from chopmark.audit import Desk, Hit, PersonView, Record
    from chopmark.service.caller import Caller
    from chopmark.service.service import Service
    from chopmark.tenancy.abuse_rules import StrikeRules

__all__ = ["PeopleDesk"]


class PeopleDesk:
    """Persons, as one caller sees them. Every method runs in a thread.

    Args:
        service: Its log, and the rules of its tenants.
        caller: Who asks.
        purpose: Why; it is booked.
    """

    def __init__(self, service: Service, caller: Caller, *, purpose: str | None = None) -> None:
        self._service, self._caller = service, caller
        self._purpose = (purpose or "").strip()

    def _desk(self) -> Desk:
        log = self._service.pipeline.parts.log
        return log.desk(self._caller.actor(), purpose=self._purpose or "asked about people")

    def listed(
        self, q: str | None = None, *, limit: int = 50, before: int | None = None
    ) -> dict[str, Any]:
        """Return a page of persons; ``next`` is the next page's ``before``."""
        desk = self._desk()
        found = desk.people.listed(q, limit=limit, before=before)
        rows = []
        for one in found:
            suspension = desk.people.suspended(one)
            rows.append({**one.to_dict(), "suspended": suspension and suspension.to_dict()})
        return {"people": rows, "next": found[-1].newest if len(found) == limit else None}

    def one(
        self, person: str, *, evidence: bool = False, limit: int = 50, before: int | None = None
    ) -> dict[str, Any]:
        """Return what is known of one person.

        Args:
            person: ``TENANT:IDENTIFIER``, or the identifier alone.
            evidence: With the prompts, each look booked; for investigators, with a purpose.
            limit: At most so many records.
            before: Only records of an earlier entry.

        Raises:
            PersonNotFound: Nothing is known of them.
            NotPermitted: The prompts are not for this caller.
            InvalidRequest: No purpose.
        """
        if evidence and not self._purpose:
            raise InvalidRequest("nobody looks at content without a purpose", param="purpose")
        if evidence and "investigator" not in self._caller.roles:
            raise NotPermitted("this takes the role investigator", hint="ask for the role")
        view, known = self.seen(person, limit=limit, before=before)
        prompts = self._desk().prompts(view.hits) if evidence else {}
        return {**known, "records": [_row(hit, prompts, evidence=evidence) for hit in view.hits]}

    def seen(
        self, person: str, *, limit: int = 50, before: int | None = None
    ) -> tuple[PersonView, dict[str, Any]]:
        """Return what the log knows of a person, and all but the records as JSON has it.

        Raises:
            As :meth:`one`, but for what concerns prompts.
        """
        desk = self._desk()
        view = desk.people.view(person, limit=limit, before=before)
        return view, {
            **view.summary.to_dict(),
            "days": list(view.days),
            "strikes": self.strikes(view),
            "suspended": view.suspension and view.suspension.to_dict(),
            "last_warned": view.last_warned,
            "actions": [act.to_dict() for act in view.acts],
            "next": view.hits[-1].index if len(view.hits) == limit else None,
        }

    def strikes(self, view: PersonView) -> dict[str, Any]:
        """Return a person's strikes by their tenant's rules, and what each level leads to."""
        rules, now = self.rules_of(view.summary.tenant), utc()
        if rules is None:
            return {"sum": 0.0, "half_life_days": None, "levels": [], "refusals": []}
        refusals = [(one.time, one.categories) for one in view.refusals]
        total = strikes(rules, refusals, at=now)
        return {
            "sum": round(total, 3),
            "half_life_days": rules.half_life_days,
            "levels": [
                {**level.model_dump(), "reached": total >= level.at_least} for level in rules.levels
            ],
            "refusals": [
                {
                    "record_id": one.record_id,
                    "time": one.time,
                    "categories": list(one.categories),
                    "weight": round(weight(rules, one.time, one.categories, at=now), 3),
                }
                for one in view.refusals
            ],
        }

    def rules_of(self, tenant: str) -> StrikeRules | None:
        """Return the strike rules of a tenant; of one that is gone, the deployment's."""
        store, abuse = self._service.store, self._service.abuse
        try:
            return abuse.rules_of(store.tenant(tenant)).strikes
        except TenantNotFound:
            return abuse.rules_of(store.tenant("default")).strikes

    def act(
        self,
        person: str,
        action: Literal["warn", "suspend", "reinstate"],
        *,
        rationale: str,
        until: str | None = None,
    ) -> Record:
        """Warn a person, suspend them, or let them in again.

        Raises:
            PersonNotFound: Nothing is known of them.
            NotPermitted: It takes a reviewer or an investigator.
            InvalidRequest: A value cannot be used.
        """
        people = self._desk().people
        if until is not None and action != "suspend":
            raise InvalidRequest("only a suspension has an end", param="until")
        match action:
            case "warn":
                return people.warn(person, rationale=rationale)
            case "suspend":
                return people.suspend(person, rationale=rationale, until=until)
            case "reinstate":
                return people.reinstate(person, rationale=rationale)


def _row(hit: Hit, prompts: dict[str, str], *, evidence: bool) -> dict[str, Any]:
    return hit.to_dict() | ({"prompt": prompts.get(hit.record_id)} if evidence else {})

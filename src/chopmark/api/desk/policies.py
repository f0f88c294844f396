"""Policies over HTTP: which one is in force, what another would change, what it would have said."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

from fastapi import APIRouter, Path, Query
from pydantic import Field

from chopmark.api.desk.records import Purpose, desk_of
from chopmark.errors import InvalidRequest
from chopmark.kit.limits import PURPOSE, RATIONALE
from chopmark.pipeline.steps import in_thread
from chopmark.service.caller import AnyCaller, Caller, RecordReader
from chopmark.service.deployment import TheService
from chopmark.service.golden import add_case, remove_case, run_cases
from chopmark.service.policy_proposals import PolicyProposals
from chopmark.service.problems import RESPONSES
from chopmark.service.search_form import Strict, Whole
from chopmark.service.workbench import newest_decisions, try_policy

if TYPE_CHECKING:
    from chopmark.audit import Desk
    from chopmark.safety import Policy
    from chopmark.service.service import Service

__all__ = ["router"]

router = APIRouter(prefix="/api/v1/policies", responses=RESPONSES, tags=["policies"])
_MOST_RECORDS: Final = 200
ProposalId = Annotated[str, Path(pattern="^[0-9a-f]{32}$")]


class CandidateBody(Strict):
    """Another policy, as YAML."""

    yaml: Annotated[str, Field(min_length=1, max_length=200_000)]


class ShadowBody(CandidateBody):
    """Another policy, and on how many of the newest prompts to try it."""

    limit: Annotated[int, Field(ge=1, le=_MOST_RECORDS), Whole] = 50


class ProposalBody(CandidateBody):
    """Another policy, for whom and why."""

    reason: Annotated[str, Field(min_length=PURPOSE.least, max_length=PURPOSE.most)]
    tenant: Annotated[str | None, Field(min_length=1, max_length=63)] = None


class ShadowOnBody(Strict):
    """The policy to judge beside those in force, or none, and why."""

    yaml: Annotated[str | None, Field(min_length=1, max_length=200_000)] = None
    reason: Annotated[str, Field(min_length=PURPOSE.least, max_length=PURPOSE.most)]


class TryBody(CandidateBody):
    """Another policy, and of how many of the newest decisions to say what it would change."""

    limit: Annotated[int, Field(ge=1, le=10_000), Whole] = 500


class GoldenOffBody(Strict):
    """Which record, and why."""

    record_id: Annotated[str, Field(pattern="^[0-9a-f]{16}$")]
    rationale: Annotated[str, Field(min_length=RATIONALE.least, max_length=RATIONALE.most)]


class GoldenBody(GoldenOffBody):
    """Which record, what the policy must say of its prompt, and why."""

    action: Literal["allow", "review", "block"]


@router.get("/active")
async def active(service: TheService, caller: RecordReader) -> dict[str, Any]:
    """Return the policy that the caller's tenant is judged by, and its digest."""
    policy = await in_thread(lambda: service.policy_of(caller.tenant))
    return {
        "tenant": caller.tenant.name,
        "digest": policy.digest(),
        "policy": _policy_fields(policy),
    }


@router.post("/diff")
async def diff(body: CandidateBody, service: TheService, caller: RecordReader) -> dict[str, Any]:
    """Say what another policy would change, and whether each change is stricter or laxer."""
    return await in_thread(lambda: _diff(body, service, caller))


@router.post("/proposals")
async def propose(body: ProposalBody, service: TheService, caller: AnyCaller) -> dict[str, Any]:
    """Propose a policy for the caller's tenant; another operator or investigator must agree."""
    proposals = PolicyProposals(service, caller)
    made = await in_thread(
        lambda: proposals.propose(body.yaml, reason=body.reason, tenant=body.tenant)
    )
    return made.to_dict()


@router.get("/proposals")
async def proposals(service: TheService, caller: AnyCaller) -> dict[str, Any]:
    """List what was proposed and what was in force, the newest first."""
    found = await in_thread(PolicyProposals(service, caller).all)
    return {"proposals": [one.to_dict() for one in found]}


@router.post("/proposals/{proposal_id}/agree")
async def agree(proposal_id: ProposalId, service: TheService, caller: AnyCaller) -> dict[str, Any]:
    """Put into force what somebody else proposed; the next request is judged by it."""
    proposals = PolicyProposals(service, caller)
    return (await in_thread(lambda: proposals.agree(proposal_id))).to_dict()


@router.put("/shadow")
async def set_shadow(body: ShadowOnBody, service: TheService, caller: AnyCaller) -> dict[str, Any]:
    """Judge a policy beside those in force and only log it, or stop (`yaml` null).

    It takes an operator of every tenant.
    """
    proposals = PolicyProposals(service, caller)
    digest = await in_thread(lambda: proposals.shadow(body.yaml, reason=body.reason))
    return {"shadow": digest}


@router.post("/try")
async def try_candidate(body: TryBody, service: TheService, caller: RecordReader) -> dict[str, Any]:
    """Show what a policy would change, and what of the last decisions it would have changed.

    Judged from the scores in the log; no prompt is read, and nothing is acted on.
    """

    def tried() -> dict[str, Any]:
        tenant = caller.tenant
        before, after = service.policy_of(tenant), _candidate(body)
        log = service.pipeline.parts.log
        decisions = newest_decisions(log, tenant=tenant.name, limit=body.limit)
        trial = try_policy(decisions, before, after, golden=None)
        return {"before": before.digest(), "after": after.digest(), **trial.to_dict()}

    return await in_thread(tried)


@router.post("/golden")
async def add_golden(
    body: GoldenBody, service: TheService, caller: AnyCaller, purpose: Purpose = None
) -> dict[str, Any]:
    """Make a record's prompt a golden case of the policy that judges its tenant; investigators."""
    caller.must_be("investigator")
    desk = desk_of(service, caller, purpose or "a golden case")
    return await in_thread(
        lambda: add_case(
            service, desk, body.record_id, action=body.action, rationale=body.rationale
        )
    )


@router.post("/golden/remove")
async def remove_golden(
    body: GoldenOffBody, service: TheService, caller: AnyCaller, purpose: Purpose = None
) -> dict[str, Any]:
    """Let a record's prompt be a golden case no more; investigators."""
    caller.must_be("investigator")
    desk = desk_of(service, caller, purpose or "a golden case")
    return await in_thread(
        lambda: remove_case(service, desk, body.record_id, rationale=body.rationale)
    )


@router.get("/golden")
async def golden(service: TheService, caller: AnyCaller) -> dict[str, Any]:
    """Judge the golden cases that the desk added by the caller's policy; investigators."""
    caller.must_be("investigator")
    async with service.judge_turns.turn(caller.tenant.name):
        report = await in_thread(lambda: run_cases(service, caller.tenant.name))
    return {"ok": True, "total": 0, "failures": []} if report is None else report.to_dict()


@router.post("/shadow")
async def shadow(
    body: ShadowBody,
    service: TheService,
    caller: AnyCaller,
    purpose: Purpose = None,
    only_changed: Annotated[bool, Query()] = True,
) -> dict[str, Any]:
    """Judge the newest prompts again by another policy; nothing is acted on.

    The prompts themselves are read for it, so it takes an investigator and a purpose, and each
    look is logged.
    """
    if purpose is None or not purpose.strip():
        raise InvalidRequest("nobody looks at content without a purpose", param="purpose")
    caller.must_be("investigator")
    desk = desk_of(service, caller, purpose)
    async with service.judge_turns.turn(caller.tenant.name):
        rows = await in_thread(lambda: _shadow(body, service, desk))
    changed = [row for row in rows if row["was"] != row["would_be"]]
    return {"judged": len(rows), "changed": len(changed), "rows": changed if only_changed else rows}


def _candidate(body: CandidateBody) -> Policy:
    from chopmark.safety.policy.load import policy_from_text

    return policy_from_text(body.yaml, source="the policy that was sent")


def _policy_fields(policy: Policy) -> dict[str, Any]:
    from chopmark.safety.policy_tools import show

    return dict(show(policy))


def _diff(body: CandidateBody, service: Service, caller: Caller) -> dict[str, Any]:
    from chopmark.safety.policy_tools import diff as changes_of

    before, after = service.policy_of(caller.tenant), _candidate(body)
    return {
        "before": before.digest(),
        "after": after.digest(),
        "changes": [
            {"field": c.field, "before": c.before, "after": c.after, "effect": c.effect}
            for c in changes_of(before, after)
        ],
    }


def _shadow(body: ShadowBody, service: Service, desk: Desk) -> list[dict[str, Any]]:
    from chopmark.audit import Query as DeskQuery
    from chopmark.errors import NotPermitted

    policy, guard = _candidate(body), service.pipeline.parts.prompt_guard
    rows: list[dict[str, Any]] = []
    for hit in desk.search(DeskQuery(), limit=body.limit):
        try:
            content = desk.view(hit.record_id).private[0]
        except NotPermitted:
            continue  # sealed
        if content is None or not isinstance(content.get("prompt"), str):
            continue  # erased, or no prompt was given
        text = "\n".join(
            str(content[name]) for name in ("prompt", "negative_prompt") if content.get(name)
        )
        verdict = guard.judge(text, policy, stage="prompt")
        # What a picture was refused for says nothing of its prompt.
        rows.append(
            {
                "record_id": hit.record_id,
                "was": hit.decision,
                "would_be": verdict.action,
                "categories": list(verdict.categories),
            }
        )
    return rows

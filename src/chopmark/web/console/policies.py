"""The policy in force, and what another one would change."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Final
from urllib.parse import urlencode

from fastapi import APIRouter, Form, Request, Response
from fastapi.responses import RedirectResponse

from chopmark.errors import InvalidPolicy
from chopmark.kit.limits import PURPOSE
from chopmark.pipeline.steps import in_thread
from chopmark.service.deployment import TheService
from chopmark.service.golden import run_cases
from chopmark.service.policy_proposals import PolicyProposals
from chopmark.service.workbench import newest_decisions, policy_text, try_policy
from chopmark.web.console.desk import DeskViewer, console_page, log_of

if TYPE_CHECKING:
    from chopmark.audit import Record
    from chopmark.safety import Policy
    from chopmark.service.policy_proposals import Proposal
    from chopmark.service.service import Service
    from chopmark.web.viewers import Viewer

__all__ = ["router"]

router = APIRouter()
_BUILT_IN: Final = ("default", "strict")
_LAST: Final = 500
_TEMPLATE: Final = "console/policies.html"


@router.get("/policies")
async def policies(
    request: Request,
    viewer: DeskViewer,
    service: TheService,
    other: str = "strict",
    tenant: str = "",
) -> Response:
    """Show the policy in force for a tenant, with its override, beside another."""
    named = other if other in _BUILT_IN else "strict"

    def found() -> dict[str, Any]:
        from chopmark.safety import load_policy

        return _shown(request, service, viewer, tenant, load_policy(named))

    shown = await in_thread(found)
    return console_page(
        request,
        viewer,
        _TEMPLATE,
        other=named,
        wrong="",
        yaml=policy_text(shown["policy"]),
        **shown,
    )


@router.post("/policies/try")
async def try_candidate(
    request: Request,
    viewer: DeskViewer,
    service: TheService,
    yaml: Annotated[str, Form(max_length=200_000)] = "",
    tenant: Annotated[str, Form(max_length=63)] = "",
) -> Response:
    """Show what a policy that somebody wrote would change, and what it would have changed."""

    def found() -> dict[str, Any]:
        from chopmark.safety.policy.load import policy_from_text

        wrong = ""
        try:
            candidate = policy_from_text(yaml, source="what you wrote")
        except InvalidPolicy as error:
            wrong, candidate = error.explain(), _in_force(service, viewer, tenant)[1]
        return {**_shown(request, service, viewer, tenant, candidate), "wrong": wrong}

    async with service.judge_turns.turn(viewer.caller.tenant.name):
        shown = await in_thread(found)
    return console_page(request, viewer, _TEMPLATE, other="what you wrote", yaml=yaml, **shown)


@router.post("/policies/propose")
async def propose(
    service: TheService,
    viewer: DeskViewer,
    yaml: Annotated[str, Form(max_length=200_000)] = "",
    tenant: Annotated[str, Form(max_length=63)] = "",
    reason: Annotated[str, Form(max_length=PURPOSE.most)] = "",
) -> Response:
    """Propose a policy; another person must agree before it is in force."""
    proposals = PolicyProposals(service, viewer.caller)
    await in_thread(lambda: proposals.propose(yaml, reason=reason, tenant=tenant or None))
    return RedirectResponse(f"/console/policies?{urlencode({'tenant': tenant})}", status_code=303)


@router.post("/policies/shadow")
async def shadow(
    service: TheService,
    viewer: DeskViewer,
    yaml: Annotated[str, Form(max_length=200_000)] = "",
    reason: Annotated[str, Form(max_length=PURPOSE.most)] = "",
) -> Response:
    """Judge a policy beside those in force, or stop; nothing is acted on."""
    proposals = PolicyProposals(service, viewer.caller)
    await in_thread(lambda: proposals.shadow(yaml or None, reason=reason))
    return RedirectResponse("/console/policies", status_code=303)


@router.post("/policies/proposals/{proposal_id}/agree")
async def agree(proposal_id: str, service: TheService, viewer: DeskViewer) -> Response:
    """Put into force what somebody else proposed."""
    proposals = PolicyProposals(service, viewer.caller)
    agreed = await in_thread(lambda: proposals.agree(proposal_id))
    query = urlencode({"tenant": "" if viewer.tenant else agreed.tenant})
    return RedirectResponse(f"/console/policies?{query}", status_code=303)


def _in_force(service: Service, viewer: Viewer, tenant: str) -> tuple[str | None, Policy, str]:
    """Return whose policy is shown, the policy with its override, and what is wrong with that.

    Who sees all tenants sees the deployment's until they choose one. An override that cannot be
    used is said to be one, beside the deployment's: whoever is to cure it comes here.
    """
    if viewer.tenant is None and not tenant:
        return None, service.pipeline.parts.policies.active(), ""
    theirs = viewer.caller.tenant if viewer.tenant else service.store.tenant(tenant)
    try:
        return theirs.name, service.policy_of(theirs), ""
    except InvalidPolicy as error:
        return theirs.name, service.pipeline.parts.policies.active(), error.explain()


def _shown(
    request: Request, service: Service, viewer: Viewer, tenant: str, theirs: Policy
) -> dict[str, Any]:
    log = log_of(request)
    whose, ours, broken = _in_force(service, viewer, tenant)
    golden = None if whose is None else run_cases(service, whose, theirs)
    decisions = newest_decisions(log, tenant=whose, limit=_LAST)
    trial = try_policy(decisions, ours, theirs, golden=golden)
    return {
        "policy": ours,
        "broken": broken,
        "whose": whose,
        "tenants": [] if viewer.tenant else [one.name for one in service.store.tenants()],
        "trial": trial,
        "booked": _booked(decisions),
        "choices": _BUILT_IN,
        "proposals": _proposals(service, viewer, whose),
        "shadow_on": service.pipeline.parts.policies.has_shadow,
    }


def _proposals(service: Service, viewer: Viewer, whose: str | None) -> list[Proposal]:
    if not viewer.roles & {"operator", "investigator"}:
        return []
    found = PolicyProposals(service, viewer.caller).all()
    return [one for one in found if whose in {None, one.tenant}]


def _booked(decisions: list[Record]) -> tuple[int, int]:
    """Count the decisions that a shadow policy was judged beside, and where it differed."""
    shadows = [
        shadow for entry in decisions if isinstance(shadow := entry.public.get("shadow"), dict)
    ]
    return len(shadows), sum(bool(one.get("differs")) for one in shadows)

"""The policy in force, what another one would change, and the hash lists."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from fastapi import APIRouter, Request, Response

from chopmark.pipeline.steps import in_thread
from chopmark.safety.hashes.bank import HashBank
from chopmark.safety.hashes.state import ListState
from chopmark.service.deployment import TheService
from chopmark.web.console.desk import DeskViewer, console_page, log_of

if TYPE_CHECKING:
    from chopmark.audit import AuditLog
    from chopmark.pipeline.parts import Parts
    from chopmark.safety import Policy
    from chopmark.safety.hashes.compiled import CompiledBank

__all__ = ["router"]

router = APIRouter()
_BUILT_IN: Final = ("default", "strict")
_LAST: Final = 500


@dataclass(frozen=True, kw_only=True)
class ShadowResult:
    """What another policy would have made of the scores that were booked lately.

    Attributes:
        judged: How many prompts were looked at.
        changed: How often each pair of actions (ours, theirs) came up.
    """

    judged: int
    changed: dict[tuple[str, str], int]


@dataclass(frozen=True, kw_only=True)
class HashList:
    """A hash list: its name, where it is from and how much is on it; never what."""

    name: str
    state: ListState
    entries: int
    categories: dict[str, int]


@router.get("/policies")
async def policies(
    request: Request, viewer: DeskViewer, service: TheService, other: str = "strict"
) -> Response:
    """Show the policy in force beside another."""
    named = other if other in _BUILT_IN else "strict"

    def found() -> dict[str, Any]:
        from chopmark.safety import load_policy
        from chopmark.safety.policy_tools import diff

        # Who sees the records of all tenants sees the deployment's policy, others their tenant's.
        ours = (
            service.pipeline.parts.policies.active()
            if viewer.tenant is None
            else service.policy_of(viewer.caller.tenant)
        )
        theirs = load_policy(named)
        return {
            "policy": ours,
            "changes": diff(ours, theirs),
            "shadow": _shadow(log_of(request), theirs, viewer.tenant),
            "booked": _booked(log_of(request), viewer.tenant),
        }

    return console_page(
        request,
        viewer,
        "console/policies.html",
        other=named,
        choices=_BUILT_IN,
        **await in_thread(found),
    )


@router.get("/hashes")
async def hashes(request: Request, viewer: DeskViewer, service: TheService) -> Response:
    """Show the hash lists."""
    return console_page(
        request,
        viewer,
        "console/hashes.html",
        banks=await in_thread(lambda: _banks(service.pipeline.parts)),
    )


def _shadow(log: AuditLog, policy: Policy, tenant: str | None) -> ShadowResult:
    """Judge the scores of the last decisions by another policy; nothing is acted on."""
    from chopmark.safety import Verdict
    from chopmark.safety.policy_tools import rejudge

    changed: Counter[tuple[str, str]] = Counter()
    judged = 0
    for entry in log.find(kind="request.decided", tenant=tenant, limit=_LAST):
        listed = entry.public.get("verdicts")
        for verdict in listed if isinstance(listed, list) else []:
            scores = verdict.get("scores") if isinstance(verdict, dict) else None
            if not isinstance(scores, dict) or verdict.get("stage") != "prompt" or not scores:  # type: ignore[union-attr]
                continue
            action: Any = verdict["action"]  # type: ignore[index, call-overload]
            known = {name: float(score) for name, score in scores.items()}  # type: ignore[arg-type]
            theirs = rejudge(Verdict(action=action, scores=known), policy).action
            judged += 1
            if theirs != action:
                changed[str(action), str(theirs)] += 1
    return ShadowResult(judged=judged, changed=dict(changed.most_common()))


def _booked(log: AuditLog, tenant: str | None) -> tuple[int, int]:
    """Count the last decisions that a shadow policy was judged beside, and where it differed."""
    shadows = [
        entry.public["shadow"]
        for entry in log.find(kind="request.decided", tenant=tenant, limit=_LAST)
        if isinstance(entry.public.get("shadow"), dict)
    ]
    return len(shadows), sum(bool(one.get("differs")) for one in shadows)  # type: ignore[union-attr]


def _banks(parts: Parts) -> list[HashList]:
    """Return every list, also one that is switched off."""
    from chopmark.safety.hashes.bank import test_bank
    from chopmark.safety.hashes.folder import list_paths, open_list
    from chopmark.safety.hashes.state import read_state

    folder = parts.settings.hash_lists
    built_in = test_bank()
    banks = [
        HashList(
            name=built_in.name,
            state=ListState(source="built in, for tests"),
            entries=len(built_in.entries),
            categories=_counted(built_in),
        )
    ]
    for path in list_paths(folder) if folder is not None and folder.is_dir() else ():
        found = open_list(path)
        entries = len(found.entries) if isinstance(found, HashBank) else len(found)
        banks.append(
            HashList(
                name=found.name,
                state=read_state(path),
                entries=entries,
                categories=_counted(found),
            )
        )
    return banks


def _counted(bank: HashBank | CompiledBank) -> dict[str, int]:
    if isinstance(bank, HashBank):
        return dict(Counter(entry.category for entry in bank.entries))
    return bank.categories

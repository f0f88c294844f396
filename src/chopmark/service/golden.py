"""Golden cases that the desk adds: prompts with what the policy must say, beside the policy's own.

They lie in ``home/policies/TENANT.golden.yaml``, in the form that ``chopmark policy test --golden``
reads. A case holds a prompt, which a person wrote: adding one takes an investigator and is booked.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any, Final, get_args

import yaml

from chopmark.errors import InvalidRequest, RecordNotFound, TenantNotFound
from chopmark.kit.files import write_private
from chopmark.kit.types import Action

if TYPE_CHECKING:
    from pathlib import Path

    from chopmark.audit import Desk
    from chopmark.safety import Policy
    from chopmark.safety.policy_tools import GoldenReport
    from chopmark.service.service import Service

__all__ = ["add_case", "cases_path", "remove_case", "run_cases"]

_CHANGING: Final = threading.Lock()


def cases_path(home: Path, tenant: str) -> Path:
    """Return where a tenant's golden cases of the desk lie."""
    return home / "policies" / f"{tenant}.golden.yaml"


def add_case(
    service: Service, desk: Desk, record_id: str, *, action: str, rationale: str
) -> dict[str, Any]:
    """Make a record's prompt a golden case of the policy that judges its tenant.

    Args:
        service: Whose policies.
        desk: Of an investigator; the look and the addition are booked there.
        record_id: A record with a prompt.
        action: What the policy must say: ``allow``, ``review`` or ``block``.
        rationale: Why; it stands beside the case.

    Returns:
        ``cases``: how many there are now; ``file``; and ``event``.

    Raises:
        InvalidRequest: No such action, no rationale, or the record has no prompt (any more).
        NotPermitted: It takes an investigator, or the record is sealed.
        RecordNotFound: No such record.
    """
    if action not in get_args(Action):
        raise InvalidRequest("the action is none", hint=", ".join(get_args(Action)), param="action")
    text, tenant = _prompt_of(desk, record_id)
    path = cases_path(service.pipeline.parts.home, tenant)
    event = desk.case_changed(
        "case.added",
        record_id,
        policy=_policy_of(service, tenant).digest(),
        action=action,
        rationale=rationale,
    )
    with _CHANGING:
        cases = [case for case in _read(path) if case.get("text") != text]
        cases.append({"text": text, "action": action, "note": rationale})
        _write(path, cases)
    return {"cases": len(cases), "file": str(path), "event": event.to_dict()}


def remove_case(service: Service, desk: Desk, record_id: str, *, rationale: str) -> dict[str, Any]:
    """Let a record's prompt be a golden case no more.

    Args:
        service: As for :func:`add_case`.
        desk: Likewise.
        record_id: A record with the prompt.
        rationale: Why.

    Returns:
        As for :func:`add_case`.

    Raises:
        RecordNotFound: No such record, or its prompt is no golden case.
        InvalidRequest: No rationale, or the record has no prompt (any more).
        NotPermitted: It takes an investigator, or the record is sealed.
    """
    text, tenant = _prompt_of(desk, record_id)
    path = cases_path(service.pipeline.parts.home, tenant)
    with _CHANGING:
        before = _read(path)
        gone = [case for case in before if case.get("text") == text]
        if not gone:
            raise RecordNotFound(f"the prompt of record {record_id} is no golden case")
        event = desk.case_changed(
            "case.removed",
            record_id,
            policy=_policy_of(service, tenant).digest(),
            action=str(gone[0].get("action")),
            rationale=rationale,
        )
        cases = [case for case in before if case.get("text") != text]
        _write(path, cases)
    return {"cases": len(cases), "file": str(path), "event": event.to_dict()}


def _prompt_of(desk: Desk, record_id: str) -> tuple[str, str]:
    """Return what a record asked for, and its tenant; the look is booked."""
    view = desk.view(record_id)
    first = view.private[0] or {}
    texts = first.get("texts")
    listed = texts if isinstance(texts, list) else [first.get("prompt")]
    text = "\n".join(one for one in listed if isinstance(one, str) and one.strip())
    if not text:
        raise InvalidRequest(f"record {view.records[0].record_id} has no prompt (any more)")
    return text, view.records[0].tenant


def _write(path: Path, cases: list[dict[str, Any]]) -> None:
    document = {"version": str(len(cases)), "cases": cases}
    write_private(path, yaml.safe_dump(document, allow_unicode=True, sort_keys=False).encode())


def run_cases(service: Service, tenant: str, policy: Policy | None = None) -> GoldenReport | None:
    """Judge a tenant's golden cases by a policy (theirs by default); None where there are none."""
    from chopmark.safety.policy_tools import GoldenSet, run_golden

    cases = _read(cases_path(service.pipeline.parts.home, tenant))
    if not cases:
        return None
    golden = GoldenSet.model_validate({"version": "desk", "cases": cases})
    guard: Any = service.pipeline.parts.prompt_guard
    return run_golden(policy or _policy_of(service, tenant), golden, guard)


def _policy_of(service: Service, tenant: str) -> Policy:
    try:
        return service.policy_of(service.store.tenant(tenant))
    except TenantNotFound:
        return service.pipeline.parts.policies.for_tenant(tenant)


def _read(path: Path) -> list[dict[str, Any]]:
    try:
        document = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return []
    cases = document.get("cases") if isinstance(document, dict) else None
    return [case for case in cases or () if isinstance(case, dict)]

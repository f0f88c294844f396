"""The policy workbench: what another policy would change, and what it would have changed.

Nothing is judged again by a model: the scores that were booked with each decision are put to the
other policy, so that a thousand decisions take a moment.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from chopmark.errors import ChopmarkError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from chopmark.audit import AuditLog, Record
    from chopmark.safety import Policy
    from chopmark.safety.policy_tools import Change, GoldenReport

__all__ = ["Difference", "Trial", "changed_by", "newest_decisions", "policy_text", "try_policy"]

_PAGE: Final = 1000
_EXAMPLES: Final = 20


@dataclass(frozen=True, kw_only=True)
class Difference:
    """One decision that would have come out otherwise.

    Attributes:
        record_id: Which.
        was: What was decided: ``allow``, ``review`` or ``block``.
        would_be: What the other policy would have decided.
        categories: Which categories of the stricter one decided it.
    """

    record_id: str
    was: str
    would_be: str
    categories: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Trial:
    """What another policy means for what was decided lately.

    Attributes:
        judged: How many decisions were looked at.
        changed: How often each pair of actions (was, would be) came up.
        by_category: How many changes each category had a part in.
        examples: The newest changes, at most 20.
        changes: What differs in the policies themselves.
        golden: How the golden cases of the desk come out; None where there are none.
    """

    judged: int
    changed: dict[tuple[str, str], int]
    by_category: dict[str, int]
    examples: tuple[Difference, ...]
    changes: Sequence[Change] = ()
    golden: GoldenReport | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return the members for JSON."""
        return {
            "judged": self.judged,
            "changed": sum(self.changed.values()),
            "by_action": [
                {"was": was, "would_be": would_be, "count": count}
                for (was, would_be), count in self.changed.items()
            ],
            "by_category": dict(self.by_category),
            "examples": [vars(one) | {"categories": list(one.categories)} for one in self.examples],
            "changes": [
                {"field": c.field, "before": c.before, "after": c.after, "effect": c.effect}
                for c in self.changes
            ],
            "golden": None if self.golden is None else self.golden.to_dict(),
        }


def policy_text(policy: Policy) -> str:
    """Return a policy as a file of it would stand: YAML, every category named."""
    import yaml

    document = policy.model_dump(mode="json")
    return str(yaml.safe_dump(document, sort_keys=False, allow_unicode=True))


def changed_by(decisions: Iterable[Record], policy: Policy) -> Trial:
    """Judge the booked scores of prompts by another policy; nothing is acted on.

    Args:
        decisions: Their ``request.decided`` entries, the newest first.
        policy: The other one.
    """
    changed: Counter[tuple[str, str]] = Counter()
    by_category: Counter[str] = Counter()
    examples: list[Difference] = []
    judged = 0
    for record in decisions:
        found = _difference(record, policy)
        if found is None:
            continue
        judged += 1
        if found.was == found.would_be:
            continue
        changed[found.was, found.would_be] += 1
        by_category.update(found.categories)
        if len(examples) < _EXAMPLES:
            examples.append(found)
    return Trial(
        judged=judged,
        changed=dict(changed.most_common()),
        by_category=dict(by_category.most_common()),
        examples=tuple(examples),
    )


def try_policy(
    decisions: Iterable[Record],
    before: Policy,
    after: Policy,
    *,
    golden: GoldenReport | None,
) -> Trial:
    """Return what a policy would change, and would have changed."""
    from chopmark.safety.policy_tools import diff

    trial = changed_by(decisions, after)
    return replace(trial, changes=diff(before, after), golden=golden)


def newest_decisions(log: AuditLog, *, tenant: str | None, limit: int) -> list[Record]:
    """Return the last ``request.decided`` entries, of a tenant or of all, the newest first."""
    found: list[Record] = []
    before: int | None = None
    while len(found) < limit:
        page = log.find(
            kind="request.decided",
            tenant=tenant,
            limit=min(_PAGE, limit - len(found)),
            before=before,
        )
        found += page
        if len(page) < min(_PAGE, limit):
            break
        before = page[-1].index
    return found[:limit]


def _difference(record: Record, policy: Policy) -> Difference | None:
    from chopmark.safety import Verdict
    from chopmark.safety.policy_tools import rejudge

    listed = record.public.get("verdicts")
    for booked in listed if isinstance(listed, list) else []:
        scores = booked.get("scores") if isinstance(booked, dict) else None
        if not isinstance(booked, dict) or booked.get("stage") != "prompt":
            continue
        if not isinstance(scores, dict) or not scores:
            continue
        action: Any = booked["action"]
        categories: Any = booked.get("categories") or []
        known = {name: float(score) for name, score in scores.items()}  # type: ignore[arg-type]
        try:
            other = rejudge(
                Verdict(action=action, scores=known, categories=tuple(categories)), policy
            )
        except ChopmarkError:
            return None
        reasons = tuple(dict.fromkeys((*other.categories, *map(str, categories))))
        return Difference(
            record_id=record.record_id, was=str(action), would_be=other.action, categories=reasons
        )
    return None

"""What people do with a policy: check it, read it, compare it, try it on golden cases, shadow it.

>>> from chopmark.safety import load_policy
>>> changes = diff(load_policy("default"), load_policy("strict"))
>>> [change.after for change in changes if change.field == "categories.sexual.prompt.block"]
['0.35']
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from pydantic import BaseModel, ConfigDict, Field

from chopmark.errors import InvalidPolicy
from chopmark.kit.types import Action  # noqa: TC001 - pydantic reads it at run time
from chopmark.safety.categories import CATEGORIES, STAGES, Stage, closest, in_order, worst
from chopmark.safety.policy.load import BUILT_IN, policy_path, read_yaml
from chopmark.safety.policy.schema import CategoryName  # noqa: TC001 - pydantic reads it at run time

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from chopmark.kit.types import JsonValue
    from chopmark.safety.guards import JudgesText
    from chopmark.safety.policy.schema import CategoryRule, Policy, Thresholds
    from chopmark.safety.verdict import Verdict

__all__ = [
    "Change",
    "GoldenCase",
    "GoldenReport",
    "GoldenSet",
    "diff",
    "doubts",
    "golden_path",
    "load_golden",
    "rejudge",
    "run_golden",
    "show",
]

Effect = Literal["stricter", "laxer", "other"]


class GoldenCase(BaseModel):
    """A prompt and what the policy must say about it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    text: str = Field(min_length=1)
    action: Action | tuple[Action, ...]
    categories: tuple[CategoryName, ...] = ()
    note: str = ""

    @property
    def actions(self) -> tuple[Action, ...]:
        """The actions that are right."""
        return self.action if isinstance(self.action, tuple) else (self.action,)


class GoldenSet(BaseModel):
    """The golden cases of a policy, a file beside it: ``default.golden.yaml``."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    version: str
    cases: tuple[GoldenCase, ...] = Field(min_length=1)


@dataclass(frozen=True, kw_only=True)
class Change:
    """One field that differs between two policies; ``""`` for one that is not there."""

    field: str
    before: str
    after: str
    effect: Effect


@dataclass(frozen=True, kw_only=True)
class Failure:
    """A golden case that came out otherwise."""

    case: GoldenCase
    action: Action
    categories: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class GoldenReport:
    """How a policy did on its golden cases."""

    policy: str
    total: int
    failures: tuple[Failure, ...]

    @property
    def ok(self) -> bool:
        """Whether every case came out right."""
        return not self.failures

    def to_dict(self) -> dict[str, JsonValue]:
        """Return the JSON form. The texts are the policy author's own."""
        return {
            "ok": self.ok,
            "policy": self.policy,
            "total": self.total,
            "failures": [
                {
                    "text": one.case.text,
                    "wanted": list(one.case.actions),
                    "wanted_categories": list(one.case.categories),
                    "action": one.action,
                    "categories": list(one.categories),
                }
                for one in self.failures
            ],
        }


def doubts(policy: Policy) -> tuple[str, ...]:
    """Return a sentence for each category that no part of Chopmark scores.

    It may be a plugin's, and then all is well; it may be a misspelling, and then what was meant
    has the default's thresholds.
    """
    named: dict[str, str] = {}
    for name in policy.categories:
        named.setdefault(name, f"categories.{name}")
    for rule in policy.rules:
        for name in (rule.category, *rule.prompt, *rule.here):
            named.setdefault(name, f"the rule {rule.name!r}")
    for entry in policy.allow:
        for name in entry.categories:
            named.setdefault(name, f"the allowed phrase {entry.phrase!r}")
    found = []
    for name in in_order(named):
        if name in CATEGORIES:
            continue
        near = closest(name)
        meant = f"; did you mean {near!r}?" if near else ""
        found.append(
            f"{named[name]}: {name!r} is not one of Chopmark's categories, and is not evaluated"
            f" unless a plugin's guard scores it{meant}"
        )
    return tuple(found)


def show(policy: Policy) -> dict[str, JsonValue]:
    """Return a policy as a plain mapping, with its digest."""
    content: JsonValue = policy.model_dump(mode="json")
    return {"digest": policy.digest(), "policy": content}


def diff(before: Policy, after: Policy) -> tuple[Change, ...]:
    """Return what differs, category by category, and whether it is stricter or laxer."""
    changes: list[Change] = []
    for field in ("name", "version", "description"):
        old, new = getattr(before, field), getattr(after, field)
        if old != new:
            changes.append(Change(field=field, before=old, after=new, effect="other"))
    for name in dict.fromkeys([*before.categories, *after.categories]):
        # What one of them does not name stands under its `other` there.
        changes += _rule(f"categories.{name}", before.rule(name), after.rule(name))
    changes += _rule("other", before.other, after.other)
    changes += _listed(
        "rules",
        {rule.name: rule.model_dump_json() for rule in before.rules},
        {rule.name: rule.model_dump_json() for rule in after.rules},
        added="stricter",
    )
    changes += _listed(
        "allow",
        {entry.phrase: entry.model_dump_json() for entry in before.allow},
        {entry.phrase: entry.model_dump_json() for entry in after.allow},
        added="laxer",
    )
    return tuple(changes)


def _rule(field: str, before: CategoryRule, after: CategoryRule) -> list[Change]:
    changes = []
    if before.floor != after.floor:
        effect: Effect = "stricter" if after.floor else "laxer"
        changes.append(
            Change(
                field=f"{field}.floor",
                before=str(before.floor),
                after=str(after.floor),
                effect=effect,
            )
        )
    if before.ceiling != after.ceiling:
        effect = "stricter" if worst(before.ceiling, after.ceiling) == after.ceiling else "laxer"
        changes.append(
            Change(
                field=f"{field}.ceiling",
                before=before.ceiling,
                after=after.ceiling,
                effect=effect,
            )
        )
    for stage in STAGES:
        old: Thresholds = getattr(before, stage)
        new: Thresholds = getattr(after, stage)
        for kind in ("review", "block"):
            was, now = getattr(old, kind), getattr(new, kind)
            if was == now:
                continue
            lower = now is not None and (was is None or now < was)
            changes.append(
                Change(
                    field=f"{field}.{stage}.{kind}",
                    before="" if was is None else str(was),
                    after="" if now is None else str(now),
                    effect="stricter" if lower else "laxer",
                )
            )
    return changes


def _listed(
    field: str, before: Mapping[str, str], after: Mapping[str, str], *, added: Effect
) -> list[Change]:
    removed: Effect = "laxer" if added == "stricter" else "stricter"
    changes = []
    for name in dict.fromkeys([*before, *after]):
        old, new = before.get(name, ""), after.get(name, "")
        if old != new:
            effect: Effect = "other" if old and new else added if new else removed
            changes.append(Change(field=f"{field}.{name}", before=old, after=new, effect=effect))
    return changes


def golden_path(name_or_path: str | Path) -> Path:
    """Return where a policy's golden cases stand: ``NAME.golden.yaml`` beside ``NAME.yaml``."""
    named = isinstance(name_or_path, str) and name_or_path in BUILT_IN
    path = policy_path(str(name_or_path)) if named else Path(name_or_path)
    return path.with_name(f"{path.stem}.golden.yaml")


def load_golden(path: Path) -> GoldenSet:
    """Read golden cases.

    Raises:
        InvalidPolicy: With file, line and field.
    """
    return read_yaml(path, GoldenSet)


def run_golden(
    policy: Policy, golden: GoldenSet, guard: JudgesText, *, stage: Stage = "prompt"
) -> GoldenReport:
    """Judge every golden case and say which came out otherwise.

    Raises:
        GuardFailed: A case could not be judged.
    """
    failures = []
    for case in golden.cases:
        verdict = guard.judge(case.text, policy, stage=stage)
        found = set(verdict.categories)
        if verdict.action not in case.actions or not found >= set(case.categories):
            failures.append(
                Failure(case=case, action=verdict.action, categories=verdict.categories)
            )
    return GoldenReport(policy=policy.digest(), total=len(golden.cases), failures=tuple(failures))


def rejudge(
    verdict: Verdict,
    policy: Policy,
    *,
    stage: Stage = "prompt",
    prompt_verdict: Verdict | None = None,
) -> Verdict:
    """Return what another policy makes of the same scores; no model runs again.

    This is a shadow policy: judged beside the active one, logged, never acted on. What no policy
    decides stays as it is: a match on a hash list blocks, a script that no model reads is reviewed.
    An allow-list of the other policy is not applied, since the scores were made without it.

    Raises:
        InvalidPolicy: The verdict has no scores to judge.
    """
    if not verdict.scores:
        raise InvalidPolicy("a verdict without scores cannot be judged again")
    decision = policy.decide(
        {
            name: score
            for name, score in verdict.scores.items()
            if name not in verdict.not_evaluated
        },
        stage=stage,
        prompt_scores=None if prompt_verdict is None else prompt_verdict.scores,
        people=verdict.people,
    )
    forced: Sequence[Action] = [
        "block" if item.kind == "hash" else "review"
        for item in verdict.evidence
        if item.kind == "hash" or (item.kind == "rule" and item.detail.startswith("a script"))
    ]
    action = worst(decision.action, *forced)
    same = action == decision.action
    return replace(
        verdict,
        action=action,
        scores=dict(verdict.scores),
        categories=decision.categories if same else verdict.categories,
        policy=policy.digest(),
        elapsed_ms=0.0,
    )

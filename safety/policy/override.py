"""A tenant's changes to a policy. What the policy marks as a floor they can only make stricter."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from pydantic import ValidationError

from chopmark.errors import InvalidPolicy
from chopmark.safety.categories import STAGES, worst
from chopmark.safety.policy.load import read_yaml
from chopmark.safety.policy.schema import (
    AllowEntry,
    CategoryChange,
    CategoryRule,
    Policy,
    PolicyOverride,
    Thresholds,
)

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["apply_override", "load_override"]

_HINT: Final[str] = "a floor may be made stricter (a lower threshold), never laxer"


def load_override(path: Path) -> PolicyOverride:
    """Read an override from YAML.

    Raises:
        InvalidPolicy: With file, line and field.
    """
    return read_yaml(path, PolicyOverride)


def apply_override(base: Policy, override: PolicyOverride) -> Policy:
    """Return the policy that a tenant is judged by; its digest is that of the result.

    Raises:
        InvalidPolicy: The override names a category laxer than a floor, lists an allowed phrase for
            a floor, or gives a rule the name of one that exists.
    """
    # A category that the policy does not name was under `other` until now, floor included.
    categories = dict(base.categories) | {
        name: _changed(name, base.rule(name), change)
        for name, change in override.categories.items()
    }
    other = _changed("other", base.other, override.other)
    for entry in override.allow:
        _allowed(base, entry)
    names = {rule.name for rule in base.rules}
    for rule in override.rules:
        if rule.name in names:
            raise InvalidPolicy(
                f"{override.name}: the rule {rule.name!r} exists in the policy", hint="rename it"
            )
    return _rebuilt(base, override, categories, other)


def _changed(name: str, before: CategoryRule, change: CategoryChange) -> CategoryRule:
    """Return a rule with an override's changes.

    Raises:
        InvalidPolicy: It is a floor, and the change would be laxer.
    """
    after = before.model_copy(
        update={
            "floor": before.floor or change.floor,
            "ceiling": change.ceiling or before.ceiling,
            **{
                stage: _merged(name, getattr(before, stage), getattr(change, stage))
                for stage in STAGES
            },
        }
    )
    if before.floor:
        _not_laxer(name, before, after)
    return after


def _merged(name: str, before: Thresholds, change: Thresholds) -> Thresholds:
    given = {kind: getattr(change, kind) for kind in change.model_fields_set}
    try:
        return Thresholds.model_validate(before.model_dump() | given)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        raise InvalidPolicy(f"{name}: {first['msg']}", hint="name both thresholds") from error


def _rebuilt(
    base: Policy,
    override: PolicyOverride,
    categories: dict[str, CategoryRule],
    other: CategoryRule,
) -> Policy:
    raw: dict[str, Any] = base.model_dump()
    raw["name"] = f"{base.name}.{override.name}"
    raw["categories"] = {name: rule.model_dump() for name, rule in categories.items()}
    raw["other"] = other.model_dump()
    raw["rules"] = [rule.model_dump() for rule in (*base.rules, *override.rules)]
    raw["allow"] = [entry.model_dump() for entry in (*base.allow, *override.allow)]
    try:
        return Policy.model_validate(raw)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        field = ".".join(str(part) for part in first["loc"])
        raise InvalidPolicy(f"{override.name}: {field}: {first['msg']}", hint=_HINT) from error


def _not_laxer(name: str, before: CategoryRule, after: CategoryRule) -> None:
    if worst(before.ceiling, after.ceiling) != after.ceiling:
        raise InvalidPolicy(f"{name} is a floor: its ceiling stays {before.ceiling}", hint=_HINT)
    for stage in STAGES:
        old: Thresholds = getattr(before, stage)
        new: Thresholds = getattr(after, stage)
        for kind in ("review", "block"):
            was, now = getattr(old, kind), getattr(new, kind)
            if was is not None and (now is None or now > was):
                raise InvalidPolicy(
                    f"{name} is a floor: {stage}.{kind} is {was} and cannot become {now}",
                    hint=_HINT,
                )


def _allowed(base: Policy, entry: AllowEntry) -> None:
    for name in entry.categories:
        if base.rule(name).floor:
            raise InvalidPolicy(
                f"{name} is a floor: {entry.phrase!r} cannot be allowed for it", hint=_HINT
            )

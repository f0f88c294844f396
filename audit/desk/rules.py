"""Routing rules: which ended records go to which queue, and where from there."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from chopmark.errors import ConfigurationError, InvalidRequest

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from chopmark.audit.search.query import Ending, Hit

__all__ = ["ESCALATED", "Rule", "escalation_of", "load_rules", "share_of"]

ESCALATED: Final = "escalated"
"""Where an escalated task goes when no rule says otherwise."""
_MAX_RULES: Final = 256 * 1024


@dataclass(frozen=True, kw_only=True)
class Rule:
    """Sends ended records to a queue; every member that is given must hold.

    Attributes:
        queue: Where to.
        priority: Larger comes first.
        escalate_to: Where its tasks go when a reviewer escalates them; None is ``escalated``.
        second_opinions: The share of its tasks that somebody else decides on as well, 0 to 1.
    """

    queue: str
    priority: int = 0
    decision: Ending | None = None
    category: str | None = None
    min_score: float | None = None
    tenant: str | None = None
    escalate_to: str | None = None
    second_opinions: float | None = None

    def __post_init__(self) -> None:
        """Check the queue's name and the share."""
        if not self.queue.strip():
            raise InvalidRequest("a routing rule names a queue")
        if self.second_opinions is not None and not 0 <= self.second_opinions <= 1:
            raise InvalidRequest("second_opinions is a share from 0 to 1")

    def matches(self, hit: Hit) -> bool:
        """Tell whether the rule sends this record on."""
        score = hit.score if self.category is None else hit.categories.get(self.category, -1.0)
        return (
            self.decision in {None, hit.decision}
            and self.tenant in {None, hit.tenant}
            and (self.category is None or self.category in hit.categories)
            and (self.min_score is None or score >= self.min_score)
        )


DEFAULT_RULES: Final[tuple[Rule, ...]] = (Rule(queue="review", decision="review"),)


def load_rules(path: Path | None, *, second_opinions: float = 0.0) -> tuple[Rule, ...]:
    """Read routing rules from a YAML list; without a file, what is to be reviewed is queued.

    >>> load_rules(None)[0].queue
    'review'

    Args:
        path: The file.
        second_opinions: The share for rules that name none.

    Raises:
        ConfigurationError: The file cannot be read, or is not a list of rules.
    """
    rules = DEFAULT_RULES if path is None else _read(path)
    return tuple(
        replace(rule, second_opinions=second_opinions) if rule.second_opinions is None else rule
        for rule in rules
    )


def _read(path: Path) -> tuple[Rule, ...]:
    import yaml

    try:
        with path.open("rb") as file:
            listed: Any = yaml.safe_load(file.read(_MAX_RULES))
        if not isinstance(listed, list):
            raise ConfigurationError(f"{path} is not a list of routing rules")
        return tuple(Rule(**_checked(item)) for item in listed)
    except (OSError, UnicodeDecodeError, yaml.YAMLError, TypeError, InvalidRequest) as error:
        wrong = error.message if isinstance(error, InvalidRequest) else str(error).splitlines()[0]
        raise ConfigurationError(
            f"{path}: {wrong}",
            hint="a list of mappings: queue, priority, decision, category, min_score, tenant,"
            " escalate_to, second_opinions",
        ) from None


def _checked(item: Any) -> dict[str, Any]:
    """Return a rule's members when each is of its type."""
    kinds: dict[str, type | tuple[type, ...]] = {
        "queue": str,
        "priority": int,
        "decision": str,
        "category": str,
        "min_score": (int, float),
        "tenant": str,
        "escalate_to": str,
        "second_opinions": (int, float),
    }
    if not isinstance(item, dict):
        raise TypeError("a rule is a mapping")
    for name, value in item.items():
        if name in kinds and not isinstance(value, kinds[name]):
            raise TypeError(f"{name} cannot be {value!r}")
    if item.get("decision", "block") not in {"allow", "review", "block", "failed"}:
        raise TypeError(f"decision cannot be {item['decision']!r}")
    return item


def escalation_of(rules: Iterable[Rule], queue: str) -> str:
    """Return the queue after a queue, for what its reviewers escalate."""
    named = (rule.escalate_to for rule in rules if rule.queue == queue and rule.escalate_to)
    return next(named, ESCALATED)


def share_of(rules: Iterable[Rule], queue: str) -> float:
    """Return the share of a queue's tasks that somebody else decides on as well."""
    named = (rule.second_opinions for rule in rules if rule.queue == queue and rule.second_opinions)
    return next(named, 0.0)

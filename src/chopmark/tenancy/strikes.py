"""Strikes: what a person's refusals weigh today, by the rules of their tenant.

>>> from chopmark.tenancy.abuse_rules import load_abuse
>>> rules = load_abuse("abuse").strikes
>>> day = "2026-01-01T00:00:00.000000Z"
>>> round(strikes(rules, [(day, ("hate",)), (day, ("hate",))], at="2026-01-31T00:00:00.000000Z"), 3)
1.0
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from chopmark.tenancy.abuse_rules import StrikeLevel, StrikeRules

__all__ = ["crossed", "strikes", "weight"]

_DAY_S = 86_400.0


def weight(rules: StrikeRules, time: str, categories: Iterable[str], *, at: str) -> float:
    """Return what one refusal weighs.

    Args:
        rules: The tenant's.
        time: When it was, RFC 3339.
        categories: What for.
        at: The moment that it is asked for, RFC 3339.
    """
    heaviest = max((rules.weights.get(name, 1.0) for name in categories), default=1.0)
    age_s = (datetime.fromisoformat(at) - datetime.fromisoformat(time)).total_seconds()
    return float(heaviest * 0.5 ** (max(age_s, 0.0) / _DAY_S / rules.half_life_days))


def strikes(rules: StrikeRules, refusals: Iterable[tuple[str, Iterable[str]]], *, at: str) -> float:
    """Return the sum of what refusals (time, categories) weigh at a moment."""
    return sum(weight(rules, time, categories, at=at) for time, categories in refusals)


def crossed(rules: StrikeRules, *, before: float, after: float) -> StrikeLevel | None:
    """Return the highest level that a refusal has brought a person to, None for none.

    Only what is crossed has a consequence: whoever stays above a level is not warned each time.
    """
    reached = [level for level in rules.levels if before < level.at_least <= after]
    return max(reached, key=lambda level: level.at_least, default=None)

"""How far two people who decide on the same record agree: Cohen's kappa, with its interval.

Sources: J. Cohen, "A coefficient of agreement for nominal scales", Educational and Psychological
Measurement 20 (1960); the standard error of J. L. Fleiss, J. Cohen and B. S. Everitt, "Large sample
standard errors of kappa and weighted kappa", Psychological Bulletin 72 (1969), equation 13. First
and second opinions are the two raters, whoever gave them.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from math import sqrt
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from chopmark.kit.types import JsonValue

__all__ = ["Agreement", "cohens_kappa"]

_DECISIONS: Final = ("confirmed", "overturned")
_Z95: Final = 1.959964


def cohens_kappa(table: Counter[tuple[str, str]]) -> tuple[float, float] | None:
    """Return kappa and its standard error.

    >>> kappa, error = cohens_kappa(Counter({("a", "a"): 20, ("a", "b"): 5, ("b", "a"): 10,
    ...                                      ("b", "b"): 15}))
    >>> round(kappa, 3), round(error, 3)
    (0.4, 0.127)

    Args:
        table: How often the first rater said the one, and the second the other.

    Returns:
        Kappa, from -1 to 1, and the error; None where there is nothing, or chance alone agrees
        always (both said the same one thing throughout).
    """
    n = sum(table.values())
    if not n:
        return None
    names = sorted({name for pair in table for name in pair})
    share = {pair: count / n for pair, count in table.items()}
    rows = {a: sum(share.get((a, b), 0.0) for b in names) for a in names}
    columns = {b: sum(share.get((a, b), 0.0) for a in names) for b in names}
    observed = sum(share.get((name, name), 0.0) for name in names)
    expected = sum(rows[name] * columns[name] for name in names)
    if 1 - expected < 1e-12:
        return None
    kappa = (observed - expected) / (1 - expected)
    agreeing = sum(
        share.get((a, a), 0.0) * (1 - (rows[a] + columns[a]) * (1 - kappa)) ** 2 for a in names
    )
    differing = (1 - kappa) ** 2 * sum(
        share.get((a, b), 0.0) * (columns[a] + rows[b]) ** 2 for a in names for b in names if a != b
    )
    middle = (kappa - expected * (1 - kappa)) ** 2
    return kappa, sqrt(max(0.0, agreeing + differing - middle) / n) / (1 - expected)


@dataclass(kw_only=True)
class Agreement:
    """First and second opinions, counted.

    Attributes:
        table: First and second decision, and how often.
        passed_on: Second opinions that were none: passed on to somebody else.
    """

    table: Counter[tuple[str, str]] = field(default_factory=Counter)
    passed_on: int = 0

    def count(self, first: str, second: str, *, times: int = 1) -> None:
        """Count a pair of decisions."""
        if first in _DECISIONS and second in _DECISIONS:
            self.table[first, second] += times
        else:
            self.passed_on += times

    def to_dict(self) -> dict[str, JsonValue]:
        """Return the members for JSON: counts, kappa and its 95 % interval; None for no figure."""
        n, found = sum(self.table.values()), cohens_kappa(self.table)
        kappa, interval = None, None
        if found is not None:
            kappa, error = found
            interval = [
                round(max(-1.0, kappa - _Z95 * error), 3),
                round(min(1.0, kappa + _Z95 * error), 3),
            ]
        return {
            "n": n,
            "agreed": sum(self.table[name, name] for name in _DECISIONS),
            "kappa": None if kappa is None else round(kappa, 3),
            "interval": list(interval) if interval else None,
            "table": {
                first: {second: self.table[first, second] for second in _DECISIONS}
                for first in _DECISIONS
            },
            "passed_on": self.passed_on,
        }

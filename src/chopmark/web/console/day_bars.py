"""How many requests a person made each day, as bars: drawn here, so that no script is needed."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

__all__ = ["Bar", "DayBars", "day_bars"]

_DAYS: Final = 30
_HEIGHT: Final = 100
_STEP: Final = 10
# From the bottom up.
_KINDS: Final[tuple[tuple[Literal["made", "refused", "away"], tuple[str, ...]], ...]] = (
    ("made", ("allow", "review")),
    ("refused", ("block",)),
    ("away", ("failed", "turned_away")),
)


@dataclass(frozen=True, kw_only=True)
class Bar:
    """A part of a day's bar, in the units of :class:`DayBars`."""

    kind: Literal["made", "refused", "away"]
    x: int
    y: float
    height: float
    width: int = _STEP - 2


@dataclass(frozen=True, kw_only=True)
class DayBars:
    """The bars of the last days; ``most`` is what the highest of them stands for."""

    bars: tuple[Bar, ...]
    most: int
    days: int = _DAYS
    width: int = _DAYS * _STEP
    height: int = _HEIGHT


def day_bars(days: Iterable[Mapping[str, Any]], *, today: dt.date) -> DayBars:
    """Return the bars of the thirty days up to ``today``.

    Args:
        days: ``day`` (ISO 8601) and a count for each way in which requests ended.
        today: The last day, in UTC.

    >>> bars = day_bars([{"day": "2026-05-02", "allow": 3, "block": 1}], today=dt.date(2026, 5, 2))
    >>> [(bar.kind, bar.x, bar.y, bar.height) for bar in bars.bars]
    [('made', 290, 25.0, 75.0), ('refused', 290, 0.0, 25.0)]
    """
    counts = {
        dt.date.fromisoformat(str(day["day"])): {
            kind: sum(int(day.get(name, 0)) for name in names) for kind, names in _KINDS
        }
        for day in days
    }
    shown = [counts.get(today - dt.timedelta(days=back), {}) for back in reversed(range(_DAYS))]
    most = max((sum(day.values()) for day in shown), default=0)
    bars: list[Bar] = []
    for place, day in enumerate(shown):
        top = float(_HEIGHT)
        for kind, _ in _KINDS:
            height = _HEIGHT * day.get(kind, 0) / most if most else 0.0
            if height:
                top -= height
                bars.append(Bar(kind=kind, x=place * _STEP, y=top, height=height))
    return DayBars(bars=tuple(bars), most=most)

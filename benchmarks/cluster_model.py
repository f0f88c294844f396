"""A picture's way through a cluster as a network of queues, in simulated time.

>>> stations = {"log": Station(servers=1, batch=2000, each_s=0.0001, round_s=0.004)}
>>> run(stations, ["log"], arrivals(rate=100.0, seconds=5.0, seed=1)).done > 400
True
"""

from __future__ import annotations

import heapq
import itertools
import random
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

__all__ = ["Ran", "Station", "arrivals", "callers", "run"]

_NEVER: Final = float("inf")


@dataclass
class Station:
    """Servers that take work in its order.

    Attributes:
        servers: How many work at once.
        each_s: Seconds for one piece.
        round_s: Seconds for a round of pieces besides, which are begun and ended together.
        batch: Pieces of one round at most.
        busy_s: Seconds of all servers together that were worked.
    """

    servers: int
    each_s: float
    round_s: float = 0.0
    batch: int = 1
    busy_s: float = 0.0
    line: deque[int] = field(default_factory=deque)
    free: int = 0


@dataclass(frozen=True)
class Ran:
    """What a run came to.

    Attributes:
        done: Pictures that left.
        rate: Pictures a second, of those in the second half of the run.
        mean_s: Mean time in the cluster, of the same.
        p50_s: Median time in the cluster, of the same.
        p95_s: The time that 95 % needed less than.
        used: How much of its time each station worked, 0 to 1.
        waiting: Pictures in the cluster at the end.
    """

    done: int
    rate: float
    mean_s: float
    p50_s: float
    p95_s: float
    used: dict[str, float]
    waiting: int


def arrivals(*, rate: float, seconds: float, seed: int) -> Iterator[float]:
    """Yield when strangers ask who do not wait for each other (a Poisson process)."""
    chance, now = random.Random(seed), 0.0
    while (now := now + chance.expovariate(rate)) < seconds:
        yield now


def callers(number: int) -> list[float]:
    """Return when so many begin who ask again as soon as they are answered: all at once."""
    return [0.0] * number


def run(
    stations: Mapping[str, Station],
    way: Sequence[str],
    starts: Iterator[float] | list[float],
    *,
    again: bool = False,
    seconds: float = _NEVER,
) -> Ran:
    """Send pictures through the stations.

    Args:
        stations: By name; their counters are those of this run afterwards.
        way: Names of stations in the order in which a picture meets them.
        starts: Seconds at which each picture comes, ascending.
        again: Whether a picture that leaves is followed by another at once.
        seconds: When to stop; by itself once every picture has left.
    """
    for station in stations.values():
        station.free, station.busy_s = station.servers, 0.0
        station.line.clear()
    number = itertools.count()
    came: dict[int, float] = {}
    place: dict[int, int] = {}
    left: list[tuple[float, float]] = []
    # Moment, a number that keeps the order, station ("" for an arrival), pieces.
    events: list[tuple[float, int, str, tuple[int, ...]]] = []

    def begin(name: str, now: float) -> None:
        station = stations[name]
        while station.free and station.line:
            count = min(station.batch, len(station.line))
            taken = tuple(station.line.popleft() for _ in range(count))
            needs = station.round_s + count * station.each_s
            station.free -= 1
            station.busy_s += needs
            heapq.heappush(events, (now + needs, next(number), name, taken))

    def enter(picture: int, now: float) -> None:
        came[picture], place[picture] = now, 0
        stations[way[0]].line.append(picture)
        begin(way[0], now)

    coming = iter(starts)
    pictures, now = itertools.count(), 0.0
    upcoming = next(coming, _NEVER)
    while events or upcoming < _NEVER:
        if upcoming <= (events[0][0] if events else _NEVER):
            now = upcoming
            if now > seconds:
                break
            enter(next(pictures), now)
            upcoming = next(coming, _NEVER)
            continue
        now, _, name, done = heapq.heappop(events)
        if now > seconds:
            now = seconds
            break
        stations[name].free += 1
        touched = {name}
        for picture in done:
            place[picture] += 1
            if place[picture] < len(way):
                to = way[place[picture]]
                stations[to].line.append(picture)
                touched.add(to)
                continue
            left.append((now, now - came.pop(picture)))
            if again:
                enter(next(pictures), now)
        for to in sorted(touched):
            begin(to, now)
    return _counted(stations, left, now, waiting=len(came))


def _counted(
    stations: Mapping[str, Station], left: list[tuple[float, float]], end: float, *, waiting: int
) -> Ran:
    half = [one for one in left if one[0] > end / 2]
    times = sorted(took for _, took in half) or [0.0]
    return Ran(
        done=len(left),
        rate=len(half) / (end / 2) if end else 0.0,
        mean_s=sum(times) / len(times),
        p50_s=times[len(times) // 2],
        p95_s=times[int(len(times) * 0.95)],
        used={name: station.busy_s / (end * station.servers) for name, station in stations.items()},
        waiting=waiting,
    )

"""Who was refused too often lately, who tries a refused prompt in small changes, and what follows.

Only people that the tenant names are counted (``safety_identifier`` or ``user``). Everybody behind
one key counted as one would let a single person shut out all the others. Counts are in memory: a
server that starts again starts without them.
"""

from __future__ import annotations

import hashlib
import math
import threading
import time
from collections import OrderedDict, deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from chopmark.errors import CoolingDown

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    import numpy as np
    from numpy.typing import NDArray

    from chopmark.tenancy.abuse_rules import AbuseRule, AbuseRules, Counts

__all__ = ["AbuseCounts"]

_MOST_PEOPLE: Final = 100_000
#: Prompts of one person that are remembered, newest first: vectors and digests, never the text.
_MOST_PROMPTS: Final = 20
_MOST_EVENTS: Final = 10_000


@dataclass(frozen=True, slots=True)
class _Refused:
    at: float
    digest: bytes
    vector: NDArray[np.float32]


@dataclass(slots=True)
class _Person:
    events: deque[tuple[float, Counts, frozenset[str]]] = field(
        default_factory=lambda: deque(maxlen=_MOST_EVENTS)
    )
    prompts: deque[_Refused] = field(default_factory=lambda: deque(maxlen=_MOST_PROMPTS))
    until: float = 0.0
    review_until: float = 0.0
    queue: str = ""


class AbuseCounts:
    """Counts per person; who has been quiet longest is forgotten first.

    Args:
        embed: Vector of unit length for a prompt; called only for people who were refused before.
        on_rule: Called with each rule that comes to hold.
        clock: Seconds.
    """

    def __init__(
        self,
        embed: Callable[[str], NDArray[np.float32]],
        *,
        on_rule: Callable[[AbuseRule], None] = lambda _: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._embed = embed
        self._on_rule = on_rule
        self._clock = clock
        self._lock = threading.Lock()
        self._people: OrderedDict[str, _Person] = OrderedDict()

    def check(self, subject: str, rules: AbuseRules, prompt: str) -> None:
        """Let a person's request pass, or turn it away.

        Raises:
            CoolingDown: They must wait; also when this very request makes them.
        """
        with self._lock:
            person = self._people.get(subject)
            known = tuple(person.prompts) if person else ()
        if person is None:
            return
        self._turn_away(person)
        probing = [rule for rule in rules.rules if rule.counts == "probes"]
        if not (known and probing and prompt.strip()):
            return
        vector, digest = self._embed(prompt), _digest(prompt)
        now, longest = self._clock(), max(rule.within_minutes for rule in probing) * 60
        near = [one for one in known if one.at > now - longest]
        if any(one.digest == digest for one in near):
            return  # the very same prompt is a refusal again, not a change of it
        distance = min((1 - float(vector @ one.vector) for one in near), default=math.inf)
        if distance < max(rule.distance for rule in probing):
            with self._lock:
                self._count(person, rules, "probes", frozenset(), distance=distance)
            self._turn_away(person)

    def refused(
        self, subject: str, rules: AbuseRules, prompt: str, categories: Iterable[str]
    ) -> None:
        """Count a refusal, and remember what was refused."""
        probing = any(rule.counts == "probes" for rule in rules.rules)
        vector = self._embed(prompt) if probing and prompt.strip() else None
        with self._lock:
            person = self._people.setdefault(subject, _Person())
            self._people.move_to_end(subject)
            if len(self._people) > _MOST_PEOPLE:
                self._people.popitem(last=False)
            if vector is not None:
                person.prompts.append(_Refused(self._clock(), _digest(prompt), vector))
            self._count(person, rules, "refusals", frozenset(categories))

    def queue_of(self, subject: str) -> str | None:
        """Return the queue that a person's requests go to now; ``None`` for almost everybody."""
        with self._lock:
            person = self._people.get(subject)
        if person is None or self._clock() >= person.review_until:
            return None
        return person.queue

    def _turn_away(self, person: _Person) -> None:
        left = person.until - self._clock()
        if left > 0:
            raise CoolingDown(
                "too many requests of this person were refused, or were changes of a refused one",
                hint=f"wait {math.ceil(left)} s; other people of the tenant are not affected",
                retry_after_s=left,
            )

    def _count(
        self,
        person: _Person,
        rules: AbuseRules,
        what: Counts,
        categories: frozenset[str],
        *,
        distance: float = 0.0,
    ) -> None:
        """Count one event and see which rules hold now; a wait is an event of its own."""
        now = self._clock()
        person.events.append((now, what, categories))
        for rule in rules.rules:
            if rule.counts != what or (what == "probes" and distance >= rule.distance):
                continue
            since = now - 60 * rule.within_minutes
            counted = sum(
                at > since and kind == what and (not rule.categories or bool(rule.categories & why))
                for at, kind, why in person.events
            )
            if counted < rule.at_least:
                continue
            self._on_rule(rule)
            if rule.then == "review":
                person.review_until, person.queue = now + 60 * rule.minutes, rule.queue
            else:
                person.until = max(person.until, now + 60 * rule.minutes)
                # What led to this wait does not lead to the next one as well.
                others = [event for event in person.events if event[1] != what]
                person.events = deque(others, maxlen=_MOST_EVENTS)
                self._count(person, rules, "waits", frozenset())


def _digest(prompt: str) -> bytes:
    return hashlib.sha256(" ".join(prompt.lower().split()).encode()).digest()

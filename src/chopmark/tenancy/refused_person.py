"""What is remembered of one person who was refused: two documents of a keeper.

What was refused is in one of its own, since it is forgotten sooner.
"""

from __future__ import annotations

import base64
import json
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, cast

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from chopmark.tenancy.abuse_rules import AbuseRule, AbuseRules, Counts

__all__ = ["RefusedPerson", "RefusedPrompt", "prompts_of", "prompts_to_bytes"]

#: Prompts of one person that are remembered, newest first: vectors and digests, never the text.
_MOST_PROMPTS: Final = 20
_MOST_EVENTS: Final = 10_000
# A distance of 0.25 is told from 0.26 with a quarter of float32's digits.
_KEPT_AS: Final = "<f2"


@dataclass(frozen=True, slots=True)
class RefusedPrompt:
    """When a prompt was refused, its digest, and its vector of unit length."""

    at: float
    digest: bytes
    vector: NDArray[np.float32]


@dataclass(slots=True)
class RefusedPerson:
    """Counts of one person.

    Attributes:
        events: When, what, and in which categories.
        until: They wait until then.
        review_until: Their requests go to ``queue`` until then.
        queue: Of the desk.
    """

    events: deque[tuple[float, Counts, frozenset[str]]] = field(
        default_factory=lambda: deque(maxlen=_MOST_EVENTS)
    )
    until: float = 0.0
    review_until: float = 0.0
    queue: str = ""

    def count(
        self,
        rules: AbuseRules,
        what: Counts,
        categories: frozenset[str],
        *,
        now: float,
        holds: Callable[[AbuseRule], None],
        distance: float = 0.0,
    ) -> None:
        """Count one event and see which rules hold now; a wait is an event of its own.

        Args:
            rules: The tenant's.
            what: Kind of event.
            categories: Of a refusal.
            now: When.
            holds: Called with each rule that comes to hold.
            distance: Of a probe.
        """
        self.events.append((now, what, categories))
        for rule in rules.rules:
            if rule.counts != what or (what == "probes" and distance >= rule.distance):
                continue
            since = now - 60 * rule.within_minutes
            counted = sum(
                at > since and kind == what and (not rule.categories or bool(rule.categories & why))
                for at, kind, why in self.events
            )
            if counted < rule.at_least:
                continue
            holds(rule)
            if rule.then == "review":
                self.review_until, self.queue = now + 60 * rule.minutes, rule.queue
            else:
                self.until = max(self.until, now + 60 * rule.minutes)
                # What led to this wait does not lead to the next one as well.
                others = [event for event in self.events if event[1] != what]
                self.events = deque(others, maxlen=_MOST_EVENTS)
                self.count(rules, "waits", frozenset(), now=now, holds=holds)

    def to_bytes(self, *, since: float) -> bytes:
        """Return it as JSON, without what happened before ``since``."""
        return json.dumps(
            {
                "events": [[at, what, sorted(why)] for at, what, why in self.events if at > since],
                "until": self.until,
                "review_until": self.review_until,
                "queue": self.queue,
            },
            separators=(",", ":"),
        ).encode()

    @classmethod
    def of_bytes(cls, text: bytes | None) -> RefusedPerson:
        """Return what :meth:`to_bytes` made; somebody new where there is nothing."""
        if text is None:
            return cls()
        told = json.loads(text)
        person = cls(until=told["until"], review_until=told["review_until"], queue=told["queue"])
        for at, what, why in told["events"]:
            person.events.append((at, cast("Counts", what), frozenset(why)))
        return person


def prompts_to_bytes(prompts: list[RefusedPrompt], *, since: float) -> bytes:
    """Return the newest prompts as JSON, without those of before ``since``."""
    kept = [one for one in prompts if one.at > since][-_MOST_PROMPTS:]
    return json.dumps([[one.at, one.digest.hex(), _text(one.vector)] for one in kept]).encode()


def prompts_of(text: bytes | None, *, since: float) -> list[RefusedPrompt]:
    """Return what :func:`prompts_to_bytes` made, without those of before ``since``."""
    return [
        RefusedPrompt(at, bytes.fromhex(digest), _vector(vector))
        for at, digest, vector in json.loads(text or b"[]")
        if at > since
    ]


def _text(vector: NDArray[np.float32]) -> str:
    return base64.b64encode(vector.astype(_KEPT_AS).tobytes()).decode()


def _vector(text: str) -> NDArray[np.float32]:
    return np.frombuffer(base64.b64decode(text), _KEPT_AS).astype(np.float32)

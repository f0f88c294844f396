"""Who was refused too often lately, who tries a refused prompt in small changes, and what follows.

Only people that the tenant names are counted (``safety_identifier`` or ``user``). Everybody behind
one key counted as one would let a single person shut out all the others.
"""

from __future__ import annotations

import hashlib
import math
from typing import TYPE_CHECKING, Final

from chopmark.errors import CoolingDown
from chopmark.tenancy.refused_person import (
    RefusedPerson,
    RefusedPrompt,
    prompts_of,
    prompts_to_bytes,
)
from chopmark.tenancy.shared_state import MemoryState, digest_name

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    import numpy as np
    from numpy.typing import NDArray

    from chopmark.tenancy.abuse_rules import AbuseRule, AbuseRules, Counts
    from chopmark.tenancy.shared_state import SharedState

__all__ = ["AbuseCounts"]

_KIND: Final = "refused-person"
_PROMPTS: Final = "refused-prompts"


class AbuseCounts:
    """Counts per person.

    Args:
        embed: Vector of unit length for a prompt; called only for people who were refused before.
        on_rule: Called with each rule that comes to hold.
        state: Where they are counted; in memory where it is not given.
    """

    def __init__(
        self,
        embed: Callable[[str], NDArray[np.float32]],
        *,
        on_rule: Callable[[AbuseRule], None] = lambda _: None,
        state: SharedState | None = None,
    ) -> None:
        self._embed = embed
        self._on_rule = on_rule
        self._state = state or MemoryState()

    def check(self, subject: str, rules: AbuseRules, prompt: str) -> None:
        """Let a person's request pass, or turn it away.

        Raises:
            CoolingDown: They must wait; also when this very request makes them.
            DatabaseUnavailable: It cannot be told.
        """
        name = digest_name(subject)
        known = self._state.read(_KIND, name)
        if known is None:
            return
        self._turn_away(RefusedPerson.of_bytes(known))
        probing = _probing(rules)
        if not (probing and prompt.strip()):
            return
        since = self._state.clock() - _longest_s(probing)
        near = prompts_of(self._state.read(_PROMPTS, name), since=since)
        if not near:
            return
        vector, digest = self._embed(prompt), _digest(prompt)
        if any(one.digest == digest for one in near):
            return  # the very same prompt is a refusal again, not a change of it
        distance = min(1 - float(vector @ one.vector) for one in near)
        if distance < max(rule.distance for rule in probing):
            person = self._count(subject, rules, "probes", frozenset(), distance=distance)
            self._turn_away(person)

    def refused(
        self, subject: str, rules: AbuseRules, prompt: str, categories: Iterable[str]
    ) -> None:
        """Count a refusal, and remember what was refused.

        Raises:
            DatabaseUnavailable: It could not be counted.
        """
        probing = _probing(rules)
        if probing and prompt.strip():
            now, longest_s = self._state.clock(), _longest_s(probing)
            new = RefusedPrompt(now, _digest(prompt), self._embed(prompt))

            def remembered(known: bytes | None) -> bytes:
                older = prompts_of(known, since=now - longest_s)
                return prompts_to_bytes([*older, new], since=now - longest_s)

            self._state.change(_PROMPTS, digest_name(subject), remembered, keep_s=longest_s)
        self._count(subject, rules, "refusals", frozenset(categories))

    def queue_of(self, subject: str) -> str | None:
        """Return the queue that a person's requests go to now; ``None`` for almost everybody.

        Raises:
            DatabaseUnavailable: It cannot be told.
        """
        known = self._state.read(_KIND, digest_name(subject))
        person = RefusedPerson.of_bytes(known)
        return person.queue if self._state.clock() < person.review_until else None

    def _turn_away(self, person: RefusedPerson) -> None:
        left = person.until - self._state.clock()
        if left > 0:
            raise CoolingDown(
                "too many requests of this person were refused, or were changes of a refused one",
                hint=f"wait {math.ceil(left)} s; other people of the tenant are not affected",
                retry_after_s=left,
            )

    def _count(
        self,
        subject: str,
        rules: AbuseRules,
        what: Counts,
        categories: frozenset[str],
        *,
        distance: float = 0.0,
    ) -> RefusedPerson:
        if not rules.rules:
            return RefusedPerson()
        now = self._state.clock()
        longest_s = 60.0 * max(max(rule.within_minutes, rule.minutes) for rule in rules.rules)
        held: list[AbuseRule] = []

        def counted(known: bytes | None) -> bytes:
            held.clear()
            person = RefusedPerson.of_bytes(known)
            person.count(rules, what, categories, now=now, holds=held.append, distance=distance)
            return person.to_bytes(since=now - longest_s)

        known = self._state.change(_KIND, digest_name(subject), counted, keep_s=longest_s)
        for rule in held:
            self._on_rule(rule)
        return RefusedPerson.of_bytes(known)


def _probing(rules: AbuseRules) -> list[AbuseRule]:
    return [rule for rule in rules.rules if rule.counts == "probes"]


def _longest_s(rules: list[AbuseRule]) -> float:
    return 60.0 * max(rule.within_minutes for rule in rules)


def _digest(prompt: str) -> bytes:
    return hashlib.sha256(" ".join(prompt.lower().split()).encode()).digest()

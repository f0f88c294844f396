"""Rules for people who are refused again and again, as data; ``policies/abuse.yaml`` is ours.

>>> rules = load_abuse("abuse")
>>> [(rule.counts, rule.then) for rule in rules.rules]
[('refusals', 'wait'), ('probes', 'wait'), ('waits', 'review')]
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Annotated, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from chopmark.kit.limits import QUEUE

__all__ = [
    "AbuseRule",
    "AbuseRules",
    "Counts",
    "StrikeLevel",
    "StrikeRules",
    "Then",
    "load_abuse",
]

Counts = Literal["refusals", "probes", "waits"]
Then = Literal["wait", "review"]
_BUILT_IN: Final = "abuse"
Minutes = Annotated[int, Field(ge=1, le=525_600)]


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class AbuseRule(_Frozen):
    """So many of something within so many minutes have a consequence.

    Attributes:
        name: For people who read the policy; it stands in the log line, not in a metric.
        counts: What is counted.
        categories: With ``refusals``: only those that named one of these; empty for all.
        distance: With ``probes``: how close to a refused prompt is a probe, 1 - cosine, 0..1.
        at_least: So many.
        within_minutes: Within so long.
        then: What follows.
        minutes: For how long.
        queue: With ``review``: which queue their requests go to.
    """

    name: str = Field(min_length=1, max_length=100)
    counts: Counts
    categories: frozenset[str] = frozenset()
    distance: float = Field(default=0.25, gt=0, lt=1)
    at_least: int = Field(ge=1, le=10_000)
    within_minutes: Minutes
    then: Then
    minutes: Minutes
    queue: str = Field(default="", max_length=QUEUE.most)

    @model_validator(mode="after")
    def _agrees(self) -> AbuseRule:
        if (self.then == "review") != bool(self.queue):
            raise ValueError("a rule that ends in review names a queue, and no other does")
        if self.categories and self.counts != "refusals":
            raise ValueError("only refusals have categories")
        if self.counts == "waits" and self.then == "wait":
            raise ValueError("waits cannot lead to a wait: it would feed itself")
        return self


class StrikeLevel(_Frozen):
    """What follows when a person's strikes come to a sum.

    Attributes:
        name: For people who read the rules; it is the rationale of what follows.
        at_least: The sum of strikes.
        then: ``warn`` or ``suspend``.
        minutes: With ``suspend``: for how long.
    """

    name: str = Field(min_length=1, max_length=100)
    at_least: float = Field(gt=0, le=10_000)
    then: Literal["warn", "suspend"]
    minutes: Minutes | None = None

    @model_validator(mode="after")
    def _agrees(self) -> StrikeLevel:
        if (self.then == "suspend") != (self.minutes is not None):
            raise ValueError("a level that suspends says for how many minutes, and no other does")
        return self


class StrikeRules(_Frozen):
    """How refusals add up over months; counted from the log, so that nothing forgets them.

    Attributes:
        half_life_days: After so many days a strike counts half.
        weights: What a refusal in a category weighs, 0..100; 1 where it is not named. The heaviest
            of its categories counts.
        levels: What follows when the sum reaches a level; again when it has sunk below since.
    """

    half_life_days: float = Field(gt=0, le=3650)
    weights: dict[str, Annotated[float, Field(ge=0, le=100)]] = Field(default_factory=dict)
    levels: tuple[StrikeLevel, ...] = Field(max_length=20)


class AbuseRules(_Frozen):
    """All rules of a tenant; every one that holds has its consequence."""

    name: str = Field(min_length=1, max_length=100)
    rules: tuple[AbuseRule, ...] = Field(max_length=50)
    strikes: StrikeRules | None = None

    def digest(self) -> str:
        """Return what the log books when other rules come into force."""
        return hashlib.sha256(self.model_dump_json().encode()).hexdigest()


def load_abuse(name_or_path: str | Path) -> AbuseRules:
    """Read ``"abuse"``, which is ours, ``"none"``, or a YAML file of the deployer's.

    Raises:
        InvalidPolicy: Not there, not YAML, or a field that is wrong or missing.
    """
    from chopmark.safety.policy.load import policy_path, read_yaml

    if str(name_or_path) == "none":
        return AbuseRules(name="none", rules=())
    named = str(name_or_path) == _BUILT_IN
    return read_yaml(policy_path(_BUILT_IN) if named else Path(name_or_path), AbuseRules)

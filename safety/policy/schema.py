"""The policy: what is allowed, reviewed or blocked, as a frozen and hashed value."""

from __future__ import annotations

import datetime as dt
import functools
import hashlib
from collections.abc import Mapping
from typing import Annotated, Literal

import rfc8785
from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    field_validator,
    model_validator,
)

from chopmark.kit.types import Action
from chopmark.safety.categories import (
    CATEGORIES,
    FORM,
    STAGES,
    Stage,
    closest,
    in_order,
    is_category,
    worst,
)
from chopmark.safety.verdict import People

__all__ = [
    "AllowEntry",
    "CategoryChange",
    "CategoryName",
    "CategoryRule",
    "JointRule",
    "Policy",
    "PolicyDecision",
    "PolicyOverride",
    "Thresholds",
]


def _category_name(name: str) -> str:
    if not is_category(name):
        near = closest(name)
        meant = f"; did you mean {near!r}?" if near else ""
        raise ValueError(f"{name[:80]!r} is no category's name: {FORM}{meant}")
    return name


Score = Annotated[float, Field(ge=0.0, le=1.0)]
#: Checked by form, not against a list: a policy may name categories that only a plugin scores.
CategoryName = Annotated[str, AfterValidator(_category_name)]


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=False)


class Thresholds(_Frozen):
    """From which score a category is reviewed and from which it is blocked.

    A missing threshold means that the action is never taken at this stage.
    """

    review: Score | None = None
    block: Score | None = None

    @model_validator(mode="after")
    def _ordered(self) -> Thresholds:
        if self.review is not None and self.block is not None and self.review > self.block:
            raise ValueError(f"review ({self.review}) must not be above block ({self.block})")
        return self

    def action(self, score: float) -> Action:
        """Return what a score leads to."""
        if self.block is not None and score >= self.block:
            return "block"
        if self.review is not None and score >= self.review:
            return "review"
        return "allow"


class CategoryRule(_Frozen):
    """The thresholds of one category at each stage.

    Attributes:
        floor: An override may make these thresholds stricter and never laxer.
        ceiling: The strictest action that this category may lead to (``allow`` = only scored).
    """

    floor: bool = False
    ceiling: Action = "block"
    prompt: Thresholds = Thresholds()
    input: Thresholds = Thresholds()
    output: Thresholds = Thresholds()

    def action(self, stage: Stage, score: float) -> Action:
        """Return what a score at a stage leads to, under the ceiling."""
        thresholds: Thresholds = getattr(self, stage)
        reached = thresholds.action(score)
        if self.ceiling == "block" or reached == "allow":
            return reached
        return self.ceiling


class CategoryChange(_Frozen):
    """What an override changes of one category; what it does not name stays."""

    floor: bool = False
    ceiling: Action | None = None
    prompt: Thresholds = Thresholds()
    input: Thresholds = Thresholds()
    output: Thresholds = Thresholds()


class JointRule(_Frozen):
    """When every listed score is reached, take the action.

    ``prompt`` holds scores of the prompt that led to the picture, ``here`` those of what is being
    judged. A rule that names ``prompt`` does nothing where there is no prompt verdict.

    ``people`` is the least height of a face over the short side of the picture; 0 is any face. A
    rule with it does nothing where no face was found, or nothing looked for faces.
    """

    name: str = Field(min_length=1)
    category: CategoryName
    action: Literal["review", "block"]
    stages: tuple[Stage, ...] = ("prompt", "input", "output")
    prompt: Mapping[CategoryName, Score] = Field(default_factory=dict)
    here: Mapping[CategoryName, Score] = Field(default_factory=dict)
    people: Score | None = None
    floor: bool = False

    @model_validator(mode="after")
    def _not_empty(self) -> JointRule:
        if not self.prompt and not self.here and self.people is None:
            raise ValueError("a joint rule needs a score under 'prompt' or 'here', or 'people'")
        return self

    def holds(
        self,
        stage: Stage,
        here: Mapping[str, float],
        prompt: Mapping[str, float] | None,
        people: People | None = None,
    ) -> bool:
        """Tell whether every score that the rule asks for is reached."""
        if stage not in self.stages or (self.prompt and prompt is None):
            return False
        if self.people is not None and (
            people is None or people.faces == 0 or people.largest < self.people
        ):
            return False
        reached = all(here.get(name, 0.0) >= least for name, least in self.here.items())
        return reached and all(
            (prompt or {}).get(name, 0.0) >= least for name, least in self.prompt.items()
        )


class AllowEntry(_Frozen):
    """A phrase that a deployer has looked at and lets through, for some categories and a time.

    The phrase is taken out of the text before it is scored for these categories; what stands
    beside it is still judged. ``sexual/minors`` can never be listed.
    """

    phrase: str = Field(min_length=2)
    categories: tuple[CategoryName, ...] = Field(min_length=1)
    reason: str = Field(min_length=3)
    tenants: tuple[str, ...] = ()
    expires: dt.date

    @field_validator("categories")
    @classmethod
    def _never_minors(cls, value: tuple[CategoryName, ...]) -> tuple[CategoryName, ...]:
        if "sexual/minors" in value:
            raise ValueError("sexual/minors has no override")
        return value

    def active(self, *, tenant: str | None, today: dt.date) -> bool:
        """Tell whether the entry holds for a tenant on a day; the last day is ``expires``."""
        return today <= self.expires and (not self.tenants or tenant in self.tenants)


class PolicyOverride(_Frozen):
    """A tenant's changes; :func:`chopmark.safety.policy.override.apply_override` checks them.

    A category that the policy does not name starts from the policy's ``other``.
    """

    name: str = Field(min_length=1, pattern=r"^[a-z0-9][a-z0-9._-]*$")
    description: str = ""
    categories: Mapping[CategoryName, CategoryChange] = Field(default_factory=dict)
    other: CategoryChange = CategoryChange()
    rules: tuple[JointRule, ...] = ()
    allow: tuple[AllowEntry, ...] = ()


class PolicyDecision(_Frozen):
    """What a policy makes of scores."""

    action: Action
    categories: tuple[str, ...]
    rules: tuple[str, ...] = ()


class Policy(_Frozen):
    """A versioned policy as it is in force. Equal content has an equal digest, whatever the file.

    A file may leave categories out; :func:`chopmark.safety.policy.load.load_policy` fills them in
    from the built-in default, so that here every category of ours has its rule.

    Attributes:
        categories: Ours, and whatever else the deployer names.
        other: The rule of every category that is not among ``categories``: a plugin's guard may
            score one that the policy's author never heard of.
    """

    version: str = Field(min_length=1)
    name: str = Field(min_length=1, pattern=r"^[a-z0-9][a-z0-9._-]*$")
    description: str = ""
    categories: Mapping[CategoryName, CategoryRule]
    other: CategoryRule
    rules: tuple[JointRule, ...] = ()
    allow: tuple[AllowEntry, ...] = ()

    @field_validator("version", mode="before")
    @classmethod
    def _version_text(cls, value: object) -> object:
        # YAML reads `version: 1.10` as the number 1.1; say so instead of losing the zero.
        if isinstance(value, int | float) and not isinstance(value, bool):
            # pydantic turns a ValueError, and only that, into a message with the field's name.
            raise ValueError(f"put the version in quotes: version: '{value}'")  # noqa: TRY004
        return value

    @model_validator(mode="after")
    def _complete(self) -> Policy:
        missing = [name for name in CATEGORIES if name not in self.categories]
        if missing:
            raise ValueError("no thresholds for " + ", ".join(missing))
        minors = self.categories["sexual/minors"]
        for stage in STAGES:
            block = getattr(minors, stage).block
            if block is None or block > 0.5 or minors.ceiling != "block":
                raise ValueError(f"sexual/minors must block at {stage} from 0.5 or below")
        return self

    @functools.cached_property
    def _digest(self) -> str:
        canonical = self.model_dump(mode="json")
        return hashlib.sha256(rfc8785.dumps(canonical)).hexdigest()

    def digest(self) -> str:
        """Return the SHA-256 (hex) of the canonical JSON form (RFC 8785) of what is in force.

        What the file left out counts with the rules that were filled in: the digest names the
        thresholds that a verdict was made under, and changes when a new version of Chopmark changes
        them, whether or not the file did.
        """
        return self._digest

    def rule(self, category: str) -> CategoryRule:
        """Return the rule that a category is judged by: its own, or else ``other``."""
        return self.categories.get(category, self.other)

    def decide(
        self,
        scores: Mapping[str, float],
        *,
        stage: Stage,
        prompt_scores: Mapping[str, float] | None = None,
        people: People | None = None,
    ) -> PolicyDecision:
        """Return the action that the scores lead to, and the categories and rules behind it."""
        actions: dict[str, Action] = {
            name: self.rule(name).action(stage, score) for name, score in scores.items()
        }
        fired: list[JointRule] = [
            rule for rule in self.rules if rule.holds(stage, scores, prompt_scores, people)
        ]
        for joint in fired:
            actions[joint.category] = worst(actions.get(joint.category, "allow"), joint.action)
        action = worst(*actions.values())
        reached = in_order(
            name for name, one in actions.items() if action != "allow" and one == action
        )
        return PolicyDecision(
            action=action, categories=reached, rules=tuple(rule.name for rule in fired)
        )

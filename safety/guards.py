"""Several guards as one: all of them judge, the policy has its say, the strictest verdict holds.

A guard, ours or a plugin's, gives scores and an action. The policy's thresholds are then put to its
scores as well, in whatever category they are: a guard may be stricter than the policy, never laxer.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final, Literal, Protocol, runtime_checkable

from chopmark.errors import GuardFailed, TextTooLong, TextUnread
from chopmark.safety.categories import FORM, in_order, is_category, worst
from chopmark.safety.verdict import Evidence, Verdict

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from PIL.Image import Image

    from chopmark.errors import ChopmarkError
    from chopmark.safety.categories import Stage
    from chopmark.safety.policy.schema import Policy

__all__ = [
    "ImageGuards",
    "JudgesPictures",
    "JudgesText",
    "PromptGuards",
    "join_verdicts",
    "judge_each",
    "reviewed",
    "under_policy",
    "unread",
]


@runtime_checkable
class JudgesText(Protocol):
    """A prompt guard, as the pipeline sees it. Called from several threads at once."""

    def judge(
        self, text: str, policy: Policy, *, stage: Stage = "prompt", tenant: str | None = None
    ) -> Verdict:
        """Judge one text under a policy.

        Raises:
            GuardFailed: It could not be judged. Nothing unjudged may be let through.
        """


@runtime_checkable
class JudgesPictures(Protocol):
    """A picture guard, as the pipeline sees it. Called from several threads at once."""

    def judge(
        self,
        image: Image,
        policy: Policy,
        *,
        stage: Literal["output", "input"] = "output",
        prompt_verdict: Verdict | None = None,
    ) -> Verdict:
        """Judge one picture under a policy.

        Raises:
            GuardFailed: It could not be judged. Nothing unjudged may be let through.
        """


class PromptGuards:
    """Prompt guards in a row; a failure of one is a failure of all."""

    def __init__(self, guards: Sequence[JudgesText]) -> None:
        self._guards = tuple(guards)

    #: It takes ``edit`` and ``language``, and hands them to those of its guards that take them.
    judges_edits: Final = True

    def judge(
        self,
        text: str,
        policy: Policy,
        *,
        stage: Stage = "prompt",
        tenant: str | None = None,
        edit: bool = False,
        language: str | None = None,
    ) -> Verdict:
        """Judge one text with each guard and join their verdicts.

        Args:
            text: What is asked.
            policy: Whose thresholds hold.
            stage: Which of them.
            tenant: Whose allow-list applies.
            edit: The text says what to change in a picture that is there.
            language: Of the text, where the caller knows it (BCP 47).

        Raises:
            GuardFailed: A guard could not judge, or its verdict cannot be used.
        """
        return join_verdicts(
            [
                under_policy(
                    guard.judge(
                        text, policy, stage=stage, tenant=tenant, **_more(guard, edit, language)
                    ),
                    policy,
                    stage,
                )
                for guard in self._guards
            ]
        )

    def judge_many(
        self,
        texts: Sequence[str],
        policy: Policy,
        *,
        tenant: str | None = None,
        edits: Sequence[bool] = (),
        languages: Sequence[str | None] = (),
    ) -> list[Verdict]:
        """Judge several texts; see :func:`judge_each`.

        Raises:
            TextTooLong: One of them is too long to be judged; ``param`` says which.
        """
        return judge_each(self, texts, policy, tenant=tenant, edits=edits, languages=languages)


def _more(guard: JudgesText, edit: bool, language: str | None) -> dict[str, Any]:  # noqa: FBT001
    """Return what a guard takes beyond the interface; a plugin's need not know of it."""
    if not getattr(guard, "judges_edits", False):
        return {}
    return {"edit": edit, "language": language}


def judge_each(
    guard: JudgesText,
    texts: Sequence[str],
    policy: Policy,
    *,
    stage: Stage = "prompt",
    tenant: str | None = None,
    edits: Sequence[bool] = (),
    languages: Sequence[str | None] = (),
) -> list[Verdict]:
    """Judge several texts by one guard.

    A text that cannot be read, among several or alone, is sent to a person and stops nothing.

    Args:
        guard: Who judges.
        texts: What is judged.
        policy: Whose thresholds hold.
        stage: Which of them.
        tenant: Whose allow-list applies.
        edits: Of each text, whether it is asked of an edit; none of them where it is empty.
        languages: Of each text its language, where it is known; of none where it is empty.

    Raises:
        TextTooLong: One of them is too long to be judged; of several ``param`` says which.
    """
    verdicts = []
    for number, text in enumerate(texts):
        more = _more(guard, bool(edits and edits[number]), languages[number] if languages else None)
        try:
            verdicts.append(guard.judge(text, policy, stage=stage, tenant=tenant, **more))
        except TextUnread as error:
            verdicts.append(unread(error, policy))
        except TextTooLong as error:
            if len(texts) > 1:
                error.param = f"input[{number}]"
            raise
    return verdicts


def unread(error: ChopmarkError, policy: Policy) -> Verdict:
    """Return the verdict on what could not be judged: a person looks, and nothing was evaluated."""
    return Verdict(
        action="review",
        scores={},
        evidence=(Evidence(category="obfuscated", kind="rule", detail=error.message),),
        categories=("obfuscated",),
        not_evaluated=in_order(policy.categories),
        policy=policy.digest(),
    )


class ImageGuards:
    """Picture guards in a row; a failure of one is a failure of all."""

    def __init__(self, guards: Sequence[JudgesPictures]) -> None:
        self._guards = tuple(guards)

    def judge(
        self,
        image: Image,
        policy: Policy,
        *,
        stage: Literal["output", "input"] = "output",
        prompt_verdict: Verdict | None = None,
    ) -> Verdict:
        """Judge one picture with each guard and join their verdicts.

        Raises:
            GuardFailed: A guard could not judge, or its verdict cannot be used.
        """
        return join_verdicts(
            [
                under_policy(
                    guard.judge(image, policy, stage=stage, prompt_verdict=prompt_verdict),
                    policy,
                    stage,
                    prompt_verdict=prompt_verdict,
                )
                for guard in self._guards
            ]
        )


def under_policy(
    verdict: Verdict, policy: Policy, stage: Stage, *, prompt_verdict: Verdict | None = None
) -> Verdict:
    """Return a guard's verdict, made as strict as the policy asks for the scores in it.

    Categories that the guard itself calls not evaluated are left alone: those scores are guesses.

    Args:
        verdict: Of one guard.
        policy: Whose thresholds hold; a category that it does not name stands under its ``other``.
        stage: Which of the thresholds apply.
        prompt_verdict: On the words that led to a picture, for joint rules.

    Raises:
        GuardFailed: A score is no number in 0..1, or a category's name has not the form of one.
    """
    for name, score in verdict.scores.items():
        # Also false for NaN, which is below every threshold and would pass.
        if not 0.0 <= score <= 1.0:
            raise GuardFailed(
                f"a guard scored {name[:80]!r} with {score}", hint="a score lies in 0..1"
            )
    for name in (*verdict.scores, *verdict.categories):
        if not is_category(name):
            raise GuardFailed(f"a guard named the category {name[:80]!r}", hint=FORM)
    scored = {
        name: score for name, score in verdict.scores.items() if name not in verdict.not_evaluated
    }
    decision = policy.decide(
        scored,
        stage=stage,
        prompt_scores=None if prompt_verdict is None else prompt_verdict.scores,
        people=verdict.people,
    )
    action = worst(verdict.action, decision.action)
    categories, evidence = verdict.categories, verdict.evidence
    if action != verdict.action:
        categories = decision.categories
        evidence += tuple(
            Evidence(
                category=name,
                kind="rule",
                detail=f"the policy's threshold, score {scored.get(name, 0.0):.3f}",
            )
            for name in decision.categories
        )
    elif action == decision.action:
        categories = _union([categories, decision.categories])
    return replace(
        verdict,
        action=action,
        categories=categories,
        evidence=evidence,
        # A guard that scores a category and does not disclaim it has looked for it.
        evaluated=_union([verdict.evaluated, tuple(scored)]),
    )


def join_verdicts(verdicts: Sequence[Verdict]) -> Verdict:
    """Return one verdict for what several guards said of the same thing under one policy.

    The strictest action with the categories of those that asked for it, the highest score of each
    category, all evidence and models. A category is evaluated when any of them looks for it.

    Args:
        verdicts: At least one, in the order of the guards.
    """
    first, *others = verdicts
    if not others:
        return first
    action = worst(*(verdict.action for verdict in verdicts))
    evaluated = _union(verdict.evaluated for verdict in verdicts)
    return replace(
        first,
        action=action,
        scores={
            name: max(verdict.scores.get(name, 0.0) for verdict in verdicts)
            for name in _union(tuple(verdict.scores) for verdict in verdicts)
        },
        evidence=tuple(item for verdict in verdicts for item in verdict.evidence),
        categories=_union(v.categories for v in verdicts if v.action == action),
        evaluated=evaluated,
        not_evaluated=tuple(
            name for name in _union(v.not_evaluated for v in verdicts) if name not in evaluated
        ),
        models=_union(verdict.models for verdict in verdicts),
        cues=_union(verdict.cues for verdict in verdicts),  # type: ignore[arg-type]
        language=next((v.language for v in verdicts if v.language != "und"), "und"),
        people=max(
            (v.people for v in verdicts if v.people is not None),
            key=lambda seen: (seen.faces, seen.largest),
            default=None,
        ),
        elapsed_ms=sum(verdict.elapsed_ms for verdict in verdicts),
    )


def reviewed(verdict: Verdict, missed: str) -> Verdict:
    """Return a verdict on a picture of which not all was seen: at least ``review``.

    Args:
        verdict: On what was seen.
        missed: What was not, in words.
    """
    return replace(
        verdict,
        action=worst(verdict.action, "review"),
        categories=verdict.categories if verdict.action != "allow" else ("other",),
        evidence=(
            *verdict.evidence,
            Evidence(category="other", kind="rule", detail=f"not all of it was seen: {missed}"),
        ),
    )


def _union(groups: Iterable[tuple[str, ...]]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(name for group in groups for name in group))

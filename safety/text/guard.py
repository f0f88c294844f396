"""Judge a text: undo its obfuscations, score its windows, let the policy decide, show the words."""

from __future__ import annotations

import time
import unicodedata
from typing import TYPE_CHECKING, Final, Self

import numpy as np

from chopmark.errors import ChopmarkError, GuardFailed
from chopmark.safety.categories import CATEGORIES, MODEL_CATEGORIES, Stage, worst
from chopmark.safety.text.encoder import SentenceEncoder
from chopmark.safety.text.features import windows
from chopmark.safety.text.head import PromptHead
from chopmark.safety.text.lexicon import lexicon
from chopmark.safety.text.normalize import Normalized, normalize
from chopmark.safety.text.rules import Finding, apply_rules, sexual_terms
from chopmark.safety.text.youth import youth_cues
from chopmark.safety.verdict import Evidence, Verdict

if TYPE_CHECKING:
    from collections.abc import Sequence

    from chopmark.safety.policy.schema import Decision, Policy
    from chopmark.types import Action

__all__ = ["PromptGuard"]

#: From which ``sexual`` score on a youth cue beside it is enough to block. Far below the operating
#: point on purpose: here the doubt goes against the prompt.
MINORS_SEXUAL: Final[float] = 0.15
_EVALUATED: Final[tuple[str, ...]] = (*MODEL_CATEGORIES, "sexual/minors", "obfuscated")
_FOREIGN: Final[float] = 0.5


class PromptGuard:
    """Sentence encoder, trained head and rules behind one method. Safe for threads.

    Use :meth:`load`. Needs onnxruntime and tokenizers, not torch.
    """

    def __init__(self, *, encoder: SentenceEncoder, head: PromptHead) -> None:
        """Take the loaded models."""
        self._encoder = encoder
        self._head = head
        self._models = (encoder.model, f"prompt-head@{head.digest[:16]}", lexicon().model)

    @classmethod
    def load(cls) -> Self:
        """Load the encoder from its package and the head from this one.

        Raises:
            GuardFailed: A model is missing or damaged.
        """
        return cls(encoder=SentenceEncoder(), head=PromptHead.load())

    def judge_many(self, texts: Sequence[str], policy: Policy) -> list[Verdict]:
        """Judge several texts; each verdict is the one that :meth:`judge` gives."""
        return [self.judge(text, policy) for text in texts]

    def judge(self, text: str, policy: Policy, *, stage: Stage = "prompt") -> Verdict:
        """Judge one text.

        Args:
            text: Any text; obfuscations are undone first, and the undone text is what is scored.
            policy: What to do at which score.
            stage: Which of the policy's thresholds apply.

        Raises:
            GuardFailed: The text could not be judged. Nothing unjudged may be let through.
        """
        started = time.perf_counter()
        try:
            plain = normalize(text)
            scores, spans = self._scores(plain)
            findings = apply_rules(plain.text)
        except ChopmarkError:
            raise
        except Exception as error:
            raise GuardFailed(f"the text could not be judged: {type(error).__name__}") from error
        scores["obfuscated"] = round(float(plain.obfuscated), 6)
        evidence = [_lexical(text, plain, finding) for finding in findings]
        _raise_scores(scores, findings)
        youth = youth_cues(plain.text)
        if youth:
            # Joint rule without override: any sexual signal beside any cue of youth.
            signal = scores["sexual"] >= MINORS_SEXUAL or bool(sexual_terms(plain.text))
            scores["sexual/minors"] = 1.0 if signal else 0.0
            if scores["sexual/minors"]:
                evidence += [
                    _evidence(text, plain, cue, "sexual/minors", "rule", "youth cue beside sexual")
                    for cue in youth
                ]
        decision = policy.decide(scores, stage=stage)
        action, categories = decision.action, decision.categories
        evaluated = (*_EVALUATED, *(name for name in scores if name not in _EVALUATED))
        if _foreign(text):
            # The head was trained on English: on another script it would guess, not judge.
            action = worst(action, "review")
            found = {finding.rule.category for finding in findings}
            evaluated = ("obfuscated", *(name for name in CATEGORIES if name in found))
            evidence.append(
                Evidence(
                    category="obfuscated",
                    kind="rule",
                    detail="a script that the prompt model was not trained on: a person looks",
                )
            )
            if not categories:
                categories = ("obfuscated",)
        evidence += self._reasons(text, plain, scores, spans, decision, policy, stage)
        return Verdict(
            action=action,
            scores=scores,
            evidence=tuple(evidence),
            categories=categories,
            evaluated=evaluated,
            not_evaluated=tuple(name for name in CATEGORIES if name not in evaluated),
            policy=policy.digest(),
            models=self._models,
            elapsed_ms=(time.perf_counter() - started) * 1000,
        )

    def _scores(self, plain: Normalized) -> tuple[dict[str, float], dict[str, tuple[int, int]]]:
        """Return each model category's largest score over the windows, and that window."""
        parts = windows(plain.text)
        logits = np.stack(
            [
                self._head.logits(self._encoder.embed(plain.text[a:b]), plain.text[a:b])
                for a, b in parts
            ]
        )
        table = self._head.scores(logits)
        best = table.argmax(axis=0)
        scores = {
            name: round(float(table[best[i], i]), 6) for i, name in enumerate(MODEL_CATEGORIES)
        }
        return scores, {name: parts[best[i]] for i, name in enumerate(MODEL_CATEGORIES)}

    def _reasons(
        self,
        text: str,
        plain: Normalized,
        scores: dict[str, float],
        spans: dict[str, tuple[int, int]],
        decision: Decision,
        policy: Policy,
        stage: Stage,
    ) -> list[Evidence]:
        reasons = []
        for name, span in spans.items():
            rule = policy.categories.get(name)  # type: ignore[call-overload]
            reached: Action = "allow" if rule is None else rule.action(stage, scores[name])
            if reached != "allow":
                detail = f"prompt model score {scores[name]:.3f}, {reached}"
                reasons.append(_evidence(text, plain, span, name, "model", detail))
        if plain.applied and decision.action != "allow":
            reasons.append(
                Evidence(
                    category="obfuscated", kind="rule", detail="undone: " + ", ".join(plain.applied)
                )
            )
        return reasons


def _raise_scores(scores: dict[str, float], findings: Sequence[Finding]) -> None:
    """Let word rules add to the model: two doubtful signs are one clear one (noisy or)."""
    strongest: dict[str, float] = {}
    for finding in findings:
        name = finding.rule.category
        strongest[name] = max(strongest.get(name, 0.0), finding.rule.score)
    for name, score in strongest.items():
        scores[name] = round(1.0 - (1.0 - scores.get(name, 0.0)) * (1.0 - score), 6)


def _lexical(text: str, plain: Normalized, finding: Finding) -> Evidence:
    span = (finding.start, finding.end)
    detail = f"word rule {finding.rule.name}, score {finding.rule.score:.2f}"
    return _evidence(text, plain, span, finding.rule.category, "lexicon", detail)


def _evidence(
    text: str, plain: Normalized, span: tuple[int, int], category: str, kind: str, detail: str
) -> Evidence:
    start, end = plain.span(*span)
    return Evidence(
        category=category,
        kind=kind,  # type: ignore[arg-type]
        start=start,
        end=end,
        text=text[start:end],
        detail=detail,
    )


def _foreign(text: str) -> bool:
    """Tell whether most letters are of another script than Latin."""
    letters = [char for char in text if char.isalpha()]
    latin = sum(unicodedata.name(char, "").startswith("LATIN") for char in letters)
    return bool(letters) and latin < (1 - _FOREIGN) * len(letters)

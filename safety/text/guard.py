"""Judge a text: undo its obfuscations, score its windows, let the policy decide, show the words."""

from __future__ import annotations

import datetime as dt
import re
import time
from typing import TYPE_CHECKING, Final, Self

import numpy as np

from chopmark.errors import ChopmarkError, GuardFailed
from chopmark.safety.categories import MODEL_CATEGORIES, Stage, in_order, worst
from chopmark.safety.text.encoder import FRAME, SentenceEncoder
from chopmark.safety.text.features import MOST_WINDOWS, check_scored, windows
from chopmark.safety.text.head import PromptHead, best_of
from chopmark.safety.text.language import ENGLISH, UNREAD, language_of
from chopmark.safety.text.lexicon import fold, lexicon
from chopmark.safety.text.normalize import Normalized, normalize
from chopmark.safety.text.rules import RuleFinding, apply_rules, sexual_terms
from chopmark.safety.text.text_request import asks_for_text
from chopmark.safety.text.youth import youth_cues
from chopmark.safety.verdict import Evidence, Verdict

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from chopmark.safety.policy.schema import Policy
    from chopmark.safety.text.cascade import Cascade
    from chopmark.safety.text.multilingual import Multilingual
    from chopmark.safety.verdict import Cue

__all__ = ["PromptGuard"]

#: From which ``sexual`` score on a youth cue beside it is enough to block. Far below the operating
#: point on purpose: here the doubt goes against the prompt.
MINORS_SEXUAL: Final[float] = 0.15
#: Per natural logarithm of the number of windows, in calibrated log odds; fixed on dev, where it
#: takes patched-together harmless texts from 16 % blocked to about 4 %, padded harmful ones stay at 100.
WINDOW_BAR: Final[float] = 0.8
#: Most cues of youth that a verdict shows: one is enough to block, and a text may be full of them.
_SHOWN: Final[int] = 16
_EVALUATED: Final[tuple[str, ...]] = (*MODEL_CATEGORIES, "sexual/minors", "obfuscated")


class PromptGuard:
    """Sentence encoder, trained head and rules behind one method. Safe for threads.

    Use :meth:`load`. Needs onnxruntime and tokenizers, not torch.
    """

    def __init__(
        self,
        *,
        encoder: SentenceEncoder,
        head: PromptHead,
        other_languages: Multilingual | None = None,
        cascade: Cascade | None = None,
    ) -> None:
        """Take the loaded models.

        Args:
            encoder: Of English texts.
            head: Trained on its vectors.
            other_languages: Scores what is not English; without it other scripts abstain.
            cascade: A larger model that is asked about what is uncertain.
        """
        self._encoder = encoder
        self._head = head
        self._others, self._cascade = other_languages, cascade
        self._models = (
            encoder.model,
            f"prompt-head@{head.digest[:16]}",
            lexicon().model,
            *(other_languages.models if other_languages else ()),
        )

    @classmethod
    def load(
        cls, *, other_languages: Multilingual | None = None, cascade: Cascade | None = None
    ) -> Self:
        """Load the encoder and the head.

        Args:
            other_languages: As for the constructor.
            cascade: As for the constructor.

        Raises:
            GuardFailed: A model is missing or damaged.
        """
        return cls(
            encoder=SentenceEncoder(),
            head=PromptHead.load(),
            other_languages=other_languages,
            cascade=cascade,
        )

    def judge_many(
        self, texts: Sequence[str], policy: Policy, *, tenant: str | None = None
    ) -> list[Verdict]:
        """Judge several texts; each verdict is the one that :meth:`judge` gives."""
        return [self.judge(text, policy, tenant=tenant) for text in texts]

    def judge(
        self,
        text: str,
        policy: Policy,
        *,
        stage: Stage = "prompt",
        tenant: str | None = None,
        today: dt.date | None = None,
    ) -> Verdict:
        """Judge one text.

        Args:
            text: Any text; obfuscations are undone first, and the undone text is what is scored.
            policy: What to do at which score.
            stage: Which of the policy's thresholds apply.
            tenant: Whose allow-list entries apply beside everybody's.
            today: The day on which entries must still hold; today's UTC date by default.

        Raises:
            GuardFailed: The text could not be judged. Nothing unjudged may be let through.
        """
        started = time.perf_counter()
        try:
            plain = normalize(text)
            language = language_of(plain.text)
            scores, spans = self._scores(plain, language)
            findings = apply_rules(plain.text)
        except ChopmarkError:
            raise
        except Exception as error:
            raise GuardFailed(f"the text could not be judged: {type(error).__name__}") from error
        scores["obfuscated"] = round(float(plain.obfuscated), 6)
        evidence = [_lexical(text, plain, finding) for finding in findings]
        _raise_scores(scores, findings)
        day = today or dt.datetime.now(dt.UTC).date()
        evidence += self._let_through(scores, _allowed(plain, policy, tenant, day), language)
        youth = youth_cues(plain.text, english=language == ENGLISH)
        if youth:
            # Joint rule without override: any sexual signal beside any cue of youth.
            signal = scores["sexual"] >= MINORS_SEXUAL or bool(sexual_terms(plain.text))
            scores["sexual/minors"] = 1.0 if signal else 0.0
            if scores["sexual/minors"]:
                evidence += [
                    _evidence(text, plain, cue, "sexual/minors", "rule", "youth cue beside sexual")
                    for cue in youth[:_SHOWN]
                ]
        evaluated = (*_EVALUATED, *(name for name in scores if name not in _EVALUATED))
        unread = language == UNREAD and self._others is None
        known = {finding.rule.category for finding in findings} | {"sexual/minors", "obfuscated"}
        models = self._models
        if self._cascade is not None:
            wanted = (
                self._cascade.evaluates
                if unread
                else self._cascade.uncertain(scores, policy, stage)
            )
            if wanted:
                models = (*models, self._cascade.model)
                known |= set(wanted)
                evidence += self._second_opinion(plain.text, scores, wanted)
        if unread:
            # The head was trained on English: on another script it guesses. Its guesses are shown,
            # named as not evaluated, and only word lists and a larger model lead to a block.
            evaluated = in_order(known & set(scores))
            evidence.append(
                Evidence(
                    category="obfuscated",
                    kind="rule",
                    detail="a script that the prompt model was not trained on: a person looks",
                )
            )
        decision = policy.decide(
            {name: score for name, score in scores.items() if name in evaluated}, stage=stage
        )
        action, categories = decision.action, decision.categories
        if unread and not set(MODEL_CATEGORIES) <= set(evaluated):
            action, categories = worst(action, "review"), categories or ("obfuscated",)
        if not unread:
            evidence += self._reasons(text, plain, scores, spans, policy, stage)
        if plain.applied and action != "allow":
            undone = "undone: " + ", ".join(plain.applied)
            evidence.append(Evidence(category="obfuscated", kind="rule", detail=undone))
        return Verdict(
            action=action,
            scores=scores,
            evidence=tuple(evidence),
            categories=categories,
            evaluated=evaluated,
            not_evaluated=in_order(set(policy.categories).difference(evaluated)),
            policy=policy.digest(),
            models=models,
            elapsed_ms=(time.perf_counter() - started) * 1000,
            cues=_cues(text, youth=bool(youth)),
        )

    def _scores(
        self, plain: Normalized, language: str
    ) -> tuple[dict[str, float], dict[str, tuple[int, int]]]:
        """Return each model category's largest score over the windows, and that window."""
        if not any(char.isalnum() for char in plain.text):
            # Without a letter there is nothing to read: an edit without words, three dots, an emoji.
            return dict.fromkeys(MODEL_CATEGORIES, 0.0), {}
        if language != ENGLISH and self._others is not None:
            return self._others.scores(plain.text)
        parts = windows(plain.text)
        rows: list[tuple[tuple[int, int], tuple[int, ...], NDArray[np.float32]]] = []
        for at, (start, end) in enumerate(parts):
            part = plain.text[start:end]
            # The whole of a long text speaks for its beginning: the windows read the rest of it.
            whole = at == 0 and len(parts) > 1
            pieces = [self._encoder.beginning(part)] if whole else self._encoder.pieces(part)
            linear = self._head.from_pieces(part)
            rows += [((start, end), piece, linear) for piece in pieces]
        # What stands in a text several times is read once.
        distinct = dict.fromkeys(piece for _, piece, _ in rows)
        check_scored(sum(len(piece) + FRAME for piece in distinct))
        dense = {p: self._head.from_vector(self._encoder.vector(p)) for p in distinct}
        logits = np.stack([dense[piece] + linear for _, piece, linear in rows])
        # Each window is one more chance to be wrong: the more there are, the higher the bar, also for
        # the whole of a long text, which speaks of many things. It was fixed for texts of up to
        # MOST_WINDOWS; more would raise it out of reach.
        logits -= WINDOW_BAR * np.log(min(len(rows), MOST_WINDOWS)) / self._head.scale
        return best_of(self._head.scores(logits), [span for span, _, _ in rows])

    def _let_through(
        self,
        scores: dict[str, float],
        allowed: list[tuple[tuple[str, ...], str, Normalized]],
        language: str,
    ) -> list[Evidence]:
        """Lower the scores to those of the text without the phrases that the policy allows."""
        evidence = []
        for names, phrase, rest in allowed:
            # What was allowed is taken out; the rest of the text still counts for its categories.
            without, _ = self._scores(rest, language)
            _raise_scores(without, apply_rules(rest.text))
            lower = [name for name in names if without.get(name, 0.0) < scores.get(name, 0.0)]
            evidence += [
                Evidence(category=name, kind="rule", detail=f"the policy allows {phrase!r}")
                for name in lower
            ]
            scores |= {name: without.get(name, 0.0) for name in lower}
        return evidence

    def _second_opinion(
        self, text: str, scores: dict[str, float], wanted: Sequence[str]
    ) -> list[Evidence]:
        """Put the larger model's scores in the place of the uncertain ones."""
        assert self._cascade is not None  # noqa: S101 - the caller looked
        answer = self._cascade.ask(text, wanted)
        scores |= {name: round(score, 6) for name, score in answer.scores.items()}
        return [
            Evidence(
                category=name,
                kind="model",
                detail=f"not clear, and {self._cascade.model} was asked: "
                + (answer.failed or f"score {score:.3f}"),
            )
            for name, score in answer.scores.items()
        ]

    def _reasons(
        self,
        text: str,
        plain: Normalized,
        scores: dict[str, float],
        spans: dict[str, tuple[int, int]],
        policy: Policy,
        stage: Stage,
    ) -> list[Evidence]:
        reasons = []
        for name, span in spans.items():
            reached = policy.rule(name).action(stage, scores[name])
            if reached != "allow":
                detail = f"prompt model score {scores[name]:.3f}, {reached}"
                reasons.append(_evidence(text, plain, span, name, "model", detail))
        return reasons


def _cues(text: str, *, youth: bool) -> tuple[Cue, ...]:
    writing = asks_for_text(text)
    seen: dict[Cue, bool] = {"youth": youth, "writing": writing}
    return tuple(name for name, here in seen.items() if here)


def _allowed(
    plain: Normalized, policy: Policy, tenant: str | None, today: dt.date
) -> list[tuple[tuple[str, ...], str, Normalized]]:
    """Return the categories and phrases that the policy allows here, and the text without them."""
    found: list[tuple[tuple[str, ...], str, Normalized]] = []
    folded = fold(plain.text) if policy.allow else ""
    for entry in policy.allow:
        if not entry.active(tenant=tenant, today=today):
            continue
        words = re.escape(fold(entry.phrase)).replace(r"\ ", r"\s+")
        rest = re.sub(rf"(?<!\w){words}(?!\w)", " ", folded)
        if rest != folded:
            found.append((tuple(entry.categories), entry.phrase, normalize(rest)))
    return found


def _raise_scores(scores: dict[str, float], findings: Sequence[RuleFinding]) -> None:
    """Let word rules add to the model: two doubtful signs are one clear one (noisy or)."""
    strongest: dict[str, float] = {}
    for finding in findings:
        name = finding.rule.category
        strongest[name] = max(strongest.get(name, 0.0), finding.rule.score)
    for name, score in strongest.items():
        scores[name] = round(1.0 - (1.0 - scores.get(name, 0.0)) * (1.0 - score), 6)


def _lexical(text: str, plain: Normalized, finding: RuleFinding) -> Evidence:
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

"""Judge a text: undo its obfuscations, score its windows, let the policy decide, show the words."""

from __future__ import annotations

import datetime as dt
import re
import time
from typing import TYPE_CHECKING, Final, Self

import numpy as np

from chopmark.errors import ChopmarkError, GuardFailed, TextUnread
from chopmark.safety.categories import MODEL_CATEGORIES, Stage, in_order, worst
from chopmark.safety.text.encoder import SentenceEncoder, shared_encoder
from chopmark.safety.text.form import without_accents
from chopmark.safety.text.head import PromptHead
from chopmark.safety.text.lexicon import fold, lexicon
from chopmark.safety.text.minors import find
from chopmark.safety.text.normalize import Normalized, normalize
from chopmark.safety.text.reading import read_text
from chopmark.safety.text.rules import RuleFinding, apply_rules
from chopmark.safety.text.scoring import Kind, Scored, Scorer
from chopmark.safety.text.text_request import asks_for_text
from chopmark.safety.verdict import Evidence, Verdict

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from chopmark.safety.policy.schema import Policy
    from chopmark.safety.text.cascade import Cascade
    from chopmark.safety.text.form import Form
    from chopmark.safety.text.minors import Finding
    from chopmark.safety.text.reading import Reading
    from chopmark.safety.verdict import Cue

__all__ = ["PromptGuard"]

#: Below this score the model is sure of a text as a word rule finds it, within so much of it less and less;
#: then a rule has this share of its score.
_SURE: Final[float] = 0.12
_WIDE: Final[float] = 0.1
_LEAST: Final[float] = 0.2
#: Most cues of youth that a verdict shows: one is enough to block, and a text may be full of them.
_SHOWN: Final[int] = 16
_EVALUATED: Final[tuple[str, ...]] = (*MODEL_CATEGORIES, "sexual/minors", "obfuscated")


class PromptGuard:
    """Sentence encoder, trained head and rules behind one method. Safe for threads.

    Use :meth:`load`. Needs onnxruntime and tokenizers, not torch.
    """

    #: It takes ``edit`` and ``language``; see :class:`chopmark.safety.guards.PromptGuards`.
    judges_edits: Final = True

    def __init__(
        self, *, encoder: SentenceEncoder, head: PromptHead, cascade: Cascade | None = None
    ) -> None:
        """Take the loaded models.

        Args:
            encoder: Of texts of any language.
            head: Trained on its vectors.
            cascade: A larger model that is asked about what is uncertain.
        """
        self._scorer, self._cascade = Scorer(encoder=encoder, head=head), cascade
        self._models = (encoder.model, f"prompt-head@{head.digest[:16]}", lexicon().model)

    @classmethod
    def load(cls, *, cascade: Cascade | None = None) -> Self:
        """Load the encoder and the head.

        Args:
            cascade: As for the constructor.

        Raises:
            GuardFailed: A model is missing or damaged.
        """
        return cls(encoder=shared_encoder(), head=PromptHead.load(), cascade=cascade)

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
        edit: bool = False,
        language: str | None = None,
    ) -> Verdict:
        """Judge one text.

        Args:
            text: Any text; obfuscations are undone first, and the undone text is what is scored.
            policy: What to do at which score.
            stage: Which of the policy's thresholds apply.
            tenant: Whose allow-list entries apply beside everybody's.
            today: The day on which entries must still hold; today's UTC date by default.
            edit: The text says what to change in a picture that is there.
            language: Which it is in, where the caller knows (BCP 47).

        Raises:
            GuardFailed: The text could not be judged. Nothing unjudged may be let through.
            TextUnread: It could not even be read.
        """
        started = time.perf_counter()
        read, findings, writing = _looked_at(text, language)
        plain, kind = read.plain, Kind(english=read.english, edit=edit)
        try:
            scored = self._scores(read.form.text, kind)
        except ChopmarkError:
            raise
        except Exception as error:
            raise GuardFailed(f"the text could not be judged: {type(error).__name__}") from error
        scores, spans = dict(scored.scores), scored.spans
        scores["obfuscated"] = round(float(plain.obfuscated), 6)
        evidence = [_lexical(text, plain, finding) for finding in findings]
        _raise_scores(scores, findings)
        day = today or dt.datetime.now(dt.UTC).date()
        allowed = _allowed(plain, policy, tenant, day)
        evidence += self._let_through(scores, allowed, kind)
        minors = find(
            without_accents(read.form.text),
            language="en" if read.english else read.language.read_as,
            sexual=scores["sexual"],
            without=lambda gone: self._scores(
                read.form.text, kind, gone=gone, known=scored.vectors
            ).scores["sexual"],
        )
        if minors.youth:
            scores["sexual/minors"] = 1.0 if minors.state == "both" else 0.0
        known = {finding.rule.category for finding in findings} | {"sexual/minors", "obfuscated"}
        evaluated = (*_EVALUATED, *(name for name in scores if name not in _EVALUATED))
        models: tuple[str, ...] = self._models
        unread = not read.language.known
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
            # In a language that it has not learned the head guesses. Its guesses are shown, named as
            # not evaluated, and only word lists and a larger model lead to a block.
            evaluated = in_order(known & set(scores))
        decision = policy.decide(
            {name: score for name, score in scores.items() if name in evaluated}, stage=stage
        )
        action, categories = decision.action, decision.categories
        for why, category in self._doubts(read, scored.doubtful, minors, evaluated):
            evidence.append(Evidence(category=category, kind="rule", detail=why))
            action, categories = worst(action, "review"), categories or (category,)
        evidence += _why_minors(text, read.form, minors)
        if not unread:
            evidence += self._reasons(text, read.form, scores, spans, policy, stage)
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
            cues=_cues(minors, writing=writing),
            language=read.language.code,
        )

    def _scores(
        self,
        text: str,
        kind: Kind,
        *,
        gone: Sequence[tuple[int, int]] = (),
        known: Mapping[tuple[int, ...], NDArray[np.float32]] | None = None,
    ) -> Scored:
        if not any(char.isalnum() for char in text):
            # Without a letter there is nothing to read: an edit without words, three dots, an emoji.
            return Scored(scores=dict.fromkeys(MODEL_CATEGORIES, 0.0), spans={})
        return self._scorer.score(text, kind, gone=gone, known=known or {})

    @staticmethod
    def _doubts(
        read: Reading, doubtful: int, minors: Finding, evaluated: Sequence[str]
    ) -> list[tuple[str, str]]:
        """Return why a person must look whatever the scores say, each with a category."""
        found = []
        if not read.language.known and not set(MODEL_CATEGORIES) <= set(evaluated):
            what = "a language that the prompt model has not learned"
            found.append((f"{what} ({read.language.code}): a person looks", "obfuscated"))
        if doubtful:
            what = f"{doubtful} doubtful parts of a long text that the model did not read"
            found.append((what, "obfuscated"))
        if minors.state == "doubt":
            found.append(("a doubtful sign beside a cue of youth: a person looks", "sexual"))
        return found

    def _let_through(
        self,
        scores: dict[str, float],
        allowed: list[tuple[tuple[str, ...], str, Normalized]],
        kind: Kind,
    ) -> list[Evidence]:
        """Lower the scores to those of the text without the phrases that the policy allows."""
        evidence = []
        for names, phrase, rest in allowed:
            # What was allowed is taken out; the rest of the text still counts for its categories.
            without = dict(self._scores(rest.text, kind).scores)
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
        form: Form,
        scores: dict[str, float],
        spans: Mapping[str, tuple[int, int]],
        policy: Policy,
        stage: Stage,
    ) -> list[Evidence]:
        reasons = []
        for name, span in spans.items():
            reached = policy.rule(name).action(stage, scores[name])
            if reached != "allow":
                detail = f"prompt model score {scores[name]:.3f}, {reached}"
                reasons.append(_evidence(text, form, span, name, "model", detail))
        return reasons


def _looked_at(text: str, told: str | None) -> tuple[Reading, list[RuleFinding], bool]:
    """Return what is known of a text without a model: how it reads, word rules, a wish for writing."""
    try:
        read = read_text(text, told=told)
        return read, apply_rules(read.plain.text), asks_for_text(read.plain.text)
    except ChopmarkError:
        raise
    except Exception as error:
        raise TextUnread(f"the text could not be read: {type(error).__name__}") from error


def _why_minors(text: str, form: Form, minors: Finding) -> list[Evidence]:
    if minors.state == "none":
        return []
    about = "sexual/minors" if minors.state == "both" else "sexual"
    return [
        _evidence(text, form, cue, about, "rule", f"a cue of youth, {minors.state}")
        for cue in minors.youth[:_SHOWN]
    ]


def _cues(minors: Finding, *, writing: bool) -> tuple[Cue, ...]:
    doubt = minors.state == "doubt"
    seen: dict[Cue, bool] = {"youth": bool(minors.youth), "writing": writing, "doubt": doubt}
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
    """Let word rules add to the model: two doubtful signs are one clear one (noisy or).

    Where the model is sure that the words are harmless as they stand ("Molotov Street", the hanged man
    of the cards) they count less, unless the rule is about names, which no model knows.
    """
    strongest: dict[str, float] = {}
    for finding in findings:
        name = finding.rule.category
        model = scores.get(name.partition("/")[0], 1.0)
        weight = 1.0 if finding.rule.names else float(np.clip((model - _SURE) / _WIDE, _LEAST, 1.0))
        strongest[name] = max(strongest.get(name, 0.0), finding.rule.score * weight)
    for name, score in strongest.items():
        scores[name] = round(1.0 - (1.0 - scores.get(name, 0.0)) * (1.0 - score), 6)


def _lexical(text: str, plain: Normalized, finding: RuleFinding) -> Evidence:
    span = (finding.start, finding.end)
    detail = f"word rule {finding.rule.name}, score {finding.rule.score:.2f}"
    return _evidence(text, plain, span, finding.rule.category, "lexicon", detail)


def _evidence(
    text: str, read: Normalized | Form, span: tuple[int, int], category: str, kind: str, detail: str
) -> Evidence:
    start, end = read.span(*span)
    return Evidence(
        category=category,
        kind=kind,  # type: ignore[arg-type]
        start=start,
        end=end,
        text=text[start:end],
        detail=detail,
    )

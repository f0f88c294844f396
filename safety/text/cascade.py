"""Ask a larger model about what is uncertain, and only about that; without an answer, the doubt stands.

Most texts are clear to the small model, so the large one costs little on average. A category goes to
it when its score lies near the policy's threshold, or when the text is in a language that the small
model does not read. A time-out or a failure fails closed, category by category: what was uncertain
counts as harmful, what was clear stays as it was.
"""

from __future__ import annotations

import logging
import os
import queue
import threading
import weakref
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from chopmark.errors import GuardFailed

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from chopmark.safety.categories import Stage
    from chopmark.safety.policy.schema import Policy
    from chopmark.safety.text.hub import TextModel

__all__ = ["Cascade", "ModelAnswer"]

#: How far below and above its block threshold a score is uncertain.
_LOG = logging.getLogger(__name__)
_BELOW: Final[float] = 0.2
_ABOVE: Final[float] = 0.15
_WAITING: Final[int] = 64


@dataclass(frozen=True, kw_only=True)
class ModelAnswer:
    """What the larger model said.

    Attributes:
        scores: A score for each category that was asked for.
        failed: Why these are no scores of the model but doubt; empty where they are.
    """

    scores: Mapping[str, float]
    failed: str = ""


class Cascade:
    """A larger model with a time-out. Safe for threads; questions are answered one by one.

    A forked process has none of its parent's threads: it gets one of its own, and an empty queue.
    """

    def __init__(self, model: TextModel, *, timeout_s: float = 5.0) -> None:
        """Take a loaded model.

        Args:
            model: Whom to ask.
            timeout_s: How long one answer may take, waiting included.
        """
        self._model, self._timeout = model, timeout_s
        self._start()
        start = weakref.WeakMethod(self._start)
        os.register_at_fork(after_in_child=lambda: (again := start()) and again())
        self.model = model.model
        self.evaluates = model.evaluates

    def _start(self) -> None:
        self._asked: queue.Queue[_Question] = queue.Queue(_WAITING)
        threading.Thread(target=self._work, daemon=True, name="chopmark-guard-model").start()

    def uncertain(self, scores: Mapping[str, float], policy: Policy, stage: Stage) -> list[str]:
        """Return the categories whose score lies in the band around their block threshold."""
        found = []
        for name in self.evaluates:
            if name not in scores:
                continue
            block = getattr(policy.rule(name), stage).block
            if block is not None and block - _BELOW <= scores[name] < block + _ABOVE:
                found.append(name)
        return found

    def ask(self, text: str, wanted: Sequence[str]) -> ModelAnswer:
        """Return the model's scores; certain harm for each wanted category where it has none."""
        if not wanted:
            return ModelAnswer(scores={})
        question = _Question(text, tuple(wanted))
        try:
            self._asked.put(question, timeout=self._timeout)
            answer = question.answer.get(timeout=self._timeout)
        except queue.Full:
            answer = "too many texts are waiting for it"
        except queue.Empty:
            question.late.set()
            answer = f"it did not answer in {self._timeout:g} s"
        if isinstance(answer, str):
            return ModelAnswer(scores=dict.fromkeys(wanted, 1.0), failed=answer)
        return ModelAnswer(scores=answer)

    def _work(self) -> None:
        asked = self._asked
        while True:
            question = asked.get()
            if question.late.is_set():
                continue  # nobody waits for it any more
            try:
                found = self._model.scores(question.text, question.wanted)
                kept = {name: float(found[name]) for name in question.wanted}
                # Also false for NaN, which a broken model gives.
                whole = all(0.0 <= score <= 1.0 for score in kept.values())
                question.answer.put(kept if whole else "its scores are no shares of one")
            except GuardFailed as error:
                _LOG.warning("the larger model gave no answer", exc_info=error)
                question.answer.put(error.message)
            except Exception as error:  # noqa: BLE001 - whatever it was, the doubt stands
                _LOG.warning("the larger model failed", exc_info=error)
                question.answer.put(f"it failed: {type(error).__name__}")


class _Question:
    def __init__(self, text: str, wanted: tuple[str, ...]) -> None:
        self.text, self.wanted = text, wanted
        self.answer: queue.Queue[dict[str, float] | str] = queue.Queue(1)
        self.late = threading.Event()

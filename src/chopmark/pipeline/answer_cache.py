"""Earlier answers: what is counted of them, and the one thread that keeps new ones.

What may be an answer again is decided in :mod:`chopmark.pipeline.recall`.
"""

from __future__ import annotations

import contextlib
import logging
import threading
import warnings
from collections import Counter
from typing import TYPE_CHECKING, Literal

from chopmark.errors import StageTimeout
from chopmark.kit.background import Afterwards, AfterwardsWarning

if TYPE_CHECKING:
    from collections.abc import Iterator

    from chopmark.errors import ChopmarkError

__all__ = ["AnswerCache", "AnswerOutcome"]

_LOG = logging.getLogger(__name__)
AnswerOutcome = Literal["hit", "miss", "doubt", "bypassed", "failed"]


class AnswerCache:
    """Counts look-ups, steps aside while one hangs, and does the keeping afterwards.

    Args:
        close_s: Seconds that closing waits for what is still to be kept.

    Attributes:
        later: Keeps embeddings and pictures after the answer has gone out.
        counts: How often a request was answered from the past, or why not.
    """

    def __init__(self, *, close_s: float) -> None:
        self.later = Afterwards("the index of past prompts")
        self.counts: Counter[AnswerOutcome] = Counter()
        self._close_s = close_s
        self._lock = threading.Lock()
        self._searches = 0
        self._stuck = False
        self._last_warning = ""

    def count(self, outcome: AnswerOutcome) -> None:
        """Count how a look-up ended."""
        with self._lock:
            self.counts[outcome] += 1

    @contextlib.contextmanager
    def search(self) -> Iterator[bool]:
        """Run a look-up inside the block, unless another one hangs: then it is given False.

        An index that hangs delays one request, not every one.
        """
        with self._lock:
            stuck = self._stuck
            self._searches += not stuck
        if stuck:
            yield False
            return
        try:
            yield True
        finally:
            with self._lock:
                self._searches -= 1
                self._stuck = False

    def failed(self, error: ChopmarkError) -> None:
        """Count a look-up that broke or took too long; the request goes on without it."""
        self.count("failed")
        _LOG.warning("no answer from the past, new pictures are made", exc_info=error)
        with self._lock:
            self._stuck = self._searches > 0 and isinstance(error, StageTimeout)
            reason, before = str(error), self._last_warning
            self._last_warning = reason
        if reason != before:  # one warning for each reason; every time it is counted
            warnings.warn(f"no answers from the past: {reason}", AfterwardsWarning, stacklevel=3)

    def close(self) -> None:
        """Finish what is to be kept."""
        self.later.close(self._close_s)

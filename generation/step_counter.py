"""Counts the steps of a job and ends it when its caller wants no more."""

from __future__ import annotations

from typing import TYPE_CHECKING

from chopmark.errors import Cancelled

if TYPE_CHECKING:
    from collections.abc import Callable


class StepCounter:
    """Counts the steps of a job over all its pictures, and ends it when asked to."""

    def __init__(
        self,
        pictures: int,
        progress: Callable[[int, int], None] | None,
        cancelled: Callable[[], bool] | None,
    ) -> None:
        self._pictures = pictures
        self._progress = progress
        self._cancelled = cancelled
        self._done = 0

    def ask(self) -> None:
        """Raise Cancelled if the caller wants no more."""
        if self._cancelled is not None and self._cancelled():
            raise Cancelled("the generation was cancelled")

    def step(self, _done: int, steps: int) -> None:
        """Count one step of one picture, which takes ``steps`` in all."""
        self._done += 1
        total = max(steps * self._pictures, self._done)
        if self._progress is not None:
            self._progress(self._done, total)
        if self._done < total:
            self.ask()

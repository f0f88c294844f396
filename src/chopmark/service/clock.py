"""Work that is done again and again while a server runs."""

from __future__ import annotations

import logging
import threading
import warnings
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["repeating"]

_LOG: Final = logging.getLogger(__name__)
_LEAVE_S: Final = 5.0


@contextmanager
def repeating(
    work: Callable[[], str | None],
    *,
    every_s: float,
    name: str,
    warning: type[UserWarning] | None = None,
    at_once: bool = False,
) -> Iterator[None]:
    """Do something every so often in a thread of its own, for as long as the context lasts.

    A turn that fails is logged with its cause, and the next one is taken all the same: a clock that
    stopped would go unnoticed.

    Args:
        work: One turn; returns what went wrong though the turn was taken, or nothing.
        every_s: Seconds between two turns.
        name: Of the thread, and in the log.
        warning: What an operator is warned with, once for each new reason.
        at_once: Whether the first turn comes before the first wait.
    """
    stop = threading.Event()

    def turns() -> None:
        warned = ""
        if not at_once and stop.wait(every_s):
            return
        while True:
            try:
                reason = work() or ""
            except Exception as error:  # noqa: BLE001  the clock outlives what one turn meets
                reason = str(error)
                _LOG.error("%s: this turn failed", name, exc_info=error)
            if reason and reason != warned and warning is not None:
                _warn(f"{name}: {reason}", warning)
            warned = reason
            if stop.wait(every_s):
                return

    thread = threading.Thread(target=turns, name=f"chopmark-{name}", daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(_LEAVE_S)


def _warn(text: str, kind: type[UserWarning]) -> None:
    try:
        warnings.warn(text, kind, stacklevel=3)
    except kind:
        # Where warnings are errors: it must not end the clock.
        _LOG.error("%s", text)

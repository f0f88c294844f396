"""Time stamps that came too late for their picture: asked for again until they come."""

from __future__ import annotations

import logging
import threading
import warnings
from contextlib import contextmanager
from typing import TYPE_CHECKING

from chopmark.errors import ChopmarkError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from chopmark.pipeline.parts import Parts
    from chopmark.provenance import QueueRun

__all__ = ["StampingWarning", "stamp", "stamping"]
_LOG = logging.getLogger(__name__)


class StampingWarning(UserWarning):
    """What waits for a time stamp got none this time; it goes on waiting."""


def stamp(parts: Parts, *, limit: int = 100) -> QueueRun | None:
    """Ask the authority for what waits; ``None`` where there is no authority.

    Raises:
        ChopmarkError: The credential cannot be used.
    """
    if parts.authority is None:
        return None
    return parts.stamps.run(parts.authority, parts.credential, limit=limit)


@contextmanager
def stamping(parts: Parts) -> Iterator[None]:
    """Stamp what waits, every so often, for as long as a server runs."""
    if parts.authority is None:
        yield
        return
    stop = threading.Event()

    def work() -> None:
        warned = ""
        while not stop.wait(parts.settings.tsa_every_s):
            try:
                run = stamp(parts)
                reason = run.reason if run is not None else ""
            except ChopmarkError as error:
                reason = str(error)
                _LOG.warning("time stamps wait", exc_info=error)
            if reason and reason != warned:  # once; the next turn may go better
                warnings.warn(f"time stamps wait: {reason}", StampingWarning, stacklevel=2)
            warned = reason

    thread = threading.Thread(target=work, name="chopmark-stamps", daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(5)

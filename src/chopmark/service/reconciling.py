"""What a process that died left open is closed while a server runs, not only when one starts."""

from __future__ import annotations

import logging
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from chopmark.errors import ChopmarkError
from chopmark.pipeline.lost import close_lost, sweep_manifests

if TYPE_CHECKING:
    from collections.abc import Iterator

    from chopmark.pipeline.parts import Parts

__all__ = ["reconciling"]

_LOG = logging.getLogger(__name__)
_EVERY_S: Final = 20.0


@contextmanager
def reconciling(parts: Parts, *, every_s: float = _EVERY_S) -> Iterator[None]:
    """Close what was left open, again and again; what earlier versions left is swept up once."""
    stop = threading.Event()

    def work() -> None:
        swept = False
        while True:
            try:
                close_lost(parts)
                if not swept:
                    sweep_manifests(parts)
                    swept = True
            except ChopmarkError as error:
                _LOG.error("what was left open is not closed yet", exc_info=error)
            if stop.wait(every_s):
                return

    thread = threading.Thread(target=work, name="chopmark-reconciling", daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(5)

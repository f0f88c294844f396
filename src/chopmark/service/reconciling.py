"""What a process that died left open is closed while a server runs, not only when one starts.

Of several servers with one database, one does it for all: within a minute of a server's death, what
it left is closed (12 s until it counts as dead, 30 s where it held this lease, 20 s a turn).
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from chopmark.pipeline.lost import close_lost, sweep_manifests
from chopmark.service.clock import repeating
from chopmark.service.lease import leased

if TYPE_CHECKING:
    from collections.abc import Iterator

    from chopmark.pipeline.parts import Parts

__all__ = ["reconciling"]

_EVERY_S: Final = 20.0


@contextmanager
def reconciling(parts: Parts, *, every_s: float = _EVERY_S) -> Iterator[None]:
    """Close what was left open, again and again; what earlier versions left is swept up once."""
    swept = False

    with leased(parts, "reconcile", lasts_s=1.5 * every_s) as is_mine:

        def turn() -> None:
            nonlocal swept
            if is_mine():
                close_lost(parts)
            if not swept:
                # These lie in this home.
                sweep_manifests(parts)
                swept = True

        with repeating(turn, every_s=every_s, name="what was left open", at_once=True):
            yield

"""Time stamps that came too late for their picture: asked for again until they come."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from chopmark.service.clock import repeating

if TYPE_CHECKING:
    from collections.abc import Iterator

    from chopmark.pipeline.parts import Parts
    from chopmark.provenance import QueueRun

__all__ = ["StampingWarning", "stamp", "stamping"]


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

    def turn() -> str:
        run = stamp(parts)
        return run.reason if run is not None else ""

    with repeating(
        turn, every_s=parts.settings.tsa_every_s, name="time stamps", warning=StampingWarning
    ):
        yield

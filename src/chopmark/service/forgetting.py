"""What stands beside the log goes with it: whoever is erased there is erased everywhere.

The log takes away its own content and what is attached to it. The index of past prompts, exports
with content, and answers that are kept for an ``Idempotency-Key`` lie beside it; each of them is
asked for what has lost its content, after every erasure and by the clock.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from chopmark.pipeline.erase_prompts import forget_with_the_log
from chopmark.service.exports import take_away_exports
from chopmark.tenancy.replays import FILE, Replays

if TYPE_CHECKING:
    from pathlib import Path

    from chopmark.audit import AuditLog
    from chopmark.pipeline.parts import Parts

__all__ = ["follow_the_log", "forget_beside_the_log"]

_BATCH: Final = 200


def forget_beside_the_log(
    home: Path, log: AuditLog, *, replays: Replays | None = None, database: str = ""
) -> None:
    """Take away all that is kept beside the log of what has no content in it any more.

    Args:
        home: The home folder.
        log: Its log.
        replays: The kept answers, where they are open here already.
        database: Where they are kept else, as :attr:`~chopmark.settings.Settings.database`.

    Raises:
        ChopmarkError: Something could not be taken away; what could was.
    """
    forget_with_the_log(home, log)
    take_away_exports(home, log)
    if replays is not None:
        _forget_replays(replays, log)
    elif database or (home / FILE).exists():
        opened = Replays.open(home, running=False, database=database)
        try:
            _forget_replays(opened, log)
        finally:
            opened.close()


def follow_the_log(parts: Parts, replays: Replays) -> None:
    """Have :func:`forget_beside_the_log` done whenever content goes from the log of ``parts``."""
    parts.followers.append(lambda log: forget_beside_the_log(parts.home, log, replays=replays))


def _forget_replays(replays: Replays, log: AuditLog) -> None:
    records = replays.records()
    for first in range(0, len(records), _BATCH):
        # A long read would keep receipts waiting.
        replays.forget(log.custody.contentless(records[first : first + _BATCH]))

"""What stands beside the log goes with it: whoever is erased there is erased everywhere.

The log takes away its own content and what is attached to it. The index of past prompts, exports
with content, answers that are kept for an ``Idempotency-Key``, and files of callers lie beside it;
each is asked for what has lost its content, after every erasure and by the clock.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from chopmark.pipeline.erase_prompts import forget_with_the_log
from chopmark.service.export_requests import take_away_exports
from chopmark.tenancy.files import FILE as FILES
from chopmark.tenancy.files import FileStore
from chopmark.tenancy.replays import FILE, Replays

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from chopmark.audit import AuditLog
    from chopmark.pipeline.parts import Parts
    from chopmark.settings import Settings

__all__ = ["follow_the_log", "forget_beside_the_log"]

_BATCH: Final = 200


def forget_beside_the_log(
    home: Path,
    log: AuditLog,
    *,
    replays: Replays | None = None,
    files: FileStore | None = None,
    settings: Settings | None = None,
) -> None:
    """Take away all that is kept beside the log of what has no content in it any more.

    Args:
        home: The home folder.
        log: Its log.
        replays: The kept answers, where they are open here already.
        files: The files of callers, likewise.
        settings: Say where those lie that are not open here; without, in the home.

    Raises:
        ChopmarkError: Something could not be taken away; what could was.
    """
    database = "" if settings is None else settings.database
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
    if files is not None:
        _forget_files(files, log)
    elif database or (home / FILES).exists():
        kept = FileStore.open(home, database=database)
        try:
            _forget_files(kept, log)
        finally:
            kept.close()


def follow_the_log(parts: Parts, replays: Replays, files: FileStore) -> None:
    """Have :func:`forget_beside_the_log` done whenever content goes from the log of ``parts``."""
    parts.followers.append(
        lambda log: forget_beside_the_log(parts.home, log, replays=replays, files=files)
    )


def _forget_replays(replays: Replays, log: AuditLog) -> None:
    for records in _contentless(replays.records(), log):
        replays.forget(records)


def _forget_files(files: FileStore, log: AuditLog) -> None:
    for records in _contentless(files.records(), log):
        files.forget(records)


def _contentless(records: list[str], log: AuditLog) -> Iterator[list[str]]:
    for first in range(0, len(records), _BATCH):
        # A long read would keep receipts waiting.
        gone = list(log.custody.contentless(records[first : first + _BATCH]))
        if gone:
            yield gone

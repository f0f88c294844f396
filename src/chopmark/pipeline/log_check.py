"""The walk over a home's log, with all that its other stores know of what must be in it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from chopmark.audit import LogReport
    from chopmark.kit.types import Progress
    from chopmark.settings import Settings

__all__ = ["check_log", "records_of_manifests"]


def check_log(
    settings: Settings,
    *,
    progress: Progress | None = None,
    since_checkpoint: bool = False,
    kept: Iterable[str] = (),
    public_key: str | None = None,
    witnesses: Iterable[str] = (),
) -> LogReport:
    """Walk the log of the settings' home; see :func:`chopmark.audit.verify_log`.

    The records that manifests are kept for must be in it: a log that was put back from a backup
    lacks those that came later.

    Raises:
        LogUnavailable: There is no log, or it cannot be read.
        ConfigurationError: The manifests cannot be read.
        InvalidRequest: A verifier key is not one.
    """
    from chopmark.audit import verify_log

    return verify_log(
        settings.open_home(),
        progress=progress,
        since_checkpoint=since_checkpoint,
        kept=kept,
        public_key=public_key,
        witnesses=witnesses,
        database=settings.log_address,
        keys_database=settings.log_keys_address,
        mark=settings.log_mark,
        # Read first: whatever a manifest is kept for was booked before it.
        expected=records_of_manifests(settings),
    )


def records_of_manifests(settings: Settings) -> list[str]:
    """Return the ids of the records that manifests are kept for; none where nobody keeps any.

    Raises:
        ConfigurationError: The store cannot be read.
    """
    from chopmark.pipeline.parts import Parts

    parts = Parts(settings)
    try:
        if not parts.exists("store"):
            return []
        # A plugin's store need not know; then nothing is expected of the log.
        ids = getattr(parts.store, "record_ids", None)
        return list(ids()) if ids is not None else []
    finally:
        parts.close()

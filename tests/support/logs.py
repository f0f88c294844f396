"""Where a log that is open keeps what: tests look into its files, nobody else has to."""

from __future__ import annotations

from typing import TYPE_CHECKING

from chopmark.audit.log.paths import Paths

if TYPE_CHECKING:
    from pathlib import Path

    from chopmark.audit import AuditLog

__all__ = ["forget_marks", "paths_of"]


def paths_of(log: AuditLog) -> Paths:
    """Return the paths of a log's files."""
    return log._paths


def forget_marks(home: Path) -> None:
    """Remove what a home remembers of its log outside the database, in every place."""
    paths = Paths(home)
    manifests = paths.manifests / "log-checkpoint"
    for path in (paths.checkpoint, paths.verified, paths.signed, paths.marks / "signed", manifests):
        path.unlink(missing_ok=True)

"""Where a log that is open keeps what: tests look into its files, nobody else has to."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from chopmark.audit import AuditLog
    from chopmark.audit.log.paths import Paths

__all__ = ["paths_of"]


def paths_of(log: AuditLog) -> Paths:
    """Return the paths of a log's files."""
    return log._paths

"""Work that was given to another process, and did not come back."""

from __future__ import annotations

from chopmark.errors.base import ChopmarkError

__all__ = ["OverMemory", "WorkError", "WorkerLost"]


class WorkError(ChopmarkError):
    """Something about a worker process."""

    code = "work_error"


class WorkerLost(WorkError):
    """The process that did the work ended before it was done: a crash, or somebody killed it."""

    code = "worker_lost"


class OverMemory(WorkError):
    """The work needed more memory than one request may have."""

    code = "over_memory"
    status = 413

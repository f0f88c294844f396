"""The engine of one machine: three pools of processes."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

from chopmark.workers.pool import Pool

if TYPE_CHECKING:
    from collections.abc import Mapping

    from chopmark.workers.interface import Answer, Job, PoolName
    from chopmark.workers.pool import PoolPlan

__all__ = ["LocalEngine", "usual_number"]

#: MiB that one more worker of each pool takes, with what it works on.
_WORKER_MB = 600


class LocalEngine:
    """Processes on this machine; see :class:`chopmark.workers.interface.Engine`.

    Args:
        plans: One for each pool.
    """

    def __init__(self, plans: Mapping[PoolName, PoolPlan]) -> None:
        self.pools = {name: Pool(plan) for name, plan in plans.items()}

    def start(self) -> None:
        """Begin to load every pool, all at once, without waiting."""
        for pool in self.pools.values():
            pool.start()

    def ready(self) -> dict[PoolName, tuple[str, ...]]:
        """Wait until every process runs; return what those of each pool gave up."""
        with ThreadPoolExecutor(len(self.pools)) as threads:
            return dict(zip(self.pools, threads.map(Pool.ready, self.pools.values()), strict=True))

    def submit(self, pool: PoolName, job: Job) -> Answer:
        """Run a job; see :meth:`chopmark.workers.interface.Engine.submit`."""
        return self.pools[pool].run(job)

    def close(self) -> None:
        """End every process, whatever it does. Idempotent."""
        for pool in self.pools.values():
            pool.close()


def usual_number() -> int:
    """Return how many workers of each kind suit this machine: by its cores and its memory."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return max(1, min(cores or 1, _memory_mb() // 2 // _WORKER_MB))


def _memory_mb() -> int:
    """Return the memory that this process may use, in MiB: the machine's, or its container's."""
    physical = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    limit = Path("/sys/fs/cgroup/memory.max")  # cgroup v2; "max" where there is none
    try:
        text = limit.read_text().strip()
    except OSError:
        text = "max"
    return (min(physical, int(text)) if text.isdecimal() else physical) >> 20

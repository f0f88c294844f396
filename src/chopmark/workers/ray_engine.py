"""The engine of a cluster: jobs go to whichever machine has room.

Ray only spreads them. On the machine that gets a job a :class:`~chopmark.workers.LocalEngine` runs
it in the same confined processes as on a single machine, within the same limits.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from chopmark.workers.interface import Answer
from chopmark.workers.ray_calls import ask, packed, unpacked

if TYPE_CHECKING:
    from chopmark.workers.interface import Job, PoolName

__all__ = ["RayEngine"]

#: Seconds that a job may wait for its turn beyond what it may run.
_WAIT_S: Final = 30.0
#: Seconds until the first set of guards has loaded its models.
_LOAD_S: Final = 600.0


class RayEngine:
    """See :class:`chopmark.workers.interface.Engine`.

    Args:
        handle: Ray's handle of the deployment of :class:`chopmark.workers.ray_replicas.Guards`.
    """

    def __init__(self, handle: Any) -> None:
        self._handle = handle

    def submit(self, pool: PoolName, job: Job) -> Answer:
        """Run a job on one of the cluster's machines; see ``Engine.submit``.

        Raises:
            Busy: Too many jobs wait already.
        """
        value, arrays = ask(
            self._handle,
            "submit",
            pool,
            (job.name, job.value, job.tenant, job.limit_s, job.memory_mb),
            *packed(job.buffers),
            what=job.name.replace("_", " "),
            limit_s=job.limit_s + _WAIT_S,
        )
        return Answer(value=value, buffers=unpacked(arrays))

    def ready(self) -> dict[PoolName, tuple[str, ...]]:
        """Wait until some machine of the cluster takes jobs; return what its processes gave up."""
        held: dict[PoolName, tuple[str, ...]] = ask(
            self._handle, "ready", what="loading the guards", limit_s=_LOAD_S
        )
        return held

    def close(self) -> None:
        """Do nothing: the replicas are the cluster's."""

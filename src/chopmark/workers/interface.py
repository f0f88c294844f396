"""The seam: a named job with bytes goes in, bytes or a coded error come out."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

__all__ = ["Answer", "Engine", "Job", "JobTable", "PoolName", "WorkFunction"]

#: Who does it. ``files`` parses what strangers send and holds nothing worth stealing; ``texts``
#: judges words, likewise; ``trusted`` has the keys and sees raw pixels and parsed values only.
PoolName: TypeAlias = Literal["files", "texts", "trusted"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One piece of work.

    Attributes:
        name: Of the function that does it, in the pool's table.
        value: What it is given beside bytes: anything that pickles. We are trusted by our workers;
            it is they who need not be trusted by us.
        buffers: Large bytes, handed over in shared memory.
        tenant: For whom; waiting jobs take turns by tenant.
        limit_s: Seconds of wall clock that it may run; then its process is killed.
        memory_mb: MiB that it may take beyond what its process holds already.
    """

    name: str
    value: Any = None
    buffers: tuple[bytes | memoryview, ...] = field(default=(), repr=False)
    tenant: str = "default"
    limit_s: float
    memory_mb: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a job came to.

    Attributes:
        value: Plain values, and those value classes that the pool's table allows.
        buffers: Large bytes.
    """

    value: Any = None
    buffers: tuple[bytes, ...] = field(default=(), repr=False)


WorkFunction: TypeAlias = "Callable[[Any, Sequence[bytes]], Answer]"


@dataclass(frozen=True, slots=True, kw_only=True)
class JobTable:
    """What a module of jobs offers; its function ``open_jobs(value)`` returns one.

    Attributes:
        functions: By the names that jobs ask for.
        values: The value classes that an answer may hold, by name. A process that parses foreign
            bytes is believed no further than that: its answers are never unpickled.
    """

    functions: Mapping[str, WorkFunction]
    values: Mapping[str, type]


class Engine(Protocol):
    """Runs jobs somewhere else. Called from several threads at once."""

    def submit(self, pool: PoolName, job: Job) -> Answer:
        """Run a job and return what it came to; the calling thread waits.

        Raises:
            StageTimeout: It ran longer than it may, and was stopped.
            OverMemory: It needed more memory than it may have.
            WorkerLost: Its process ended.
            Cancelled: Nobody waits for it any more; it was stopped.
            ChopmarkError: What the work itself raised.
        """

    def ready(self) -> Mapping[PoolName, tuple[str, ...]]:
        """Wait until jobs can run; return what the processes of each pool gave up."""

    def close(self) -> None:
        """Stop everything. Idempotent."""

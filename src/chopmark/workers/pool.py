"""Some worker processes of one kind, and the jobs that wait for them."""

from __future__ import annotations

import contextlib
import logging
import os
import pickle
import select
import signal
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from chopmark.errors import Cancelled, OverMemory, StageTimeout, WorkerLost
from chopmark.kit.cancellation import current_token
from chopmark.workers import values, wire
from chopmark.workers.interface import Answer
from chopmark.workers.line import Line
from chopmark.workers.nurse import Nurse

if TYPE_CHECKING:
    from collections.abc import Mapping

    from chopmark.kit.cancellation import CancelToken
    from chopmark.workers.interface import Job
    from chopmark.workers.nurse import Hatched
    from chopmark.workers.worker import Manner

__all__ = ["Pool", "PoolPlan", "WorkFailed"]

_LOG = logging.getLogger(__name__)
#: Bytes of JSON that are taken from a process that is not believed; a long report has some 100 kB.
_MOST_SAID: Final = 4 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolPlan:
    """What a pool is made of.

    Attributes:
        name: For messages.
        module: Whose ``open_jobs`` returns the table of jobs.
        value: What that is given.
        classes: Value classes that answers may hold, by name.
        manner: How the processes run.
        places: How many jobs run at once.
        most_jobs: Jobs after which a process is replaced.
        one_tenant: Whether a process serves one tenant only, and is then replaced.
        strangers: Tenants that are many people who do not know each other: one job a process. With
            an address behind a colon they are no fewer, who may all come through one proxy.
    """

    name: str
    module: str
    manner: Manner
    places: int
    most_jobs: int
    value: Any = None
    classes: Mapping[str, type] = field(default_factory=dict)
    one_tenant: bool = False
    strangers: frozenset[str] = frozenset({"anybody"})

    def suits(self, worker: _Worker, tenant: str) -> bool:
        """Tell whether a process may do one more job, and this tenant's."""
        if worker.jobs >= self.most_jobs:
            return False
        if not self.one_tenant or worker.jobs == 0:
            return True
        return worker.tenant == tenant and tenant.partition(":")[0] not in self.strangers


@dataclass(slots=True)
class _Worker:
    """A process, and what it has done so far."""

    hatched: Hatched
    tenant: str
    jobs: int = 0
    buried: bool = False

    def is_gone(self) -> bool:
        """Tell whether it ended while it had nothing to do; then nobody need hear of it."""
        readable, _, _ = select.select([self.hatched.sock], [], [], 0)
        return bool(readable)


class Pool:
    """Runs the jobs of one kind; called from many threads, each of which waits for its own."""

    def __init__(self, plan: PoolPlan) -> None:
        self.plan = plan
        self._nurse = Nurse(plan.name, plan.module, plan.value, plan.manner)
        self._line = Line(plan.places)
        # Each entry is touched by whoever holds the place of that number, and by nobody else.
        self._workers: list[_Worker | None] = [None] * plan.places
        self._closed = False

    def start(self) -> None:
        """Begin to load, without waiting for it."""
        self._nurse.start()

    def ready(self) -> tuple[str, ...]:
        """Have every process running; return what they gave up (see ``sandbox``)."""
        held: tuple[str, ...] = ()
        places = [self._line.take("", None) for _ in range(self.plan.places)]
        try:
            for place in places:
                worker = self._workers[place]
                if worker is not None and worker.is_gone():
                    self._bury(worker)
                    worker = None
                if worker is None:
                    worker = self._workers[place] = _Worker(self._nurse.fork(), "")
                held = worker.hatched.held
        finally:
            for place in places:
                self._line.give(place)
        return held

    @property
    def waiting(self) -> int:
        """Jobs that wait for a process."""
        return self._line.waiting

    @property
    def pids(self) -> list[int]:
        """The processes that do the work now."""
        return [worker.hatched.pid for worker in self._workers if worker is not None]

    @property
    def nursery_pid(self) -> int | None:
        """The process that they are forked from."""
        return self._nurse.pid

    def run(self, job: Job) -> Answer:
        """Run a job; see :meth:`chopmark.workers.interface.Engine.submit`."""
        token = current_token()
        liked = [
            place
            for place, worker in enumerate(self._workers)
            if worker is not None and worker.tenant == job.tenant
        ]
        place = self._line.take(job.tenant, token, liked=liked)
        try:
            if self._closed:
                raise WorkerLost("the workers are stopped", hint="the service is shutting down")
            worker = self._worker(place, job.tenant)
            try:
                return self._on(worker, job, token)
            finally:
                if worker.buried:
                    self._workers[place] = None
        finally:
            self._line.give(place)

    def _worker(self, place: int, tenant: str) -> _Worker:
        """Return the place's process, a new one where the old one has served its time."""
        worker = self._workers[place]
        if worker is not None and (worker.is_gone() or not self.plan.suits(worker, tenant)):
            self._workers[place] = None
            self._bury(worker)
            worker = None
        if worker is None:
            worker = self._workers[place] = _Worker(self._nurse.fork(), tenant)
        worker.tenant = tenant
        worker.jobs += 1
        return worker

    def _on(self, worker: _Worker, job: Job, token: CancelToken | None) -> Answer:
        """Run a job on a process; whatever ends it otherwise than by an answer ends the process."""
        ended = _Ended(worker.hatched.pid)
        stop = contextlib.nullcontext() if token is None else token.calling(ended.by_cancel)
        begun = time.monotonic()
        try:
            with stop:
                body, files = self._exchange(worker, job, until=begun + job.limit_s)
        except wire.Broken as error:
            reason = ended.reason or ("time" if isinstance(error, wire.Late) else None)
            code = self._bury(worker)
            raise self._lost(job, reason, code) from error
        if ended.reason is not None:  # killed as the answer came: the process is gone all the same
            for file in files:
                os.close(file)
            self._bury(worker)
            raise self._lost(job, ended.reason, None)
        _LOG.debug("%s took %.0f ms", job.name, 1000 * (time.monotonic() - begun))
        try:
            return self._answer(job, body, files)
        except (OverMemory, WorkerLost):
            # It may hold what it could not give back, or answer what nobody can read.
            self._bury(worker)
            raise

    def _bury(self, worker: _Worker) -> int | None:
        worker.buried = True
        return self._nurse.bury(worker.hatched)

    def _exchange(self, worker: _Worker, job: Job, *, until: float) -> tuple[bytes, list[int]]:
        asked = pickle.dumps((job.name, job.value, job.memory_mb), pickle.HIGHEST_PROTOCOL)
        wire.send(worker.hatched.sock, asked, job.buffers, until=until)
        most = wire.MOST_BODY if self.plan.manner.trusted else _MOST_SAID
        return wire.receive(worker.hatched.sock, until=until, most=most)

    def _answer(self, job: Job, body: bytes, files: list[int]) -> Answer:
        most = self.plan.manner.most_answer_mb << 20
        try:
            buffers = wire.read_buffers(files, most=most)
            if self.plan.manner.trusted:
                state, value = pickle.loads(body)  # noqa: S301  it has the keys: it is trusted
            else:
                state, value = values.decode(body, self.plan.classes)
            if state == "ok":
                return Answer(value=value, buffers=buffers)
            code, kind = str(value["code"]), str(value.get("type"))
        except (wire.Broken, TypeError, ValueError, KeyError, AttributeError) as error:
            raise WorkerLost(f"the answer to {job.name} cannot be read") from error
        if code == "over_memory":
            raise self._over_memory(job)
        if code:
            raise values.decode_error(value)
        _LOG.error("%s failed with %s\n%s", job.name, kind, value.get("where"))
        raise WorkFailed(kind)

    def _lost(self, job: Job, reason: str | None, code: int | None) -> Exception:
        if reason == "time":
            _LOG.error("%s took longer than %g s, and was stopped", job.name, job.limit_s)
            return StageTimeout(
                f"{job.name.replace('_', ' ')} took longer than {job.limit_s:g} s",
                hint="it was stopped, and nothing left the system",
            )
        if reason == "cancel":
            return Cancelled("nobody waits for this work any more")
        signalled = "" if code is None or code >= 0 else f" ({signal.Signals(-code).name})"
        _LOG.error("the process that did %s ended%s", job.name, signalled)
        return WorkerLost(
            f"the process that did {job.name.replace('_', ' ')} ended{signalled}",
            hint="nothing left the system; another process takes its place",
        )

    @staticmethod
    def _over_memory(job: Job) -> OverMemory:
        return OverMemory(
            f"{job.name.replace('_', ' ')} needs more than {job.memory_mb} MiB",
            hint="send a smaller one; nothing left the system",
        )

    def close(self) -> None:
        """End the processes, whatever they do."""
        self._closed = True
        self._nurse.close()
        # Whoever still waits for an answer hears that its process is gone, and gives its place
        # back.
        places = [self._line.take("", None) for _ in range(self.plan.places)]
        for place in places:
            worker, self._workers[place] = self._workers[place], None
            if worker is not None:
                worker.hatched.sock.close()
        for place in places:
            self._line.give(place)


class WorkFailed(Exception):
    """The work raised what is no error of ours; the message is the name of its class."""


class _Ended:
    """Kills a process for whom nobody waits, and remembers it."""

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self.reason: str | None = None

    def by_cancel(self) -> None:
        self.reason = "cancel"
        with contextlib.suppress(ProcessLookupError):
            os.kill(self._pid, signal.SIGKILL)

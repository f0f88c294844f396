"""What runs on the machines of a cluster: guards and seals, and generators.

Each replica opens its parts by the settings of its own machine: no key, no password and no address
travels in what Ray keeps of a deployment.
"""

from __future__ import annotations

import asyncio
import contextlib
import queue
import threading
from concurrent.futures import ThreadPoolExecutor
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

from ray import serve

from chopmark.kit.cancellation import CancelToken, token_in
from chopmark.settings import load_settings
from chopmark.workers.engine import usual_number
from chopmark.workers.generators import generator_elsewhere
from chopmark.workers.interface import Job
from chopmark.workers.ray_calls import doing, packed
from chopmark.workers.ray_pictures import pack_pictures

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping

    from chopmark.generation import GenerationJob
    from chopmark.workers.engine import LocalEngine
    from chopmark.workers.interface import PoolName
    from chopmark.workers.ray_pictures import Packed

__all__ = ["Generating", "Guards"]

#: Seconds that a job waits for others to share its batch.
_GATHER_S: Final = 0.01


class Guards:
    """Judges, marks, signs and reads files on one machine, in its confined processes.

    Args:
        options: Settings that go before those of the machine.
        opener: ``module:function`` that opens the machine's engine by its settings.
        threads: Jobs that wait here at once.
    """

    def __init__(self, options: Mapping[str, Any], opener: str, threads: int) -> None:
        settings = load_settings(**options)
        settings = settings.model_copy(update={"workers": settings.workers or usual_number()})
        module, _, function = opener.partition(":")
        # Ours stands above this room, which must not import it: as for a pool, it is named.
        self._engine: LocalEngine = getattr(import_module(module), function)(settings)
        self._held = self._engine.ready()
        self._threads = ThreadPoolExecutor(threads)

    async def submit(
        self, pool: PoolName, job: tuple[str, Any, str, float, int], *arrays: Any
    ) -> tuple[str, Any]:
        """Run a job; the answer's value and its buffers as arrays."""
        name, value, tenant, limit_s, memory_mb = job
        buffers = tuple(memoryview(one) for one in arrays)
        asked = Job(
            name=name,
            value=value,
            buffers=buffers,
            tenant=tenant,
            limit_s=limit_s,
            memory_mb=memory_mb,
        )

        def run() -> Any:
            answer = self._engine.submit(pool, asked)
            return answer.value, packed(answer.buffers)

        return await _cancellable(self._threads, run)

    async def ready(self) -> tuple[str, Any]:
        """Say what the processes of each pool gave up."""
        return "ok", self._held

    def check_health(self) -> None:
        """Raise where a pool has no process that it can fork from; Ray then replaces this one."""
        for name, pool in self._engine.pools.items():
            if pool.nursery_pid is None:
                raise RuntimeError(f"the {name} workers do not run")

    def __del__(self) -> None:
        """End the processes with the replica."""
        with contextlib.suppress(AttributeError):  # it never opened
            self._engine.close()


async def _cancellable(threads: ThreadPoolExecutor, work: Callable[[], Any]) -> tuple[str, Any]:
    """Do work in a thread; where the caller leaves, its process is killed."""
    token = CancelToken()

    def run() -> tuple[str, Any]:
        token_in(token)
        return doing(work)

    try:
        return await asyncio.get_running_loop().run_in_executor(threads, run)
    except asyncio.CancelledError:
        token.cancel()
        raise


class Generating:
    """Makes pictures on one machine, in batches of what is asked for at the same time.

    Args:
        options: As for :class:`Guards`.
        threads: Jobs that are under way here at once.
    """

    def __init__(self, options: Mapping[str, Any], threads: int) -> None:
        settings = load_settings(**options)
        self._generator = generator_elsewhere(settings, threads=settings.generator_threads)
        self._info = self._generator.info
        if settings.warm_up:
            self._generator.warm_up()
        self._threads = ThreadPoolExecutor(threads)
        # Jobs that come together are begun together, so that the model makes them in one batch;
        # each is answered when it is done.
        self._together = serve.batch(
            max_batch_size=settings.max_batch, batch_wait_timeout_s=_GATHER_S
        )(self._begin)

    async def info(self) -> tuple[str, Any]:
        """Say what is known about the model."""
        return "ok", self._info

    async def generate(self, job: GenerationJob) -> tuple[str, Any]:
        """Make the pictures of a job, in one batch with what else waits."""
        gone = threading.Event()
        try:
            making = await self._together((job, gone))
            answer: tuple[str, Any] = await making
        except asyncio.CancelledError:
            gone.set()
            raise
        return answer

    async def _begin(
        self, jobs: list[tuple[GenerationJob, threading.Event]]
    ) -> list[asyncio.Future[tuple[str, Any]]]:
        loop = asyncio.get_running_loop()
        return [loop.run_in_executor(self._threads, self._make, *one) for one in jobs]

    def _make(self, job: GenerationJob, gone: threading.Event) -> tuple[str, Any]:
        def make() -> list[Packed]:
            return pack_pictures(self._generator.generate(job, cancelled=gone.is_set))

        return doing(make)

    async def show(self, job: GenerationJob) -> AsyncIterator[tuple[str, Any]]:
        """Make the pictures of a job and tell each step and each look on the way."""
        news: queue.SimpleQueue[tuple[str, Any]] = queue.SimpleQueue()
        gone = threading.Event()

        def tell(kind: str, value: Any) -> None:
            news.put(("ok", (kind, value)))

        def make() -> tuple[str, Any]:
            pictures = self._generator.generate(
                job,
                progress=lambda done, total: tell("step", (done, total)),
                cancelled=gone.is_set,
                draft=lambda draft: tell("draft", draft),
            )
            return "done", pack_pictures(pictures)

        loop = asyncio.get_running_loop()
        made = loop.run_in_executor(self._threads, lambda: news.put(doing(make)))
        try:
            while True:
                one = await loop.run_in_executor(None, news.get)
                yield one
                if one[0] != "ok" or one[1][0] == "done":
                    break
            await made
        finally:
            gone.set()

    def check_health(self) -> None:
        """Raise where the model's process was never started; a crash of it is its own to mend."""
        if not self._generator.pids:
            raise RuntimeError("the generator does not run")

    def __del__(self) -> None:
        """End the process with the replica."""
        with contextlib.suppress(AttributeError):
            self._generator.close()

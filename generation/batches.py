"""Several requests in one call of the model, without anybody waiting for a batch to fill.

Whoever asks puts the pictures that it wants into a queue, and one worker thread takes from it what
goes together (same size, steps and guidance) up to the largest batch. While a batch runs the next
one gathers, so a lone request starts at once and a crowd shares (Clipper's adaptive batching,
Crankshaw et al. 2017, NSDI, with an empty waiting time). Each tenant gets its turn: one that asks
for a hundred pictures delays another by one batch, not by a hundred pictures.

Where a batch is measured to be no faster than its pictures one by one, as on a CPU for some models,
each gets a call of its own (:mod:`.pace`). A batch is all but equal to its pictures alone: sums are
added up in another order, so a channel of a pixel may differ by one or two of 255. Whoever must
know can ask :func:`~chopmark.generation.interface.batch_size` of a picture.
"""

from __future__ import annotations

import logging
import queue
import threading
import time
import weakref
from collections import OrderedDict, deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from chopmark.errors import Busy, Cancelled, ChopmarkError, GenerationFailed
from chopmark.generation.calls import Slot, together
from chopmark.generation.interface import Draft, set_batch_size
from chopmark.generation.pace import Pace
from chopmark.generation.step_counter import StepCounter

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Sequence

    from PIL import Image

    from chopmark.generation.diffusers_engine import DiffusersGenerator
    from chopmark.generation.interface import GenerationJob, ModelInfo

#: Seconds between two looks at whether a waiting caller is still there.
_LOG = logging.getLogger(__name__)
_AGAIN: Final = "a batch of %d failed, and is made again one by one"
_POLL_S: Final = 0.05


class BatchingGenerator:
    """A :class:`~chopmark.generation.Generator` that lets concurrent jobs share calls of an engine.

    Args:
        engine: what makes the pictures.
        max_batch: pictures in one call at most; ``None`` is the engine's own number.
        max_waiting: pictures that may wait; more are refused with ``Busy``.
    """

    def __init__(
        self, engine: DiffusersGenerator, *, max_batch: int | None = None, max_waiting: int = 256
    ) -> None:
        self._engine = engine
        self._max_batch = engine.max_batch if max_batch is None else max_batch
        self._max_waiting = max_waiting
        self._pace = Pace(self._max_batch)
        self._lock = threading.Lock()
        self._tenants: OrderedDict[str, deque[_Place]] = OrderedDict()
        self._running = False
        # One thread for all calls: torch keeps what it prepared for a layer by thread, and a fresh
        # one pays for it again (20 of 310 ms for an embedded picture).
        self._thread: threading.Thread | None = None
        self._wake: queue.SimpleQueue[bool] = queue.SimpleQueue()
        weakref.finalize(self, self._wake.put, False)

    @property
    def info(self) -> ModelInfo:
        """What is known about the model."""
        return self._engine.info

    @property
    def waiting(self) -> int:
        """Pictures that wait for their call."""
        with self._lock:
            return sum(len(places) for places in self._tenants.values())

    def warm_up(self) -> None:
        """Make a first picture, so that the first caller does not pay for it."""
        job = self._engine.first_job
        if job is not None:
            self.generate(job)

    def generate(
        self,
        job: GenerationJob,
        *,
        progress: Callable[[int, int], None] | None = None,
        cancelled: Callable[[], bool] | None = None,
        draft: Callable[[Draft], None] | None = None,
    ) -> list[Image.Image]:
        """Make the pictures of ``job``; see :meth:`chopmark.generation.Generator.generate`.

        Raises:
            Busy: as many pictures wait as may.
        """
        self._engine.check(job)
        ticket = _Ticket(job=job, wants_drafts=draft is not None)
        watch = StepCounter(job.n, progress, cancelled)
        watch.ask()
        self._enter(ticket)
        try:
            return self._follow(ticket, watch, draft)
        finally:
            ticket.gone = True
            self._leave(ticket)

    def _enter(self, ticket: _Ticket) -> None:
        with self._lock:
            waiting = sum(len(places) for places in self._tenants.values())
            # An empty queue takes any job: the bound is for those who wait.
            if waiting and waiting + ticket.job.n > self._max_waiting:
                raise Busy(
                    f"{waiting} pictures are waiting for the model already",
                    hint="try again in a moment",
                )
            places = self._tenants.setdefault(ticket.job.tenant, deque())
            places.extend(_Place(ticket, index) for index in range(1, ticket.job.n + 1))
            if not self._running:
                self._running = True
                self._start()

    def _start(self) -> None:
        """Wake the worker; there is none yet, or none any more in a forked process."""
        if self._thread is None or not self._thread.is_alive():
            self._thread = threading.Thread(
                target=_serve,
                args=(weakref.ref(self), self._wake),
                daemon=True,
                name="chopmark-batches",
            )
            self._thread.start()
        self._wake.put(True)

    def _leave(self, ticket: _Ticket) -> None:
        with self._lock:
            places = self._tenants.get(ticket.job.tenant)
            if places is not None:
                kept = [place for place in places if place.ticket is not ticket]
                places.clear()
                places.extend(kept)

    @staticmethod
    def _follow(
        ticket: _Ticket, watch: StepCounter, draft: Callable[[Draft], None] | None
    ) -> list[Image.Image]:
        """Hand on the worker's news in the caller's own thread until every picture is there."""
        pictures: dict[int, Image.Image | None] = {}
        while len(pictures) < ticket.job.n:
            try:
                news = ticket.news.get(timeout=_POLL_S)
            except queue.Empty:
                watch.ask()
                continue
            match news:
                case _Stepped(steps):
                    watch.step(0, steps)
                case Draft():
                    watch.ask()
                    if draft is not None:
                        draft(news)
                case _Done(index, picture):
                    pictures[index] = picture
                case ChopmarkError():
                    raise news
        done = [pictures[index] for index in range(1, ticket.job.n + 1)]
        return [picture for picture in done if picture is not None]

    def work(self) -> None:
        """Run batches until nobody waits; for the worker alone."""
        while True:
            with self._lock:
                batch = self._next()
                if not batch:
                    self._running = False
                    return
            self._run(batch)

    def _next(self) -> list[_Place]:
        """Take the next batch out of the queue: the tenant whose turn it is chooses its kind."""
        for name in [name for name, places in self._tenants.items() if not places]:
            del self._tenants[name]
        if not self._tenants:
            return []
        first = next(iter(self._tenants))
        batch = [self._tenants[first].popleft()]
        self._tenants.move_to_end(first)
        # One picture a tenant, round and round, until the batch is full or nobody fits.
        most = self._pace.limit(_kind(batch[0].job))
        while len(batch) < most:
            before = len(batch)
            for places in self._tenants.values():
                if len(batch) == most:
                    break
                fitting = next((p for p in places if together(p.job, batch[0].job)), None)
                if fitting is not None:
                    places.remove(fitting)
                    batch.append(fitting)
            if len(batch) == before:
                break
        return batch

    def _run(self, batch: Sequence[_Place]) -> None:
        alone = len(batch) == 1
        begun = time.perf_counter()
        try:
            pictures = self._engine.run([place.slot(batch) for place in batch])
        except Cancelled:
            _LOG.debug("nobody of a batch of %d is there any more", len(batch))
            return
        except ChopmarkError as error:
            if alone:
                batch[0].ticket.news.put(error)
                return
            _LOG.warning(_AGAIN, len(batch), exc_info=error)
        except Exception as error:  # noqa: BLE001 - it is told to whoever waits, and the worker lives on
            if alone:
                failed = GenerationFailed(f"the model failed: {type(error).__name__}")
                failed.__cause__ = error
                batch[0].ticket.news.put(failed)
                return
            # Said here and not below: the trace holds the memory that the next try needs.
            _LOG.warning(_AGAIN, len(batch), exc_info=error)
        else:
            took = time.perf_counter() - begun
            self._pace.note(_kind(batch[0].job), pictures=len(batch), seconds=took)
            if not pictures:  # looks only
                for place in batch:
                    place.ticket.news.put(_Done(place.index, None))
                return
            for place, picture in zip(batch, pictures, strict=True):
                set_batch_size(picture, len(batch))
                place.ticket.news.put(_Done(place.index, picture))
            return
        # A batch that fails is made again one by one: nobody pays for a neighbour's prompt, and
        # what was too much memory at once may fit alone.
        for place in batch:
            if not place.ticket.gone:
                self._run([place])


def _kind(job: GenerationJob) -> Hashable:
    """Return what the time of a call depends on, beside how many pictures it makes."""
    looks = job.drafts, job.looks_only
    return job.width, job.height, job.steps, job.guidance, len(job.images), looks


def _serve(generator: weakref.ref[BatchingGenerator], wake: queue.SimpleQueue[bool]) -> None:
    """Work when woken, until the generator is gone: it is not held, so nothing must be closed."""
    while wake.get():
        alive = generator()
        if alive is None:
            return
        alive.work()
        del alive


@dataclass(frozen=True)
class _Stepped:
    steps: int


@dataclass(frozen=True)
class _Done:
    index: int
    picture: Image.Image | None


@dataclass(eq=False)
class _Ticket:
    """One job in the queue, and the news for whoever waits for it."""

    job: GenerationJob
    wants_drafts: bool
    gone: bool = False
    news: queue.SimpleQueue[_Stepped | Draft | _Done | ChopmarkError] = field(
        default_factory=queue.SimpleQueue
    )


@dataclass(frozen=True, eq=False)
class _Place:
    """One picture of a ticket."""

    ticket: _Ticket
    index: int

    @property
    def job(self) -> GenerationJob:
        return self.ticket.job

    def slot(self, batch: Sequence[_Place]) -> Slot:
        def stepped(_done: int, steps: int) -> None:
            self.ticket.news.put(_Stepped(steps))
            # Also after the last step: decoding is a third of the work.
            if all(place.ticket.gone for place in batch):
                raise Cancelled("nobody waits for this batch")

        drafted = self.ticket.news.put if self.ticket.wants_drafts else None
        return Slot(job=self.job, index=self.index, stepped=stepped, drafted=drafted)

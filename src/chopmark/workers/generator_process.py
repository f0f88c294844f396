"""The generator in a process of its own, and what stands for it in ours.

torch's threads and our workers' do not know of each other; a model that crashes, or is killed for
want of memory, must not take the log's process with it; and while it computes nobody else shall
wait for its interpreter lock. Several jobs are under way at once, so that they share batches as
they do in one process (:mod:`chopmark.generation.batches`). For several GPUs there are several
processes (:mod:`chopmark.workers.generators`).
"""

from __future__ import annotations

import contextlib
import itertools
import logging
import os
import pickle
import queue
import socket
import subprocess
import sys
import threading
from typing import TYPE_CHECKING, Any, Final

from chopmark.errors import Cancelled, ChopmarkError, GenerationFailed, ModelLoadError
from chopmark.workers import wire

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from PIL import Image

    from chopmark.generation import Draft, GenerationJob
    from chopmark.generation.interface import ModelInfo
    from chopmark.kit.types import Progress
    from chopmark.settings import Settings

__all__ = ["GeneratorProcess"]

_LOG = logging.getLogger(__name__)
_POLL_S: Final = 0.05
#: Threads of torch sleep when they have nothing to do, instead of taking a core from a worker.
_PASSIVE: Final = {"OMP_WAIT_POLICY": "PASSIVE", "GOMP_SPINCOUNT": "0", "KMP_BLOCKTIME": "0"}


class GeneratorProcess:
    """A :class:`~chopmark.generation.Generator` whose work is done in another process.

    It is started when it is first asked for, and again when it ended: what it was working on has
    failed then, and the next job finds a new one.

    Args:
        settings: Which model, and how.
        threads: Of torch, for one picture; 0 leaves it to torch.
        progress: Told about the model's unpacking.
    """

    def __init__(
        self, settings: Settings, *, threads: int = 0, progress: Progress | None = None
    ) -> None:
        self._settings, self._threads, self._progress = settings, threads, progress
        self._lock = threading.Lock()
        self._numbers = itertools.count(1)
        self._running: _Running | None = None
        self._info: ModelInfo | None = None
        self._closed = False

    @property
    def info(self) -> ModelInfo:
        """What is known about the model."""
        if self._info is None:
            self._up()
        assert self._info is not None  # noqa: S101  `_up` raises where it stays unknown
        return self._info

    @property
    def waiting(self) -> int:
        """Jobs that are under way there."""
        running = self._running
        return 0 if running is None else len(running.jobs)

    @property
    def pid(self) -> int | None:
        """Its process id, while it runs."""
        return None if self._running is None else self._running.process.pid

    def warm_up(self) -> None:
        """Make a first picture, so that the first caller does not pay for it."""
        for _ in self._ask("warm_up", None):
            pass

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
            GenerationFailed: Its process ended.
        """
        pictures: list[Image.Image] = []
        asked = self._ask("generate", (job, draft is not None), cancelled)
        # Closed at once, also when a preview is refused: the process shall stop then.
        with contextlib.closing(asked) as news:
            for kind, value in news:
                match kind:
                    case "step":
                        if progress is not None:
                            progress(*value)
                    case "draft":
                        if draft is not None:
                            draft(value)
                    case _:
                        pictures = value
        return pictures

    def close(self) -> None:
        """End the process. Idempotent."""
        with self._lock:
            self._closed = True
            running, self._running = self._running, None
        if running is not None:
            running.end()

    def _ask(
        self, what: str, value: Any, cancelled: Callable[[], bool] | None = None
    ) -> Generator[tuple[str, Any], None, None]:
        """Give the process something to do, and yield its news until it is done."""
        running = self._up()
        number = next(self._numbers)
        news: queue.SimpleQueue[tuple[str, Any]] = queue.SimpleQueue()
        running.jobs[number] = news
        done = False
        try:
            running.send((what, number, value))
            while not done:
                if cancelled is not None and cancelled():
                    raise Cancelled("nobody waits for the picture any more")
                try:
                    kind, got = news.get(timeout=_POLL_S)
                except queue.Empty:
                    if running.gone:
                        raise _ended() from None
                    continue
                if kind == "error":
                    done = True
                    raise got
                if kind == "done":
                    done = True
                    if got is None:
                        return
                yield kind, got
        except wire.Broken as error:
            raise _ended() from error
        finally:
            running.jobs.pop(number, None)
            if not done:
                # It stops before its next step.
                with contextlib.suppress(wire.Broken):
                    running.send(("cancel", number, None))

    def _up(self) -> _Running:
        """Return the running process, a new one where it ended."""
        with self._lock:
            if self._closed:
                raise GenerationFailed(
                    "the generator is stopped", hint="the service is shutting down"
                )
            if self._running is None or self._running.gone:
                if self._running is not None:
                    _LOG.error("the generator's process ended; it is started again")
                    self._running.end()
                self._running = _Running(self._settings, self._threads)
                self._info = self._running.load(self._progress)
            return self._running


class _Running:
    """One life of the process."""

    def __init__(self, settings: Settings, threads: int) -> None:
        ours, theirs = socket.socketpair()
        self.jobs: dict[int, queue.SimpleQueue[tuple[str, Any]]] = {}
        self.gone = False
        self._listener: threading.Thread | None = None
        self._sock, self._sending = ours, threading.Lock()
        environment = dict(os.environ) | _PASSIVE
        if threads:
            environment["OMP_NUM_THREADS"] = str(threads)
        program = [sys.executable, "-P", "-m", "chopmark.workers.generator_main"]
        with theirs:
            self.process = subprocess.Popen(
                [*program, str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                env=environment,
                stdin=subprocess.DEVNULL,
                start_new_session=True,
            )
        self.send(settings)

    def load(self, progress: Progress | None) -> ModelInfo:
        """Wait until the model is loaded; then begin to hand on news."""
        while True:
            try:
                kind, value = pickle.loads(wire.receive(self._sock)[0])  # noqa: S301  ours
            except wire.Broken as error:
                self.end()
                raise ModelLoadError(
                    "the generator's process ended while the model was loaded",
                    hint="see the log above; is there memory enough?",
                ) from error
            if kind == "unpacking" and progress is not None:
                progress(*value)
            elif kind == "error":
                self.end()
                raise value
            elif kind == "loaded":
                self._listener = threading.Thread(
                    target=self._listen, daemon=True, name="chopmark-news"
                )
                self._listener.start()
                info: ModelInfo = value
                return info

    def send(self, message: Any) -> None:
        body = pickle.dumps(message)
        with self._sending:
            wire.send(self._sock, body)

    def end(self) -> None:
        self.gone = True
        # The other thread's wait for news ends by this; closing alone would not wake it.
        with contextlib.suppress(OSError):
            self._sock.shutdown(socket.SHUT_RDWR)
        self.process.kill()
        self.process.wait()
        if self._listener is not None and self._listener is not threading.current_thread():
            self._listener.join()
        self._sock.close()

    def _listen(self) -> None:
        """Hand each piece of news to whoever waits for it."""
        try:
            while True:
                body, files = wire.receive(self._sock)
                kind, number, value = pickle.loads(body)  # noqa: S301  ours
                if kind == "done" and value is not None:
                    value = [_picture(one, file) for one, file in zip(value, files, strict=True)]
                news = self.jobs.get(number)
                if news is not None:
                    news.put((kind, value))
        except (wire.Broken, OSError):
            self.gone = True


def _picture(what: tuple[str, tuple[int, int], int], file: int) -> Image.Image:
    from PIL import Image

    from chopmark.generation.interface import set_batch_size

    mode, size, batch = what
    data = wire.read_buffer(file, most=2**32)
    picture = Image.frombytes(mode, size, data)
    set_batch_size(picture, batch)
    return picture


def _ended() -> ChopmarkError:
    return GenerationFailed(
        "the generator's process ended", hint="it is started again; try once more"
    )

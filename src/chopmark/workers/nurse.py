"""Starts and restarts a nursery, and has workers forked from it."""

from __future__ import annotations

import contextlib
import logging
import os
import pickle
import signal
import socket
import subprocess
import sys
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from chopmark.errors import ChopmarkError, WorkerLost
from chopmark.workers import values, wire

if TYPE_CHECKING:
    from chopmark.workers.worker import Manner

__all__ = ["Hatched", "Nurse"]

_LOG = logging.getLogger(__name__)
#: What of the environment a process gets that parses foreign bytes: where code lies, how text is
#: encoded, how many threads. No ``CHOPMARK_*`` variable, which may hold a key or a password.
_HARMLESS: Final = frozenset({
    "PATH", "PYTHONPATH", "PYTHONHOME", "PYTHONDONTWRITEBYTECODE", "VIRTUAL_ENV", "LANG", "LC_ALL",
    "LC_CTYPE", "LD_LIBRARY_PATH", "TZ", "TMPDIR",
})  # fmt: skip
#: A worker computes on one core: the others have their own work.
_ONE_THREAD: Final = {
    "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1",
    "RAYON_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Hatched:
    """A worker that was forked.

    Attributes:
        pid: Its process id.
        sock: Our end of the socket to it.
        held: What it gave up, as :func:`chopmark.workers.sandbox.confine` says.
        nursery: The process that it was forked from, and that alone can reap it.
    """

    pid: int
    sock: socket.socket
    held: tuple[str, ...]
    nursery: subprocess.Popen[bytes] | None


class Nurse:
    """Keeps one nursery running; used from several threads.

    Args:
        name: Of the pool, for messages.
        module: With ``open_jobs``.
        value: What that is given; pickled.
        manner: How the workers run.
    """

    def __init__(self, name: str, module: str, value: Any, manner: Manner) -> None:
        self.name = name
        self._setup = pickle.dumps((sys.path, module, value, manner))
        self._manner = manner
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._control: socket.socket | None = None
        self._ready = False
        self._closed = False

    def start(self) -> None:
        """Begin to load, without waiting for it."""
        with self._lock:
            self._start()

    def fork(self) -> Hatched:
        """Return a new worker.

        Raises:
            WorkerLost: The nursery ended, and could not be started again.
            ChopmarkError: It does not load: a model is missing, say.
        """
        with self._lock:
            for last in (False, True):
                try:
                    return self._fork()
                except wire.Broken as error:
                    # Somebody killed the nursery: the kernel for want of memory, most likely.
                    _LOG.warning("the %s nursery ended; it is started again", self.name)
                    self._stop()
                    if last:
                        raise WorkerLost(
                            f"no worker can be started for {self.name}",
                            hint="see the server's log; is there memory left?",
                        ) from error
        raise AssertionError  # the loop returns or raises

    def bury(self, worker: Hatched) -> int | None:
        """Kill a worker and return its exit code, negative for a signal; None if unknown."""
        worker.sock.close()
        with self._lock:
            if self._control is None or worker.nursery is not self._process:
                return None  # its nursery is gone, and it with that
            try:
                with contextlib.suppress(ProcessLookupError):
                    # Nobody reaps it but us, by the next call: the id is still its own.
                    os.kill(worker.pid, signal.SIGKILL)
                wire.send(self._control, pickle.dumps(("bury", worker.pid)))
                return int(pickle.loads(wire.receive(self._control)[0]))  # noqa: S301  ours
            except wire.Broken:
                return None

    def close(self) -> None:
        """End the nursery, and with it its workers."""
        with self._lock:
            self._closed = True
            self._stop()

    @property
    def pid(self) -> int | None:
        """The nursery's process id, while it runs."""
        return None if self._process is None else self._process.pid

    def _start(self) -> None:
        if self._process is not None or self._closed:
            return
        ours, theirs = socket.socketpair()
        inherited = dict(os.environ)
        if not self._manner.trusted:
            inherited = {key: text for key, text in inherited.items() if key in _HARMLESS}
        with theirs:
            self._process = subprocess.Popen(
                # -P: what lies in the folder that we were started in is no part of the program.
                [sys.executable, "-P", "-m", "chopmark.workers.nursery", str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                env=inherited | _ONE_THREAD,
                stdin=subprocess.DEVNULL,
                # Ctrl-C reaches the group of whoever types it; stopping us is our parent's to do.
                start_new_session=True,
            )
        self._control, self._ready = ours, False
        wire.send(ours, self._setup)

    def _fork(self) -> Hatched:
        self._start()
        if self._control is None:
            raise WorkerLost("the workers are stopped", hint="the service is shutting down")
        if not self._ready:
            failed = pickle.loads(wire.receive(self._control)[0])  # noqa: S301  ours
            if failed is not None:
                self._stop()
                if isinstance(failed, ChopmarkError):
                    raise failed
                raise WorkerLost(f"the {self.name} workers do not load: {failed}") from failed
            self._ready = True
        ours, theirs = socket.socketpair()
        try:
            with theirs:
                wire.send_with(self._control, pickle.dumps(("fork", None)), [theirs.fileno()])
            pid = int(pickle.loads(wire.receive(self._control)[0]))  # noqa: S301  ours
            hello = values.decode(wire.receive(ours)[0], {})
        except BaseException:
            ours.close()
            raise
        return Hatched(pid, ours, tuple(hello["held"]), self._process)

    def _stop(self) -> None:
        if self._control is not None:
            self._control.close()
            self._control = None
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None
        self._ready = False

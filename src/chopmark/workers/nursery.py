"""The process that worker processes are forked from: it has loaded what they share.

``python -m chopmark.workers.nursery FD`` is started by :class:`chopmark.workers.nurse.Nurse`, with
one end of a socket pair. A worker that is forked from it has its models at once, in memory that the
kernel shares until somebody writes to it, so that replacing one costs milliseconds. It runs one
thread and does nothing by itself. Without the other end it ends, and its workers with it.
"""

from __future__ import annotations

import gc
import importlib
import os
import pickle
import signal
import socket
import sys
from typing import TYPE_CHECKING, Any

from chopmark.workers import sandbox, wire
from chopmark.workers.worker import work

if TYPE_CHECKING:
    from chopmark.workers.interface import JobTable
    from chopmark.workers.worker import Manner

__all__ = ["main"]


def main() -> None:
    """Load, say so, then fork when asked."""
    control = socket.socket(fileno=int(sys.argv[1]))
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        body, _ = wire.receive(control)
        sys.path[:], module, value, manner = pickle.loads(body)  # noqa: S301  from whom we serve
        try:
            sandbox.prepare()
            table: JobTable = importlib.import_module(module).open_jobs(value)
        except Exception as error:  # noqa: BLE001  told to whoever started us
            wire.send(control, pickle.dumps(_told(error)))
            return
        # What is here now stays: the collector shall not write to pages that are shared.
        gc.collect()
        gc.freeze()
        wire.send(control, pickle.dumps(None))
        while True:
            _serve(control, table, manner)
    except wire.Broken:
        return


def _serve(control: socket.socket, table: JobTable, manner: Manner) -> None:
    body, files = wire.receive(control)
    asked, pid = pickle.loads(body)  # noqa: S301  from whom we serve
    if asked == "fork":
        child = os.fork()
        if child == 0:
            control.close()
            try:
                work(socket.socket(fileno=files[0]), table, manner)
            finally:
                os._exit(70)
        os.close(files[0])
        wire.send(control, pickle.dumps(child))
    else:  # "bury": it was killed, or ended
        wire.send(control, pickle.dumps(_buried(pid)))


def _buried(pid: int) -> int:
    try:
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    except ChildProcessError:
        return 0


def _told(error: Exception) -> Any:
    """Return the error as it is where that can be, else its words."""
    try:
        pickle.loads(pickle.dumps(error))  # noqa: S301  our own
    except Exception:  # noqa: BLE001  an error with a constructor of its own
        return RuntimeError(f"{type(error).__name__}: {error}")
    return error


if __name__ == "__main__":
    main()

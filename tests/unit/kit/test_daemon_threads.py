"""Threads that are kept, and that hold nobody up."""

from __future__ import annotations

import subprocess
import sys
import threading

from chopmark.kit.daemon_threads import DaemonThreads
from tests.support.wait import HANG_S, until


def test_an_idle_thread_does_the_next_piece_of_work() -> None:
    threads, seen = DaemonThreads("test"), list[int]()
    for _ in range(20):
        before = len(seen)
        threads.run(lambda: seen.append(threading.get_ident()))
        _until_idle(threads, seen, before + 1)
    assert len(set(seen)) == 1


def _until_idle(threads: DaemonThreads, seen: list[int], number: int) -> None:
    until(lambda: len(seen) == number and threads._idle == 1)


def test_nothing_waits_for_another() -> None:
    threads, gate = DaemonThreads("test"), threading.Barrier(10)
    met: list[int] = []

    def work() -> None:
        met.append(gate.wait(HANG_S))

    for _ in range(9):
        threads.run(work)
    gate.wait(HANG_S)
    until(lambda: len(met) == 9)
    until(lambda: threads._idle == 9)


def test_a_hung_thread_does_not_keep_the_program() -> None:
    program = (
        "import threading; from chopmark.kit.daemon_threads import DaemonThreads;"
        "begun = threading.Event();"
        "DaemonThreads('x').run(lambda: (begun.set(), threading.Event().wait()));"
        "begun.wait(); print('end')"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=HANG_S, check=True
    )
    assert done.stdout == "end\n"

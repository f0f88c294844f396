"""What a server and the processes it started take: CPU time and memory, from ``/proc``.

A server that works in several processes shares most of its pages between them. The sum of their
resident sets counts a shared page once for each, so memory is their *proportional* set (PSS: a page
that four processes map counts a quarter in each); the sum of resident sets is kept beside it.
"""

from __future__ import annotations

import os
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import TracebackType

__all__ = [
    "Memory",
    "MemoryWatch",
    "cpu_seconds",
    "family",
    "free_memory",
    "memory",
    "spent_by",
]

_TICKS = os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")
_RSS_EVERY_S = 0.05
#: The kernel walks the page tables for a PSS, and a family is found by reading all of ``/proc``:
#: milliseconds each, on the cores that are measured.
_PSS_EVERY_S = 1.0
_STEP = 16 * 2**20


@dataclass(frozen=True)
class Memory:
    """Bytes that a family of processes has in memory.

    Attributes:
        pss: Proportional set: a shared page counts once in all.
        rss: Sum of resident sets: a shared page counts in each process that maps it.
    """

    pss: int = 0
    rss: int = 0

    def higher(self, other: Memory) -> Memory:
        """Return the more of each kind."""
        return Memory(max(self.pss, other.pss), max(self.rss, other.rss))


def family(root: int) -> list[int]:
    """Return the ids of a process, of all that descend from it, and of its session.

    A helper whose parent has ended has another parent, but stays in the session of a server that
    was started as the leader of one.
    """
    parents: dict[int, int] = {}
    found = {root}
    for folder in Path("/proc").iterdir():
        fields = _stat(int(folder.name)) if folder.name.isdigit() else None
        if fields is not None:
            parents[int(folder.name)] = int(fields[1])
            if int(fields[3]) == root:
                found.add(int(folder.name))
    grew = True
    while grew:
        more = {pid for pid, parent in parents.items() if parent in found} - found
        found |= more
        grew = bool(more)
    return sorted(found & parents.keys())


def cpu_seconds(root: int) -> float:
    """Return the CPU time that a family has used so far, ended children included, in seconds."""
    return spent_by(family(root))


def spent_by(pids: Sequence[int]) -> float:
    """Return the same of processes that are known; finding a family costs milliseconds itself."""
    spent = 0.0
    for pid in pids:
        try:
            # clock_getcpuclockid(3): the CPU clock of another process, in nanoseconds; `stat` has
            # hundredths of a second. CPUCLOCK_SCHED is 2, in the kernel's posix-timers.h.
            spent += time.clock_gettime((~pid << 3) | 2)
        except OSError:
            continue
        fields = _stat(pid)
        if fields is not None:  # what children used that were waited for
            spent += (int(fields[13]) + int(fields[14])) / _TICKS
    return spent


def _stat(pid: int) -> list[str] | None:
    """Return the fields of ``/proc/PID/stat`` after the name: state, parent, group, session..."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    # The name stands in parentheses and may hold some itself.
    return text.rpartition(")")[2].split()


def memory(root: int) -> Memory:
    """Return what a family has in memory now."""
    pss = rss = 0
    for pid in family(root):
        try:
            text = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii")
        except OSError:
            continue
        sizes = {line.split()[0]: int(line.split()[1]) * 1024 for line in text.splitlines()[1:]}
        pss += sizes.get("Pss:", 0)
        rss += sizes.get("Rss:", 0)
    return Memory(pss, rss)


def free_memory() -> int:
    """Return the bytes that this machine can still give out."""
    for line in Path("/proc/meminfo").read_text(encoding="ascii").splitlines():
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) * 1024
    raise OSError("/proc/meminfo has no MemAvailable")


class MemoryWatch:
    """Looks at a family's memory for the time of a ``with`` block, and keeps the most.

    Attributes:
        peak: The most of each kind, not necessarily at the same moment.
    """

    def __init__(self, root: int) -> None:
        self.root = root
        self.peak = memory(root)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stop.set()
        self._thread.join()

    def _watch(self) -> None:
        looked, measured, pids = time.monotonic(), self.peak.rss, family(self.root)
        while not self._stop.wait(_RSS_EVERY_S):
            rss = sum(_resident(pid) for pid in pids)
            self.peak = Memory(self.peak.pss, max(self.peak.rss, rss))
            # Resident sets are cheap to read: a new height says when a dear look is worth it.
            higher = rss > measured + _STEP
            if higher or time.monotonic() - looked > _PSS_EVERY_S:
                now, pids = memory(self.root), family(self.root)
                self.peak = self.peak.higher(now)
                looked, measured = time.monotonic(), max(measured, now.rss)


def _resident(pid: int) -> int:
    try:
        return int(Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1]) * _PAGE
    except (OSError, IndexError):
        return 0

"""For whom a piece of work is done, whether they still wait, and whether it has really ended.

An event loop that gives up on a thread cannot stop it. What it can do is say so: the thread's work
asks :func:`current_token` and stops where it can, as the wait for a worker process does, which is
killed. And whoever holds a scarce place for the work keeps it until the thread is gone
(:class:`Running`): a place that is given away while the work still runs is given away twice.
"""

from __future__ import annotations

import contextlib
import threading
from contextvars import ContextVar
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = [
    "CancelToken",
    "Running",
    "current_running",
    "current_tenant",
    "current_token",
    "running_in",
    "token_in",
    "work_of",
]


class CancelToken:
    """Tells work in another thread that nobody waits for it any more."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._cancelled = False
        self._calls: list[Callable[[], None]] = []

    @property
    def cancelled(self) -> bool:
        """Whether nobody waits any more."""
        return self._cancelled

    def cancel(self) -> None:
        """Say so; whoever registered is called, once, in this thread."""
        with self._lock:
            self._cancelled = True
            calls, self._calls = self._calls, []
        for call in calls:
            call()

    @contextlib.contextmanager
    def calling(self, call: Callable[[], None]) -> Iterator[None]:
        """Have ``call`` called on a cancel within the block; at once if that was before."""
        with self._lock:
            late = self._cancelled
            if not late:
                self._calls.append(call)
        if late:
            call()
        try:
            yield
        finally:
            with self._lock:
                if call in self._calls:
                    self._calls.remove(call)


class Running:
    """The threads that still work for somebody, whether or not somebody still waits."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._threads = 0
        self._when_none: list[Callable[[], None]] = []

    @property
    def idle(self) -> bool:
        """Whether none works."""
        with self._lock:
            return not self._threads

    def begun(self) -> None:
        """Count one more thread."""
        with self._lock:
            self._threads += 1

    def ended(self) -> None:
        """Count one less, and call whoever waits for the last."""
        with self._lock:
            self._threads -= 1
            calls: list[Callable[[], None]] = []
            if not self._threads:
                calls, self._when_none = self._when_none, []
        for call in calls:
            call()

    def when_none(self, call: Callable[[], None]) -> None:
        """Call once no thread works any more: now, or in the last one's thread."""
        with self._lock:
            if self._threads:
                self._when_none.append(call)
                return
        call()


_TOKEN: Final[ContextVar[CancelToken | None]] = ContextVar("chopmark_cancel_token", default=None)
_RUNNING: Final[ContextVar[Running | None]] = ContextVar("chopmark_running", default=None)
_TENANT: Final[ContextVar[str]] = ContextVar("chopmark_tenant", default="default")


def current_tenant() -> str:
    """Return for whose request this thread works; ``default`` where nobody said."""
    return _TENANT.get()


@contextlib.contextmanager
def work_of(tenant: str) -> Iterator[None]:
    """Do what is in the block for a tenant."""
    before = _TENANT.set(tenant)
    try:
        yield
    finally:
        _TENANT.reset(before)


def current_token() -> CancelToken | None:
    """Return the token of the work that this thread does, if it has one."""
    return _TOKEN.get()


def current_running() -> Running | None:
    """Return what counts the threads of the present request, if anybody counts them."""
    return _RUNNING.get()


def token_in(token: CancelToken) -> None:
    """Make ``token`` that of the present context."""
    _TOKEN.set(token)


@contextlib.contextmanager
def running_in(running: Running) -> Iterator[None]:
    """Count the threads that are begun in the block with ``running``."""
    before = _RUNNING.set(running)
    try:
        yield
    finally:
        _RUNNING.reset(before)

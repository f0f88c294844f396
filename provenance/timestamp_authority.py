"""A time-stamping authority (RFC 3161), asked within a time and left alone after a failure."""

from __future__ import annotations

import contextlib
import queue
import threading
import time
from typing import TYPE_CHECKING, Final, TypeVar
from urllib.parse import urlsplit

from chopmark.errors import ConfigurationError, SigningFailed

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["NoTimestampWarning", "TimestampAuthority", "host_of"]

T = TypeVar("T")
_PAUSE: Final = 60.0
# Stuck calls to a silent authority: the native library has no time limit of its own.
_WORKERS: Final = 4


class NoTimestampWarning(UserWarning):
    """Signatures bear no time: they read as expired once their certificate has ended."""


class TimestampAuthority:
    """An RFC 3161 service.

    Args:
        url: ``http://`` or ``https://`` (the answer is signed, so plain HTTP is usual).
        timeout_s: How long a picture may wait for it; 0 leaves all to the queue.
    """

    def __init__(self, url: str, *, timeout_s: float = 3.0) -> None:
        parts = urlsplit(url)
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise ConfigurationError(f"{url!r} is no address of a time-stamping authority")
        self.url = url
        self.timeout_s = timeout_s
        self._lock = threading.Lock()
        self._free = threading.BoundedSemaphore(_WORKERS)
        self._silent_until = 0.0

    @property
    def host(self) -> str:
        """Scheme, host and port: what the native library must be allowed to visit."""
        return host_of(self.url)

    def within_its_time(self, work: Callable[[str], T]) -> T | None:
        """Return what ``work`` makes with the URL, or None where the authority did not deliver."""
        if self.timeout_s <= 0:
            return None
        with contextlib.suppress(SigningFailed):
            return self.ask(work, timeout_s=self.timeout_s)
        return None

    def ask(self, work: Callable[[str], T], *, timeout_s: float) -> T:
        """Return what ``work`` makes with the URL.

        After a failure the authority is left alone for a minute, so that each picture does not
        wait anew.

        Raises:
            SigningFailed: It did not deliver in time, or is left alone just now.
        """
        with self._lock:
            silent = time.monotonic() < self._silent_until
        if silent:
            raise SigningFailed(f"{self.host} failed a moment ago and is left alone for a minute")
        if not self._free.acquire(blocking=False):
            raise SigningFailed(f"{self.host} has not answered {_WORKERS} earlier questions")
        answer: queue.SimpleQueue[tuple[T | None, Exception | None]] = queue.SimpleQueue()

        def run() -> None:
            try:
                answer.put((work(self.url), None))
            except Exception as error:  # noqa: BLE001 - it is handed to whoever asked
                answer.put((None, error))
            finally:
                self._free.release()

        # A daemon: the native call cannot be cancelled, and must not keep the process from ending.
        threading.Thread(target=run, name="timestamp", daemon=True).start()
        try:
            found, failure = answer.get(timeout=timeout_s)
        except queue.Empty:
            found, failure = None, None
        if found is not None:
            return found
        with self._lock:
            self._silent_until = time.monotonic() + _PAUSE
        reason = (
            f"failed: {str(failure)[:160]}" if failure else f"did not answer in {timeout_s:g} s"
        )
        raise SigningFailed(
            f"the time-stamping authority {self.host} {reason}",
            hint="is it up? What waits is tried again",
        ) from failure

    def forgive(self) -> None:
        """Let it be asked again at once."""
        with self._lock:
            self._silent_until = 0.0


def host_of(url: str) -> str:
    """Return scheme, host and port of an address."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"

"""What several servers count together: requests a minute, refusals, wrong passwords.

>>> state = MemoryState(clock=lambda: 100.0)
>>> [state.take("rate api acme", 2).allowed for _ in range(3)]
[True, True, False]
>>> state.change("guesses", "ada", lambda old: (old or b"") + b"x", keep_s=60)
b'x'

Each keeper (memory, a database, Redis) does the same two things: it counts towards a window, and it
keeps small documents, each changed as a whole or not at all. What is in them is the business of who
counts (:mod:`chopmark.tenancy.rates`, :mod:`chopmark.tenancy.abuse_counts`,
:mod:`chopmark.tenancy.guesses`).
"""

from __future__ import annotations

import hashlib
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = [
    "MOST_SKEW_S",
    "WINDOW_S",
    "Change",
    "Document",
    "MemoryState",
    "SharedState",
    "Taken",
    "Window",
    "advance",
    "digest_name",
]

#: What a document is changed by: from the old one, or none, to the new one, or none. It may be
#: called more than once, where somebody else changed the document meanwhile.
Change: TypeAlias = Callable[[bytes | None], bytes | None]

WINDOW_S: Final = 60
#: The clocks of servers that count together are no further apart.
MOST_SKEW_S: Final = 5.0
_MOST_WINDOWS: Final = 10_000
#: Of one kind of document; who has been quiet longest is forgotten first.
_MOST_DOCUMENTS: Final = 100_000


class Window(NamedTuple):
    """A window of ``WINDOW_S`` seconds: when it began, and how much of it is used."""

    start: float
    used: int

    def live(self, now: float) -> bool:
        """Tell whether it still runs; one that begins in the future is of a clock set back."""
        return -MOST_SKEW_S <= now - self.start < WINDOW_S


class Taken(NamedTuple):
    """What became of one request: whether it is within the limit, and the window after it."""

    allowed: bool
    window: Window


class Document(NamedTuple):
    """A small document, and until when it is kept, by the keeper's clock."""

    kind: str
    name: str
    body: bytes
    ends: float


class SharedState(Protocol):
    """A keeper. Use it from any thread.

    Attributes:
        clock: Seconds; only differences count, but all servers that share a keeper count alike.
        at_once: It answers without waiting for another machine or a disk.
    """

    clock: Callable[[], float]
    at_once: bool

    def take(self, name: str, limit: int, *, seen: Window | None = None) -> Taken:
        """Count one request towards a window; a refused one does not count.

        Args:
            name: What is counted.
            limit: Most in a window, 1 or more.
            seen: A window that this server knows of from another keeper: no less is used.

        Raises:
            DatabaseUnavailable: It cannot be told.
        """
        ...

    def read(self, kind: str, name: str) -> bytes | None:
        """Return a document.

        Raises:
            DatabaseUnavailable: It cannot be told.
        """
        ...

    def change(self, kind: str, name: str, change: Change, *, keep_s: float) -> bytes | None:
        """Change a document, and return it as it is then.

        Args:
            kind: What sort; bounds are counted by it.
            name: Whose.
            change: From the old one to the new one; none deletes it. It may run more than once.
            keep_s: Seconds after which it is forgotten, unless it is changed again.

        Raises:
            DatabaseUnavailable: It could not be changed.
        """
        ...

    def documents(self) -> Iterator[Document]:
        """Return all documents that are still kept."""
        ...

    def trouble(self) -> str:
        """Return what is wrong though it goes on, in a sentence; empty when nothing is."""
        ...

    def close(self) -> None:
        """Let go of connections and files. Idempotent."""
        ...


def digest_name(text: str) -> str:
    """Return what a tenant, a person or an address is called in a keeper, of a bounded length.

    Whoever sees the keeper's names reads none in them; whoever can guess one can check the guess.
    """
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=20).hexdigest()


def advance(known: Window | None, now: float, limit: int, seen: Window | None) -> Taken:
    """Count one request; the window begins with its first one."""
    start, used = now, 0
    for window in (known, seen):
        if window is not None and window.live(now):
            start, used = min(start, window.start), max(used, window.used)
    allowed = used < limit
    return Taken(allowed, Window(start, used + allowed))


class MemoryState:
    """Counts of one server; one that starts again starts without them.

    Args:
        clock: Seconds.
    """

    at_once = True

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.clock = clock
        self._lock = threading.Lock()
        self._windows: dict[str, Window] = {}
        self._kinds: dict[str, OrderedDict[str, tuple[bytes, float]]] = {}

    def take(self, name: str, limit: int, *, seen: Window | None = None) -> Taken:
        """Count one request; see :class:`SharedState`."""
        now = self.clock()
        with self._lock:
            taken = advance(self._windows.get(name), now, limit, seen)
            self._windows[name] = taken.window
            if len(self._windows) > _MOST_WINDOWS:
                for ended in [n for n, window in self._windows.items() if not window.live(now)]:
                    del self._windows[ended]
        return taken

    def read(self, kind: str, name: str) -> bytes | None:
        """Return a document; see :class:`SharedState`."""
        with self._lock:
            return self._read(kind, name)

    def _read(self, kind: str, name: str) -> bytes | None:
        documents = self._kinds.get(kind)
        body, ends = documents.get(name, (b"", 0.0)) if documents is not None else (b"", 0.0)
        return body if self.clock() < ends else None

    def change(self, kind: str, name: str, change: Change, *, keep_s: float) -> bytes | None:
        """Change a document; see :class:`SharedState`."""
        with self._lock:
            documents = self._kinds.setdefault(kind, OrderedDict())
            body = change(self._read(kind, name))
            documents.pop(name, None)
            if body is not None:
                documents[name] = (body, self.clock() + keep_s)
                if len(documents) > _MOST_DOCUMENTS:
                    documents.popitem(last=False)
        return body

    def documents(self) -> Iterator[Document]:
        """Return all documents; see :class:`SharedState`."""
        now = self.clock()
        with self._lock:
            kept = [
                Document(kind, name, body, ends)
                for kind, documents in self._kinds.items()
                for name, (body, ends) in documents.items()
                if now < ends
            ]
        return iter(kept)

    def trouble(self) -> str:
        """Return nothing."""
        return ""

    def close(self) -> None:
        """Do nothing."""

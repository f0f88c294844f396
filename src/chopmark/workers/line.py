"""Who gets the next free place, of threads that wait for one: the tenants take turns."""

from __future__ import annotations

import threading
from collections import OrderedDict, deque
from typing import TYPE_CHECKING

from chopmark.errors import Cancelled

if TYPE_CHECKING:
    from collections.abc import Sequence

    from chopmark.kit.cancellation import CancelToken

__all__ = ["Line"]


class Line:
    """Numbered places; a tenant that wants a hundred delays another by one job, not by a hundred.

    Args:
        places: How many there are.
    """

    def __init__(self, places: int) -> None:
        self._lock = threading.Lock()
        self._free = list(range(places))
        # In the order of the next turn; a tenant is here while it waits for something.
        self._waiting: OrderedDict[str, deque[_Waiter]] = OrderedDict()

    @property
    def waiting(self) -> int:
        """How many wait."""
        with self._lock:
            return sum(len(line) for line in self._waiting.values())

    def take(self, tenant: str, token: CancelToken | None, *, liked: Sequence[int] = ()) -> int:
        """Wait for a place and return its number.

        Args:
            tenant: Who wants it.
            token: Ends the wait.
            liked: Places that are taken before others, where there is a choice.

        Raises:
            Cancelled: Nobody waits for the work any more.
        """
        with self._lock:
            if self._free:
                place = next((one for one in liked if one in self._free), self._free[-1])
                self._free.remove(place)
                return place
            mine = _Waiter()
            self._waiting.setdefault(tenant, deque()).append(mine)
        if token is None:
            mine.ready.wait()
        else:
            with token.calling(mine.ready.set):
                mine.ready.wait()
        with self._lock:
            if mine.place is not None:
                return mine.place
            self._leave(tenant, mine)
        raise Cancelled("nobody waits for this work any more")

    def give(self, place: int) -> None:
        """Hand a place back; whoever is next has it at once."""
        with self._lock:
            if not self._waiting:
                self._free.append(place)
                return
            tenant, line = self._waiting.popitem(last=False)
            first = line.popleft()
            if line:
                self._waiting[tenant] = line  # to the end of the round
            first.place = place
        first.ready.set()

    def _leave(self, tenant: str, waiter: _Waiter) -> None:
        line = self._waiting[tenant]
        line.remove(waiter)
        if not line:
            del self._waiting[tenant]


class _Waiter:
    def __init__(self) -> None:
        self.ready = threading.Event()
        self.place: int | None = None

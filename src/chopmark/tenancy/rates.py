"""How many requests a minute: a window per tenant, in memory.

A server that starts again starts with full windows; what must survive that is the day's quota.
"""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["WINDOW_S", "Rate", "Rates"]

WINDOW_S: Final = 60
_MOST_TENANTS: Final = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Rate:
    """Where one tenant stands after a request.

    Attributes:
        allowed: Whether this request is within the limit.
        limit: Requests in a window.
        remaining: How many of them are left.
        reset_s: Seconds until the window ends.
    """

    allowed: bool
    limit: int
    remaining: int
    reset_s: float


class Rates:
    """Counts requests in windows that start with a tenant's first request."""

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._windows: dict[str, tuple[float, int]] = {}

    def take(self, tenant: str, limit: int) -> Rate:
        """Count one request; a refused one does not count."""
        now = self._clock()
        with self._lock:
            start, used = self._windows.get(tenant, (now, 0))
            if now - start >= WINDOW_S:
                start, used = now, 0
            allowed = used < limit
            used += allowed
            self._windows[tenant] = (start, used)
            if len(self._windows) > _MOST_TENANTS:
                self._forget(now)
        return Rate(
            allowed=allowed,
            limit=limit,
            remaining=limit - used,
            reset_s=max(0.0, start + WINDOW_S - now),
        )

    def _forget(self, now: float) -> None:
        for tenant in [t for t, (start, _) in self._windows.items() if now - start >= WINDOW_S]:
            del self._windows[tenant]

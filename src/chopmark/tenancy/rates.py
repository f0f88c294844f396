"""How many requests a minute: a window that begins with the first one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from chopmark.tenancy.shared_state import WINDOW_S, MemoryState, digest_name

if TYPE_CHECKING:
    from chopmark.tenancy.shared_state import SharedState

__all__ = ["WINDOW_S", "Rate", "Rates"]


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
    """Counts requests.

    Args:
        state: Where; this server's memory where it is not given.
        what: Names these counts among others that are kept there.
    """

    def __init__(self, state: SharedState | None = None, what: str = "requests") -> None:
        self._state = state or MemoryState()
        self._what = what

    def take(self, tenant: str, limit: int) -> Rate:
        """Count one request; a refused one does not count.

        Raises:
            DatabaseUnavailable: It cannot be told.
        """
        allowed, window = self._state.take(digest_name(f"{self._what} {tenant}"), limit)
        left_s = window.start + WINDOW_S - self._state.clock()
        return Rate(
            allowed=allowed,
            limit=limit,
            remaining=max(0, limit - window.used),
            reset_s=min(max(0.0, left_s), WINDOW_S),
        )

"""From where the queue page looks for records that no queue has yet.

A running server routes by itself, within a second; whoever opens the page a moment earlier does not
wait for that. Only the newest entries are looked at, so that the page is as quick with years behind
it.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

    from chopmark.audit import Desk, Rule

__all__ = ["Routing"]

#: Entries back from the end that a look covers: a request that began earlier is the server's.
_BACK: Final = 2_000


class Routing:
    """Routes what ended since the last look.

    Args:
        rules: Which records go where.
    """

    def __init__(self, rules: Sequence[Rule]) -> None:
        self._rules = tuple(rules)
        self._lock = threading.Lock()
        self._seen = 0

    def look(self, desk: Desk, size: int) -> None:
        """Send what ended lately to its queue; doing it twice changes nothing.

        Args:
            desk: Of a reviewer.
            size: The log's size.
        """
        with self._lock:
            if size == self._seen:
                return
            self._seen = size
        desk.review.route(self._rules, since=max(0, size - _BACK))

"""Messages on their way: one at a time to each address, many addresses at once.

Whoever answers slowly, or never, delays nobody's messages but their own: an address has one thread
while something is on its way to it, a tenant at most four, and there are at most sixteen.
"""

from __future__ import annotations

import logging
import threading
from functools import partial
from typing import TYPE_CHECKING, Final

from chopmark.errors import ChopmarkError, InvalidRequest
from chopmark.kit.daemon_threads import DaemonThreads

if TYPE_CHECKING:
    from collections.abc import Callable

    from chopmark.tenancy.outbox import Delivery
    from chopmark.tenancy.webhooks import Webhooks

__all__ = ["Deliveries"]

_LOG: Final = logging.getLogger(__name__)
_AT_ONCE: Final = 16
_OF_ONE_TENANT: Final = 4
_GONE: Final = 410


class Deliveries:
    """Sends what is due. :meth:`pump` begins with it and returns at once.

    Args:
        hooks: Where the messages lie.
        send: Sends one, and returns the status of the answer; OSError and InvalidRequest are tried
            again.
        arrived: Called when a message is dealt with, whichever way: the next one may go.
    """

    def __init__(
        self, hooks: Webhooks, send: Callable[[Delivery], int], *, arrived: Callable[[], object]
    ) -> None:
        self._hooks, self._send, self._arrived = hooks, send, arrived
        self._threads = DaemonThreads("chopmark-webhook")
        self._changed = threading.Condition()
        self._busy: dict[str, str | None] = {}
        self._stopped = False

    def pump(self) -> int:
        """Begin to send what is due, as far as there is room; return how many messages."""
        with self._changed:
            if self._stopped:
                return 0
            taken = self._hooks.outbox.due(
                _AT_ONCE - len(self._busy), busy=self._busy, of_one=_OF_ONE_TENANT
            )
            for delivery in taken:
                self._busy[delivery.hook_id] = delivery.tenant
        for delivery in taken:
            self._threads.run(partial(self._one, delivery))
        return len(taken)

    def start(self) -> None:
        """Let messages go (again)."""
        with self._changed:
            self._stopped = False

    def stop(self, wait_s: float) -> None:
        """Begin with no more, and wait for those on their way, but not for ever.

        What has not ended by then is sent again later, under the same id.
        """
        with self._changed:
            self._stopped = True
            self._changed.wait_for(lambda: not self._busy, wait_s)
            self._busy.clear()

    def _one(self, delivery: Delivery) -> None:
        try:
            failed, gone = self._outcome(delivery)
            with self._changed:
                if self._busy.get(delivery.hook_id, "") == delivery.tenant:
                    self._note(delivery, failed, gone=gone)
        except Exception:  # noqa: BLE001  the message stays, and is tried again in a minute
            _LOG.exception("a message's outcome could not be written down")
        finally:
            with self._changed:
                self._busy.pop(delivery.hook_id, None)
                self._changed.notify_all()
            self._arrived()

    def _outcome(self, delivery: Delivery) -> tuple[str | None, bool]:
        try:
            status = self._send(delivery)
        except (OSError, InvalidRequest) as error:
            return str(error) or type(error).__name__, False
        return (None if 200 <= status < 300 else f"answered {status}"), status == _GONE

    def _note(self, delivery: Delivery, failed: str | None, *, gone: bool) -> None:
        try:
            if failed is None:
                self._hooks.outbox.done(delivery)
            else:
                self._hooks.outbox.failed(delivery, failed, gone=gone)
        except ChopmarkError as error:
            _LOG.warning("a message's outcome could not be written down: %s", error.message)

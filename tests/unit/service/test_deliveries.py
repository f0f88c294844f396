"""Messages on their way: whoever answers slowly delays nobody else, and nobody waits for ever."""

from __future__ import annotations

import socket
import threading
from collections import Counter
from typing import TYPE_CHECKING

import pytest

from chopmark.service.deliveries import Deliveries
from chopmark.service.outbound import send
from chopmark.tenancy.outbox import Delivery, Message
from chopmark.tenancy.webhooks import Webhooks
from tests.support.wait import HANG_S, until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


class Senders:
    """Addresses that hang until they are let go, and others that answer at once."""

    def __init__(self, hooks: Webhooks) -> None:
        self.hooks = hooks
        self.let_go = threading.Event()
        self.begun: list[Delivery] = []
        self.arrived: Counter[str] = Counter()
        self.deliveries = Deliveries(hooks, self._send, arrived=self._next)

    def _next(self) -> None:
        self.deliveries.pump()

    def _send(self, delivery: Delivery) -> int:
        self.begun.append(delivery)
        if "stuck" in delivery.url and not self.let_go.wait(HANG_S):
            raise AssertionError("never let go")
        self.arrived[delivery.url] += 1
        return 204

    def tell(self, count: int) -> None:
        """Put so many messages on their way, of one tenant and of the other."""
        messages = [
            Message(
                name=f"m{number:020}", index=number, tenant=tenant, type="decision.made", body=""
            )
            for number, tenant in enumerate(["acme", "globex"] * count)
        ]
        self.hooks.outbox.follow(lambda _: (len(messages), messages), size=0)


@pytest.fixture
def senders(tmp_path: Path) -> Iterator[Senders]:
    hooks = Webhooks.open(tmp_path)
    made = Senders(hooks)
    yield made
    made.let_go.set()
    made.deliveries.stop(HANG_S)
    hooks.close()


def _add(hooks: Webhooks, tenant: str, url: str) -> None:
    hooks.add(tenant=tenant, url=url, events=["*"], by="ida", since=0)


def test_a_receiver_that_hangs_delays_only_its_own_messages(senders: Senders) -> None:
    _add(senders.hooks, "acme", "https://stuck.test/")
    _add(senders.hooks, "acme", "https://quick.test/")
    senders.tell(3)
    senders.deliveries.pump()
    until(lambda: senders.arrived["https://quick.test/"] == 3)
    # Nothing went to it but the first message, which it still has: they arrive in order.
    stuck = [one.delivery_id for one in senders.begun if "stuck" in one.url]
    assert (len(stuck), senders.arrived["https://stuck.test/"]) == (1, 0)
    senders.let_go.set()
    until(lambda: senders.arrived["https://stuck.test/"] == 3)
    told = [one.delivery_id for one in senders.begun if "stuck" in one.url]
    assert told == sorted(told)


def test_a_tenant_of_receivers_that_hang_leaves_room_for_others(senders: Senders) -> None:
    for number in range(20):
        _add(senders.hooks, "acme", f"https://stuck.test/{number}")
    _add(senders.hooks, "globex", "https://quick.test/")
    senders.tell(2)
    senders.deliveries.pump()
    until(lambda: senders.arrived["https://quick.test/"] == 2)
    assert sum("stuck" in one.url for one in senders.begun) == 4


def test_an_answer_that_drips_in_is_broken_off() -> None:
    listening, over = socket.create_server(("127.0.0.1", 0)), threading.Event()

    def drip() -> None:
        connection, _ = listening.accept()
        with connection:
            connection.sendall(b"HTTP/1.1 200 OK\r\n")
            while not over.wait(0.01):  # a header line that never ends
                try:
                    connection.sendall(b"x")
                except OSError:
                    return

    thread = threading.Thread(target=drip)
    thread.start()
    delivery = Delivery(
        delivery_id="m", hook_id="h", tenant=None, type="*", secret="", body="{}", attempts=0,
        url=f"http://127.0.0.1:{listening.getsockname()[1]}/",
    )  # fmt: skip
    try:
        with pytest.raises(OSError, match="no answer within"):
            send(delivery, private=True, headers={}, longest_s=0.3)
    finally:
        over.set()
        thread.join()
        listening.close()

"""The messages that are on their way to webhooks, each until it arrived or was given up."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from operator import itemgetter
from typing import TYPE_CHECKING, Any, Final

from chopmark.tenancy.webhook_events import COOP

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from chopmark.kit.database import Database, Transaction
    from chopmark.tenancy.webhook_events import Told

__all__ = ["BACK_OFF_S", "Delivery", "Message", "Outbox"]

#: Seconds until the next attempt, after each that failed; then the message is a dead letter.
BACK_OFF_S: Final = (5, 300, 1800, 7200, 18_000, 36_000, 50_400, 72_000, 86_400)
_CLAIMED_S: Final = 60
_SHOWN: Final = 50


@dataclass(frozen=True, kw_only=True)
class Message:
    """What is told.

    Attributes:
        name: Of the message, the same for every hook; the log's entry makes it.
        index: The log's entry.
        tenant: Whose event.
        type: Of which kind.
        body: JSON.
    """

    name: str
    index: int
    tenant: str
    type: Told
    body: str


@dataclass(frozen=True, kw_only=True)
class Delivery:
    """A message on its way to one hook.

    Attributes:
        tenant: Whose hook; None is every tenant's.
        type: Of what it tells.
        attempts: How many were made.
        earlier_secret: Signs as well; empty where no earlier one is good any more.
    """

    delivery_id: str
    hook_id: str
    tenant: str | None
    type: Told
    url: str
    secret: str = field(repr=False)
    body: str = field(repr=False)
    attempts: int
    earlier_secret: str = field(default="", repr=False)


class Outbox:
    """Messages by hook, in the store of :class:`~chopmark.tenancy.webhooks.Webhooks`.

    For any thread, and for several processes.
    """

    def __init__(
        self, database: Database, *, clock: Callable[[], float], back_off_s: Sequence[float]
    ) -> None:
        self._database, self._clock, self._back_off_s = database, clock, tuple(back_off_s)

    def follow(self, read: Callable[[int], tuple[int, list[Message]]], *, size: int) -> int:
        """Put what the log says since the last look on its way; once, whoever else looks.

        Args:
            read: From an entry on: up to which entry was read, and what is to be told of it.
            size: The log's size, where a first look begins.

        Returns:
            From where the look began.
        """
        with self._database.write() as transaction:
            rows = transaction.execute("SELECT upto FROM cursor")
            begin = int(rows[0][0]) if rows else size
            end, messages = read(begin)
            if messages:
                self._post(transaction, messages)
            if not rows or end != begin:
                transaction.execute(
                    "INSERT INTO cursor (id, upto) VALUES (1, ?)"
                    " ON CONFLICT (id) DO UPDATE SET upto = excluded.upto",
                    (end,),
                )
            return begin

    def post(self, messages: list[Message]) -> None:
        """Put messages on their way that no entry of the log makes; of one name, once."""
        with self._database.write() as transaction:
            self._post(transaction, messages)

    def upto(self) -> int | None:
        """Return how far the log was followed; None before the first look."""
        with self._database.read() as transaction:
            rows = transaction.execute("SELECT upto FROM cursor")
        return int(rows[0][0]) if rows else None

    def _post(self, transaction: Transaction, messages: list[Message]) -> None:
        hooks = transaction.execute(
            "SELECT id, tenant, events, since FROM hook WHERE disabled IS NULL"
        )
        now = self._clock()
        for message in messages:
            for hook_id, tenant, events, since in hooks:
                wanted = set(str(events).split())
                # An item for Coop is no event: a hook that is told of everything is not told of it.
                matching = {message.type} if message.type == COOP else {message.type, "*"}
                if (
                    message.index >= since
                    and tenant in {None, message.tenant}
                    and wanted & matching
                ):
                    transaction.execute(
                        "INSERT INTO delivery (id, hook, type, body, created, attempts,"
                        " next, state, entry) VALUES (?, ?, ?, ?, ?, 0, ?, 'waiting', ?)"
                        " ON CONFLICT (id) DO NOTHING",
                        (f"{message.name}_{hook_id[:8]}", hook_id, message.type, message.body,
                         now, now, message.index),
                    )  # fmt: skip

    def due(
        self, most: int = 20, *, busy: Mapping[str, str | None] | None = None, of_one: int = 20
    ) -> list[Delivery]:
        """Take what is to be sent now, one message of a hook; nobody else takes it for a minute.

        Args:
            most: At most so many.
            busy: Hooks to which something is on its way already, each with its tenant: they wait,
                so that a hook gets its messages in order and one that answers slowly delays only
                its own.
            of_one: At most so many hooks of one tenant at once, those that are busy included.
        """
        now, busy = self._clock(), busy or {}
        with self._database.read() as transaction:
            # Mostly nothing is due, and looking must not cost a write.
            if not transaction.execute(
                "SELECT 1 FROM delivery WHERE state = 'waiting' AND next <= ? LIMIT 1", (now,)
            ):
                return []
        with self._database.write() as transaction:
            found = self._next_of_each(transaction, now, busy)
            taken: list[Delivery] = []
            at_once = Counter(busy.values())
            for _, delivery in sorted(found, key=itemgetter(0)):
                if len(taken) < most and at_once[delivery.tenant] < of_one:
                    at_once[delivery.tenant] += 1
                    taken.append(delivery)
            transaction.many(
                "UPDATE delivery SET next = ? WHERE id = ?",
                [(now + _CLAIMED_S, delivery.delivery_id) for delivery in taken],
            )
        return taken

    def _next_of_each(
        self, transaction: Transaction, now: float, busy: Mapping[str, str | None]
    ) -> list[tuple[float, Delivery]]:
        found = []
        for hook_id, tenant, url, secret, earlier in transaction.execute(
            "SELECT id, tenant, url, secret,"
            " CASE WHEN earlier_until > ? THEN earlier_secret END"
            " FROM hook WHERE disabled IS NULL",
            (now,),
        ):
            rows = () if hook_id in busy else transaction.execute(
                "SELECT next, id, type, body, attempts FROM delivery WHERE hook = ?"
                " AND state = 'waiting' AND next <= ? ORDER BY next, created, entry, id LIMIT 1",
                (hook_id, now),
            )  # fmt: skip
            found += [
                (
                    float(due),
                    Delivery(
                        delivery_id=delivery_id,
                        hook_id=hook_id,
                        tenant=tenant,
                        type=type_,
                        url=url,
                        secret=secret,
                        body=body,
                        attempts=attempts,
                        earlier_secret=earlier or "",
                    ),
                )
                for due, delivery_id, type_, body, attempts in rows
            ]
        return found

    def done(self, delivery: Delivery) -> None:
        """Note that a message arrived; its body is not needed any more."""
        with self._database.write() as transaction:
            transaction.execute(
                "UPDATE delivery SET state = 'done', attempts = ?, body = '', error = NULL"
                " WHERE id = ?",
                (delivery.attempts + 1, delivery.delivery_id),
            )

    def failed(self, delivery: Delivery, why: str, *, gone: bool = False) -> None:
        """Note that a message did not arrive: it is tried again, later each time, or given up.

        Args:
            delivery: Which.
            why: What happened.
            gone: Whoever is there wants nothing more (410): the hook is switched off.
        """
        attempts = delivery.attempts + 1
        last = gone or attempts > len(self._back_off_s)
        wait_s = 0.0 if last else self._back_off_s[attempts - 1]
        with self._database.write() as transaction:
            transaction.execute(
                "UPDATE delivery SET state = ?, attempts = ?, next = ?, error = ? WHERE id = ?",
                (
                    "dead" if last else "waiting",
                    attempts,
                    self._clock() + wait_s,
                    why[:300],
                    delivery.delivery_id,
                ),
            )
            if gone:
                transaction.execute(
                    "UPDATE hook SET disabled = ? WHERE id = ?", (why[:300], delivery.hook_id)
                )

    def dead(self, hook_id: str) -> list[dict[str, Any]]:
        """Return the newest messages to a hook that were given up, and why."""
        with self._database.read() as transaction:
            rows = transaction.execute(
                "SELECT id, type, created, attempts, error FROM delivery"
                " WHERE hook = ? AND state = 'dead' ORDER BY created DESC LIMIT ?",
                (hook_id, _SHOWN),
            )
        names = ("id", "type", "created", "attempts", "error")
        return [dict(zip(names, row, strict=True)) for row in rows]

"""Review: routing rules send records to queues, leases give them to one person at a time."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final, Literal

from chopmark.audit.log.clock import now
from chopmark.audit.search.query import Query
from chopmark.errors import ConfigurationError, InvalidRequest, NotPermitted

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from chopmark.audit.desk.session import DeskSession
    from chopmark.audit.log.events import EventKind, Record
    from chopmark.audit.search.query import Ending, Hit
    from chopmark.kit.database import Transaction
    from chopmark.kit.types import JsonValue

__all__ = ["LEASE", "Review", "Rule", "Task", "load_rules"]

ReviewDecision = Literal["confirmed", "overturned", "escalated"]
LEASE: Final = timedelta(minutes=15)
_MAX_RULES: Final = 256 * 1024


@dataclass(frozen=True, kw_only=True)
class Rule:
    """Sends ended records to a queue; every member that is given must hold.

    Attributes:
        queue: Where to.
        priority: Larger comes first.
    """

    queue: str
    priority: int = 0
    decision: Ending | None = None
    category: str | None = None
    min_score: float | None = None
    tenant: str | None = None

    def __post_init__(self) -> None:
        """Check the queue's name."""
        if not self.queue.strip():
            raise InvalidRequest("a routing rule names a queue")

    def matches(self, hit: Hit) -> bool:
        """Tell whether the rule sends this record on."""
        score = hit.score if self.category is None else hit.categories.get(self.category, -1.0)
        return (
            self.decision in {None, hit.decision}
            and self.tenant in {None, hit.tenant}
            and (self.category is None or self.category in hit.categories)
            and (self.min_score is None or score >= self.min_score)
        )


DEFAULT_RULES: Final = (Rule(queue="review", decision="review"),)


def load_rules(path: Path | None) -> tuple[Rule, ...]:
    """Read routing rules from a YAML list; without a file, what is to be reviewed is queued.

    >>> load_rules(None)[0].queue
    'review'

    Raises:
        ConfigurationError: The file cannot be read, or is not a list of rules.
    """
    if path is None:
        return DEFAULT_RULES
    import yaml

    try:
        with path.open("rb") as file:
            listed: Any = yaml.safe_load(file.read(_MAX_RULES))
        if not isinstance(listed, list):
            raise ConfigurationError(f"{path} is not a list of routing rules")
        return tuple(Rule(**_checked(item)) for item in listed)
    except (OSError, UnicodeDecodeError, yaml.YAMLError, TypeError, InvalidRequest) as error:
        wrong = error.message if isinstance(error, InvalidRequest) else str(error).splitlines()[0]
        raise ConfigurationError(
            f"{path}: {wrong}",
            hint="a list of mappings: queue, priority, decision, category, min_score, tenant",
        ) from None


def _checked(item: Any) -> dict[str, Any]:
    """Return a rule's members when each is of its type."""
    kinds: dict[str, type | tuple[type, ...]] = {
        "queue": str,
        "priority": int,
        "decision": str,
        "category": str,
        "min_score": (int, float),
        "tenant": str,
    }
    if not isinstance(item, dict):
        raise TypeError("a rule is a mapping")
    for name, value in item.items():
        if name in kinds and not isinstance(value, kinds[name]):
            raise TypeError(f"{name} cannot be {value!r}")
    if item.get("decision", "block") not in {"allow", "review", "block", "failed"}:
        raise TypeError(f"decision cannot be {item['decision']!r}")
    return item


@dataclass(frozen=True, kw_only=True)
class Task:
    """A record in a queue.

    Attributes:
        tenant: Whose record.
        queued: When it was queued, RFC 3339 in UTC.
        until: When the lease ends; None when nobody holds it.
        holder: Who holds it, or held it last.
        decision: What was decided, None while it waits.
    """

    record_id: str
    tenant: str
    queue: str
    priority: int
    queued: str
    holder: str | None
    until: str | None
    decision: ReviewDecision | None

    def to_dict(self) -> dict[str, JsonValue]:
        """Return the members for JSON."""
        return dict(vars(self))


class Review:
    """The queues of a log, as one person works on them.

    A decision that depends on the projection (is this free? is it mine?) is made inside the
    writing transaction of the log, after the projection has followed to its end: no two desks, in
    whatever processes, can decide on the same state.
    """

    def __init__(self, session: DeskSession) -> None:
        self._session = session

    def route(self, rules: Iterable[Rule], *, since: int = 0) -> list[Record]:
        """Queue every ended record that a rule matches and that was never queued; first rule wins.

        Args:
            rules: In order.
            since: Only records that begin at this entry or later.
        """
        self._session.require("reviewer", "writer")
        listed, before = list(rules), None
        matched: list[tuple[Hit, Rule]] = []
        self._session.index.update()
        while hits := self._session.index.find(
            self._session.within(Query()), limit=1000, before=before
        ):
            for hit in hits:
                rule = next((rule for rule in listed if rule.matches(hit)), None)
                ended = hit.decision != "open" and hit.index >= since
                if rule is not None and ended and not self._tasks(record_id=hit.record_id):
                    matched.append((hit, rule))
            before = hits[-1].index
            if before <= since:
                break
        booked = []
        for hit, rule in reversed(matched):  # what came first waits longest
            with self._session.ledger.booking() as transaction:
                self._session.index.update()  # another desk may have queued it a moment ago
                if not self._tasks(record_id=hit.record_id):
                    booked.append(self._queue(transaction, hit, rule))
        self._session.index.update()
        return booked

    def _queue(self, transaction: Transaction, hit: Hit, rule: Rule) -> Record:
        event = self._session.event(
            "review.queued",
            hit.record_id,
            {"queue": rule.queue, "priority": rule.priority},
            tenant=hit.tenant,
        )
        return self._session.ledger.book_within(transaction, event)

    def lease(self, queue: str, *, duration: timedelta = LEASE) -> Task | None:
        """Take the next task of a queue: highest priority, then longest waiting.

        Nobody else gets it until it is decided, released, or the lease ends.

        Returns:
            The task, or None when nothing waits.
        """
        self._session.require("reviewer")
        with self._session.ledger.booking() as transaction:
            self._session.index.update()
            with self._session.index.database.read() as index:
                rows = index.execute(
                    "SELECT review.record_id, tenant FROM review"
                    " JOIN item ON item.record_id = review.record_id"
                    " WHERE queue = ? AND review.decision IS NULL AND tenant = coalesce(?, tenant)"
                    # A lease that is over frees the task by itself; nobody has to clean up.
                    " AND (until IS NULL OR until < ?) ORDER BY priority DESC, queued LIMIT 1",
                    (queue, self._session.tenant, now()),
                )
            if not rows:
                return None
            record_id, tenant = rows[0]
            until = now(duration.total_seconds())
            event = self._session.event("review.leased", record_id, {"until": until}, tenant=tenant)
            self._session.ledger.book_within(transaction, event)
        self._session.index.update()
        return self._tasks(record_id=record_id)[0]

    def renew(self, record_id: str, *, duration: timedelta = LEASE) -> Task:
        """Keep a task that this person holds for longer.

        Raises:
            NotPermitted: It is not held by this person.
        """
        until = now(duration.total_seconds())
        self._on_lease(record_id, "review.leased", {"until": until}, {})
        return self._tasks(record_id=record_id)[0]

    def release(self, record_id: str) -> Record:
        """Give a task back undecided.

        Raises:
            NotPermitted: It is not held by this person.
        """
        return self._on_lease(record_id, "review.released", {}, {})

    def decide(self, record_id: str, decision: ReviewDecision, *, rationale: str) -> Record:
        """Decide on a task.

        Raises:
            NotPermitted: It is not held by this person.
            InvalidRequest: No rationale.
        """
        if not rationale.strip():
            raise InvalidRequest("a decision needs a rationale")
        return self._on_lease(
            record_id, "review.decided", {"decision": decision}, {"rationale": rationale}
        )

    def _on_lease(
        self,
        record_id: str,
        kind: EventKind,
        public: dict[str, JsonValue],
        private: dict[str, JsonValue],
    ) -> Record:
        self._session.require("reviewer")
        with self._session.ledger.booking() as transaction:
            self._session.index.update()
            with self._session.index.database.read() as index:
                rows = index.execute(
                    "SELECT tenant FROM review JOIN item ON item.record_id = review.record_id"
                    " WHERE review.record_id = ? AND holder = ? AND scope = ? AND until >= ?",
                    (record_id, self._session.actor.name, self._session.actor.scope, now()),
                )
            if not rows:
                raise NotPermitted(
                    f"record {record_id} is not on lease to you", hint="lease it first"
                )
            event = self._session.event(kind, record_id, public, private, tenant=str(rows[0][0]))
            record = self._session.ledger.book_within(transaction, event)
        self._session.index.update()
        return record

    def tasks(
        self, queue: str | None = None, *, record_id: str | None = None, only_open: bool = False
    ) -> list[Task]:
        """Return what is or was queued, the next one first.

        Args:
            queue: Only this queue.
            record_id: Only this record.
            only_open: Only what is not decided.
        """
        self._session.require("reader", "reviewer", "investigator")
        self._session.index.update()
        found = self._tasks(queue=queue, record_id=record_id)
        return [task for task in found if task.decision is None or not only_open]

    def _tasks(self, *, queue: str | None = None, record_id: str | None = None) -> list[Task]:
        with self._session.index.database.read() as transaction:
            rows = transaction.execute(
                "SELECT review.record_id, tenant, queue, priority, since, holder, until,"
                " review.decision FROM review JOIN item ON item.record_id = review.record_id"
                " WHERE queue = coalesce(?, queue) AND review.record_id = coalesce(?,"
                " review.record_id) AND tenant = coalesce(?, tenant)"
                " ORDER BY review.decision IS NOT NULL, priority DESC, queued",
                (queue, record_id, self._session.tenant),
            )
        return [
            Task(
                record_id=row[0],
                tenant=row[1],
                queue=row[2],
                priority=row[3],
                queued=row[4],
                holder=row[5],
                until=row[6],
                decision=row[7],
            )
            for row in rows
        ]

"""Callers of a cluster, and whether the log holds what they were told."""

from __future__ import annotations

import base64
import hashlib
import itertools
import random
import threading
import time
import uuid
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self

import httpx

if TYPE_CHECKING:
    from collections.abc import Sequence

    from chopmark.audit import AuditLog

__all__ = ["Callers", "Told", "compare", "count_let_through", "crowd"]

_PATH = "/v1/images/generations"
_PATIENCE = httpx.Timeout(40.0, connect=2.0)
_SETTLE_S = 90


@dataclass(frozen=True)
class Told:
    """One answer that a caller got.

    Attributes:
        at: When, by the monotonic clock.
        record: The record's id.
        pictures: SHA-256 of each picture, lower-case hex.
    """

    at: float
    record: str
    pictures: tuple[str, ...]


@dataclass
class Callers:
    """Threads that ask for one picture after the other, each of another node.

    An answer that does not come is asked for again, of the next node, with the same
    ``Idempotency-Key``, until it comes: so no caller leaves it open what became of a request.

    Attributes:
        nodes: Addresses.
        key: API key.
        number: Threads.
        told: Answers by seed.
        refused: HTTP statuses of the others, and ``unreachable``.
        open: Seeds that were never answered.
    """

    nodes: Sequence[str]
    key: str
    number: int
    told: dict[int, Told] = field(default_factory=dict)
    refused: Counter[str] = field(default_factory=Counter)
    open: list[int] = field(default_factory=list)

    def __enter__(self) -> Self:
        """Begin to ask."""
        self._lock, self._stop = threading.Lock(), threading.Event()
        self._threads = [
            threading.Thread(target=self._ask, args=(place,)) for place in range(self.number)
        ]
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Begin nothing more, and wait until what was begun is answered."""
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _ask(self, place: int) -> None:
        first = place % len(self.nodes)
        turns = itertools.cycle([*self.nodes[first:], *self.nodes[:first]])
        chance = random.Random(f"{time.time_ns()}-{place}")
        clients = {
            node: httpx.Client(base_url=node, trust_env=False, timeout=_PATIENCE)
            for node in self.nodes
        }
        while not self._stop.is_set():
            seed = chance.randrange(1 << 31)
            answer = self._until_answered(clients, turns, seed)
            with self._lock:
                if answer is None:
                    self.open.append(seed)
                else:
                    self.told[seed] = answer
        for client in clients.values():
            client.close()

    def _until_answered(self, clients: Any, turns: Any, seed: int) -> Told | None:
        headers = {
            "authorization": f"Bearer {self.key}",
            "idempotency-key": str(uuid.UUID(int=seed)),
        }
        body = {"prompt": "a red apple", "seed": seed, "size": "256x256"}
        late: float | None = None
        node = next(turns)
        while late is None or time.monotonic() < late:
            if late is None and self._stop.is_set():
                late = time.monotonic() + _SETTLE_S
            try:
                answer = clients[node].post(_PATH, json=body, headers=headers)
            except httpx.HTTPError:
                self._count("unreachable")
                node = next(turns)
                continue
            if answer.status_code == 200:
                data = answer.json()["data"]
                pictures = [hashlib.sha256(base64.b64decode(one["b64_json"])) for one in data]
                return Told(
                    time.monotonic(),
                    answer.headers["x-record-id"],
                    tuple(one.hexdigest() for one in pictures),
                )
            self._count(_said(answer))
            node = next(turns)
            time.sleep(min(2.0, float(answer.headers.get("retry-after", 0.5))))
        return None

    def _count(self, what: str) -> None:
        with self._lock:
            self.refused[what] += 1

    def within(self, begun: float, ended: float) -> int:
        """Return how many answers came between two moments."""
        with self._lock:
            return sum(begun <= one.at < ended for one in self.told.values())

    def first_after(self, moment: float) -> float:
        """Return seconds until the first answer after a moment; -1 where none came."""
        with self._lock:
            after = [one.at for one in self.told.values() if one.at > moment]
        return min(after) - moment if after else -1.0

    def longest_gap(self, begun: float, ended: float) -> float:
        """Return the longest time between two answers, in seconds."""
        with self._lock:
            times = sorted(one.at for one in self.told.values() if begun <= one.at < ended)
        return max(b - a for a, b in itertools.pairwise([begun, *times, ended]))


def _said(answer: httpx.Response) -> str:
    try:
        error = answer.json()["error"]
        return f"{answer.status_code} {error.get('code') or error.get('type')}"
    except (ValueError, KeyError, TypeError, AttributeError):
        return str(answer.status_code)


def count_let_through(nodes: Sequence[str], key: str, requests: int) -> Counter[int]:
    """Send so many cheap requests of one tenant at once, over all nodes; count the statuses."""
    counted: Counter[int] = Counter()
    lock = threading.Lock()
    share = requests // (2 * len(nodes))

    def ask(node: str) -> None:
        with httpx.Client(base_url=node, trust_env=False, timeout=30) as client:
            for _ in range(share):
                answer = client.get("/v1/models", headers={"authorization": f"Bearer {key}"})
                with lock:
                    counted[answer.status_code] += 1

    threads = [threading.Thread(target=ask, args=(node,)) for node in nodes for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return counted


def crowd(node: str, key: str, number: int) -> tuple[Counter[int], int]:
    """Ask one node for so many pictures at once; return statuses, and refusals that say when."""
    counted: Counter[int] = Counter()
    said, lock = 0, threading.Lock()

    def ask(seed: int) -> None:
        nonlocal said
        with httpx.Client(base_url=node, trust_env=False, timeout=120) as client:
            body = {"prompt": "a red apple", "seed": seed, "size": "256x256"}
            try:
                answer = client.post(_PATH, json=body, headers={"authorization": f"Bearer {key}"})
            except httpx.HTTPError:
                with lock:
                    counted[0] += 1
                return
            with lock:
                counted[answer.status_code] += 1
                said += answer.status_code in {429, 503} and "retry-after" in answer.headers

    threads = [threading.Thread(target=ask, args=(seed,)) for seed in range(number)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return counted, said


def compare(log: AuditLog, told: dict[int, Told], given_up: Sequence[int]) -> dict[str, int]:
    """Hold the log to what callers were told.

    Returns:
        ``not_booked``: answers with a picture that the log has no completed record of;
        ``twice``: seeds that completed in more than one record; ``lost``: answers whose record is
        not there or not completed; ``left_open``: records without an end; ``completed``.
    """
    begun: dict[str, int] = {}
    ended: dict[str, Any] = {}
    for index in range(log.size):
        one = log.get(index)
        if one.kind == "request.received" and "seed" in one.public:
            begun[one.record_id] = int(str(one.public["seed"]))
        elif one.kind in {"request.completed", "request.failed", "request.refused"}:
            ended[one.record_id] = one
    completed: dict[int, list[str]] = {}
    for record, seed in begun.items():
        if record in ended and ended[record].kind == "request.completed":
            completed.setdefault(seed, []).append(record)
    figures = Counter(not_booked=0, twice=0, lost=0, left_open=0)
    for seed, answer in told.items():
        records = completed.get(seed, [])
        figures["lost"] += answer.record not in records
        if answer.record in records:
            private: Any = log.private(ended[answer.record].index) or {}
            booked = set(private.get("sha256", {}).values())
            figures["not_booked"] += not set(answer.pictures) <= booked
        else:
            figures["not_booked"] += 1
    mine = set(told) | set(given_up)
    figures["twice"] = sum(len(completed.get(seed, [])) > 1 for seed in mine)
    figures["left_open"] = sum(record not in ended for record in begun)
    figures["completed"] = sum(map(len, completed.values()))
    return dict(figures)

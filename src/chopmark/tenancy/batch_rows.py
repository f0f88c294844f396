"""A batch as it stands in the database, and how its rows change within somebody's transaction."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal

from chopmark.tenancy.files import KeptFile, file_row

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from chopmark.kit.database import Transaction

__all__ = [
    "OVER",
    "Batch",
    "Kind",
    "Status",
    "add_lines",
    "change",
    "drop_waiting",
    "end_batch",
    "read_batch",
]

Kind = Literal["batch", "job"]
Status = Literal[
    "validating", "failed", "in_progress", "completed", "expired", "cancelling", "cancelled"
]
#: Nothing happens to these any more.
OVER: Final = ("failed", "completed", "expired", "cancelled")
_COLUMNS: Final = (
    "id, tenant, kind, caller, endpoint, input, output, errors, status, problems, metadata, times,"
    " created, expires"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """One batch.

    Attributes:
        batch_id: Its name.
        tenant: Whose.
        kind: A batch, or a job.
        caller: Who asks, as text (:mod:`chopmark.service.absent_caller`).
        endpoint: The path that every line is sent to.
        input: The file with the lines.
        output: The file with the answers 200.
        errors: The file with the others.
        status: As OpenAI's clients know it.
        problems: Why it failed: ``code``, ``message``, ``line``.
        metadata: The caller's.
        times: Unix times in seconds by their name: ``in_progress_at``, ``completed_at`` ...
        created: Unix time in seconds.
        expires: Unix time in seconds after which nothing is begun any more.
        waiting: Lines that are not answered yet.
        completed: Lines that were answered 200.
        failed: Lines that were answered otherwise.
        total: All lines, with those that were cancelled.
    """

    batch_id: str
    tenant: str
    kind: Kind
    caller: str
    endpoint: str
    input: str
    output: str
    errors: str
    status: Status
    problems: list[dict[str, Any]]
    metadata: dict[str, str] | None
    times: dict[str, int]
    created: int
    expires: int
    waiting: int = 0
    completed: int = 0
    failed: int = 0
    total: int = 0


def read_batch(transaction: Transaction, batch_id: str, *, counted: bool = True) -> Batch | None:
    """Return a batch as this transaction sees it, its lines uncounted where that is not asked."""
    rows = transaction.execute(f"SELECT {_COLUMNS} FROM batch WHERE id = ?", (batch_id,))  # noqa: S608
    if not rows:
        return None
    row = rows[0]
    states = {
        str(state): int(count)
        for state, count in transaction.execute(
            "SELECT state, count(*) FROM batch_line WHERE batch = ? GROUP BY state",
            (batch_id if counted else "",),
        )
    }
    return Batch(
        batch_id=row[0],
        tenant=row[1],
        kind=row[2],
        caller=row[3],
        endpoint=row[4],
        input=row[5],
        output=row[6],
        errors=row[7],
        status=row[8],
        problems=json.loads(row[9]),
        metadata=json.loads(row[10]),
        times=json.loads(row[11]),
        created=int(row[12]),
        expires=int(row[13]),
        waiting=states.get("waiting", 0) + states.get("running", 0),
        completed=states.get("completed", 0),
        failed=states.get("failed", 0),
        total=sum(states.values()),
    )


def change(
    transaction: Transaction, batch: Batch, status: Status, times: Mapping[str, int]
) -> None:
    """Give a batch another status, and add to its times."""
    transaction.execute(
        "UPDATE batch SET status = ?, times = ? WHERE id = ?",
        (status, json.dumps(batch.times | dict(times)), batch.batch_id),
    )


def add_lines(
    transaction: Transaction, batch_id: str, lines: Iterable[tuple[int, str, str]]
) -> None:
    """Add lines that wait: number, the caller's name, type of the body."""
    transaction.many(
        "INSERT INTO batch_line (batch, number, custom_id, content_type, state, owner, until,"
        " attempts) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        [(batch_id, number, name, kind, "waiting", "", 0, 0) for number, name, kind in lines],
    )


def drop_waiting(transaction: Transaction, batch: Batch, state: str) -> list[tuple[int, str]]:
    """Send no more lines of a batch; return number and name of each that was waiting."""
    rows = transaction.execute(
        "UPDATE batch_line SET state = ? WHERE batch = ? AND state = 'waiting'"
        " RETURNING number, custom_id",
        (state, batch.batch_id),
    )
    return [(int(number), str(name)) for number, name in rows]


def end_batch(transaction: Transaction, batch_id: str, now: int) -> None:
    """End a batch of which nothing is left to do; from now on its files are there."""
    rows = transaction.execute(
        "SELECT ending, keep_s FROM batch WHERE id = ? AND status IN"
        " ('validating', 'in_progress', 'cancelling') AND NOT EXISTS (SELECT 1 FROM batch_line"
        " WHERE batch = ? AND state IN ('waiting', 'running'))",
        (batch_id, batch_id),
    )
    found = read_batch(transaction, batch_id, counted=False) if rows else None
    if not rows or found is None:
        return
    ending, keep_s = rows[0]
    if found.status == "validating" and ending is None:
        return
    for file_id, name in ((found.output, "output"), (found.errors, "error")):
        sizes = transaction.execute(
            "SELECT count(*), coalesce(sum(size), 0) FROM kept_piece WHERE file = ?", (file_id,)
        )
        if not int(sizes[0][0]):
            continue
        file_row(
            transaction,
            KeptFile(
                file_id=file_id,
                tenant=found.tenant,
                purpose="batch_output" if found.kind == "batch" else "job_output",
                filename=f"{batch_id}_{name}.jsonl",
                mime="application/jsonl",
                size=int(sizes[0][1]),
                created=now,
                expires=now + int(keep_s),
            ),
        )
    status: Status = "completed" if ending is None else ending
    times = {f"{status}_at": now}
    if status == "completed":
        times["finalizing_at"] = now
    change(transaction, found, status, times)

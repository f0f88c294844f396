"""Batches: many requests that a tenant hands over at once, and how far each of them has come.

A line is claimed by one server for a while, and its answer is written together with its state: what
was answered before a crash is never asked again, and what was claimed is taken up again when the
claim is over. A job (``Prefer: respond-async``) is a batch of one line.
"""

from __future__ import annotations

import json
import secrets
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal

from chopmark.errors import BatchNotFound, InvalidRequest
from chopmark.tenancy.files import (
    KeptFile,
    add_piece,
    error_line,
    file_row,
    new_file_id,
    note_records,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from chopmark.kit.database import Database, Transaction

__all__ = ["Batch", "Batches", "Claimed", "Kind", "Status"]

Kind = Literal["batch", "job"]
Status = Literal[
    "validating", "failed", "in_progress", "completed", "expired", "cancelling", "cancelled"
]
#: Nothing happens to these any more.
OVER: Final = ("failed", "completed", "expired", "cancelled")
#: A tenant's batches and jobs that are not over.
MOST_OPEN: Final = 1000
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Claimed:
    """A line that is this server's to send."""

    batch_id: str
    kind: Kind
    tenant: str
    caller: str
    endpoint: str
    number: int
    custom_id: str
    content_type: str
    attempts: int
    asked_at: int
    data: bytes | None
    input: str
    output: str
    errors: str


class Batches:
    """Use it from any thread, and from several processes.

    Args:
        database: That of :class:`chopmark.tenancy.files.FileStore`.
        clock: Seconds since 1970.
    """

    def __init__(self, database: Database, *, clock: Callable[[], float] = time.time) -> None:
        self._database, self._clock = database, clock

    def add(
        self,
        tenant: str,
        *,
        kind: Kind,
        caller: str,
        endpoint: str,
        input_file: str,
        window_s: int,
        keep_s: int,
        metadata: Mapping[str, str] | None = None,
        content_type: str = "",
    ) -> Batch:
        """Take a batch, whose lines are still to be looked at, or a job, which has one line.

        Args:
            tenant: Whose.
            kind: Which of both.
            caller: Who asks.
            endpoint: The path that the lines are sent to.
            input_file: Its file; of a job all of it is the body.
            window_s: Seconds in which it has to be done.
            keep_s: Seconds that the files of answers are kept from its end on.
            metadata: The caller's.
            content_type: Of a job's body.

        Raises:
            InvalidRequest: A thousand of the tenant's are not over yet.
        """
        now = int(self._clock())
        batch_id = f"{kind}_{secrets.token_hex(16)}"
        times = {} if kind == "batch" else {"in_progress_at": now}
        with self._database.write() as transaction:
            rows = transaction.execute(
                "SELECT count(*) FROM batch WHERE tenant = ? AND"
                " status IN ('validating', 'in_progress', 'cancelling')",
                (tenant,),
            )
            if int(rows[0][0]) >= MOST_OPEN:
                raise InvalidRequest(
                    f"{MOST_OPEN} batches and jobs are not over yet",
                    hint="wait until some of them are, or cancel them",
                )
            transaction.execute(
                "INSERT INTO batch (id, tenant, kind, caller, endpoint, input, output, errors,"
                " status, problems, metadata, times, created, expires, keep_s, later, served, told)"
                " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    batch_id, tenant, kind, caller, endpoint, input_file, new_file_id(),
                    new_file_id(), "validating" if kind == "batch" else "in_progress", "[]",
                    json.dumps(None if metadata is None else dict(metadata)), json.dumps(times),
                    now, now + window_s, keep_s, 0, 0, 0,
                ),
            )  # fmt: skip
            if kind == "job":
                _add_lines(transaction, batch_id, [(0, "", content_type)])
        return self.get(tenant, batch_id)

    def get(self, tenant: str, batch_id: str, *, kind: Kind | None = None) -> Batch:
        """Return a tenant's batch.

        Raises:
            BatchNotFound: There is none of this name, or it is another tenant's.
        """
        with self._database.read() as transaction:
            found = _batch(transaction, batch_id)
        if found is None or found.tenant != tenant or kind not in {None, found.kind}:
            raise BatchNotFound(f"there is no {kind or 'batch'} {batch_id[:60]!r}")
        return found

    def listed(self, tenant: str, *, after: str | None, limit: int) -> list[Batch]:
        """Return a tenant's batches, without its jobs, the newest first.

        Raises:
            BatchNotFound: There is no batch ``after``.
        """
        where, bound = "", list[object]([tenant])
        if after is not None:
            last = self.get(tenant, after, kind="batch")
            where = " AND (created < ? OR (created = ? AND id < ?))"
            bound += [last.created, last.created, last.batch_id]
        with self._database.read() as transaction:
            rows = transaction.execute(
                f"SELECT id FROM batch WHERE tenant = ? AND kind = 'batch'{where}"  # noqa: S608
                " ORDER BY created DESC, id DESC LIMIT ?",
                (*bound, limit),
            )
            found = [_batch(transaction, str(row[0])) for row in rows]
        return [one for one in found if one is not None]

    def cancel(self, tenant: str, batch_id: str, *, kind: Kind) -> Batch:
        """Begin nothing more of a batch; what is on its way is finished.

        Raises:
            BatchNotFound: As :meth:`get`.
            InvalidRequest: It is over.
        """
        found = self.get(tenant, batch_id, kind=kind)
        with self._database.write() as transaction:
            found = _batch(transaction, batch_id) or found
            if found.status in OVER:
                raise InvalidRequest(
                    f"the {kind} is {found.status} already", hint="there is nothing to cancel"
                )
            if found.status != "cancelling":
                _change(transaction, found, "cancelling", {"cancelling_at": int(self._clock())})
                transaction.execute(
                    "UPDATE batch SET ending = 'cancelled' WHERE id = ?", (batch_id,)
                )
            _drop_waiting(transaction, found, "cancelled")
            self._end(transaction, batch_id)
        return self.get(tenant, batch_id, kind=kind)

    # What a server does with them

    def unvalidated(self) -> list[Batch]:
        """Return the batches whose lines nobody has looked at yet."""
        with self._database.read() as transaction:
            rows = transaction.execute(
                "SELECT id FROM batch WHERE status = 'validating' ORDER BY created, id LIMIT 10"
            )
            found = [_batch(transaction, str(row[0])) for row in rows]
        return [one for one in found if one is not None]

    def validated(
        self, batch_id: str, custom_ids: Sequence[tuple[int, str]], problems: list[dict[str, Any]]
    ) -> None:
        """Begin a batch, or end it where its file cannot be used. The first one to say so counts.

        Args:
            batch_id: Which.
            custom_ids: Number of each line's piece, and what the caller calls it.
            problems: What is wrong with the file.
        """
        now = int(self._clock())
        with self._database.write() as transaction:
            found = _batch(transaction, batch_id)
            if found is None or found.status != "validating":
                return
            if problems:
                transaction.execute(
                    "UPDATE batch SET problems = ? WHERE id = ?", (json.dumps(problems), batch_id)
                )
                _change(transaction, found, "failed", {"failed_at": now})
                return
            _add_lines(
                transaction,
                batch_id,
                [(number, name, "application/json") for number, name in custom_ids],
            )
            _change(transaction, found, "in_progress", {"in_progress_at": now})

    def claim(
        self, owner: str, *, lease_s: int, mine: Iterable[tuple[str, int]] = ()
    ) -> Claimed | None:
        """Take the next line, the tenants in turn; nobody else takes it while the claim lasts.

        Args:
            owner: Who claims it.
            lease_s: For how many seconds, unless it is renewed.
            mine: Lines that the owner is at, whatever their claims say.
        """
        now = int(self._clock())
        busy = set(mine)
        with self._database.write() as transaction:
            rows = transaction.execute(
                "SELECT b.id FROM batch AS b LEFT JOIN batch_turn AS t ON t.tenant = b.tenant"
                " WHERE b.status = 'in_progress' AND b.later <= ? AND b.expires > ?"
                " AND EXISTS (SELECT 1 FROM batch_line AS n"
                " WHERE n.batch = b.id AND n.state = 'waiting')"
                " ORDER BY coalesce(t.served, 0), b.served, b.created, b.id LIMIT 1",
                (now, now),
            )
            if not rows:
                return None
            batch_id = str(rows[0][0])
            lines = transaction.execute(
                "SELECT number, custom_id, content_type, attempts FROM batch_line"
                " WHERE batch = ? AND state = 'waiting' ORDER BY number LIMIT 1",
                (batch_id,),
            )
            found = _batch(transaction, batch_id, counted=False)
            if found is None or not lines or (batch_id, int(lines[0][0])) in busy:
                return None
            number, custom_id, content_type, attempts = lines[0]
            transaction.execute(
                "UPDATE batch_line SET state = 'running', owner = ?, until = ?"
                " WHERE batch = ? AND number = ?",
                (owner, now + lease_s, batch_id, number),
            )
            _take_turn(transaction, found)
            if found.kind == "job":
                pieces = transaction.execute(
                    "SELECT data FROM kept_piece WHERE file = ? ORDER BY number", (found.input,)
                )
            else:
                pieces = transaction.execute(
                    "SELECT data FROM kept_piece WHERE file = ? AND number = ?",
                    (found.input, number),
                )
        return Claimed(
            batch_id=batch_id,
            kind=found.kind,
            tenant=found.tenant,
            caller=found.caller,
            endpoint=found.endpoint,
            number=int(number),
            custom_id=str(custom_id),
            content_type=str(content_type),
            attempts=int(attempts),
            asked_at=found.created,
            data=b"".join(bytes(row[0]) for row in pieces) if pieces else None,
            input=found.input,
            output=found.output,
            errors=found.errors,
        )

    def renew(self, owner: str, *, lease_s: int) -> None:
        """Go on holding what an owner has claimed."""
        with self._database.write() as transaction:
            transaction.execute(
                "UPDATE batch_line SET until = ? WHERE owner = ? AND state = 'running'",
                (int(self._clock()) + lease_s, owner),
            )

    def answered(self, line: Claimed, answer: bytes, *, records: Sequence[str], well: bool) -> None:
        """Write the answer to a line, once: whoever comes second changes nothing.

        Args:
            line: Which.
            answer: The line for the file of answers.
            records: The log's records that request and answer belong to.
            well: Whether it is an answer 200.
        """
        with self._database.write() as transaction:
            changed = transaction.execute(
                "UPDATE batch_line SET state = ?, owner = '' WHERE batch = ? AND number = ?"
                " AND state IN ('waiting', 'running') RETURNING number",
                ("completed" if well else "failed", line.batch_id, line.number),
            )
            if changed:
                file = line.output if well else line.errors
                add_piece(transaction, file, line.number, answer, records)
                # Of a job the input is one file, and goes as one.
                number = line.number if line.kind == "batch" else -1
                note_records(transaction, line.input, number, records)
            self._end(transaction, line.batch_id)

    def later(self, line: Claimed, *, wait_s: int, attempts: int) -> None:
        """Give a line back, to be sent again after a while; its batch rests until then."""
        with self._database.write() as transaction:
            transaction.execute(
                "UPDATE batch_line SET state = 'waiting', owner = '', attempts = ?"
                " WHERE batch = ? AND number = ? AND state = 'running'",
                (attempts, line.batch_id, line.number),
            )
            if wait_s:
                transaction.execute(
                    "UPDATE batch SET later = ? WHERE id = ?",
                    (int(self._clock()) + wait_s, line.batch_id),
                )

    def settle(self, owner: str) -> None:
        """Take up what others left, and end what was cancelled or not done in its time.

        A line that was never sent says so in the file of errors where the time was over.

        Args:
            owner: Who does it; what it has claimed itself is its own affair.
        """
        now = int(self._clock())
        with self._database.read() as transaction:
            left = transaction.execute(
                "SELECT 1 FROM batch_line WHERE state = 'running' AND until <= ? AND owner <> ?"
                " LIMIT 1",
                (now, owner),
            )
            rows = transaction.execute(
                "SELECT id FROM batch WHERE status = 'cancelling'"
                " OR (status IN ('validating', 'in_progress') AND expires <= ?) LIMIT 20",
                (now,),
            )
        if left:
            with self._database.write() as transaction:
                transaction.execute(
                    "UPDATE batch_line SET state = 'waiting', owner = '' WHERE state = 'running'"
                    " AND until <= ? AND owner <> ?",
                    (now, owner),
                )
        for (batch_id,) in rows:
            with self._database.write() as transaction:
                found = _batch(transaction, str(batch_id))
                if found is None or found.status in OVER:
                    continue
                late = found.status != "cancelling"
                if late:
                    transaction.execute(
                        "UPDATE batch SET ending = 'expired' WHERE id = ?", (batch_id,)
                    )
                for number, name in _drop_waiting(
                    transaction, found, "failed" if late else "cancelled"
                ):
                    if late:
                        add_piece(transaction, found.errors, number, _expired(found, name))
                self._end(transaction, str(batch_id))

    def untold(self) -> list[Batch]:
        """Return what is over and was not told to anybody yet."""
        with self._database.read() as transaction:
            rows = transaction.execute(
                "SELECT id FROM batch WHERE told = 0"
                " AND status IN ('failed', 'completed', 'expired', 'cancelled') LIMIT 100"
            )
            found = [_batch(transaction, str(row[0])) for row in rows]
        return [one for one in found if one is not None]

    def told(self, batch_id: str) -> None:
        """Note that whoever wants to know was told, or is about to be."""
        with self._database.write() as transaction:
            transaction.execute("UPDATE batch SET told = 1 WHERE id = ?", (batch_id,))

    def sweep(self, *, older_s: int) -> None:
        """Forget what has been over for so long, and the input of jobs with it."""
        before = int(self._clock()) - older_s
        with self._database.write() as transaction:
            rows = transaction.execute(
                "DELETE FROM batch WHERE expires <= ? AND told = 1"
                " AND status IN ('failed', 'completed', 'expired', 'cancelled') RETURNING id",
                (before,),
            )
            transaction.many("DELETE FROM batch_line WHERE batch = ?", rows)

    def _end(self, transaction: Transaction, batch_id: str) -> None:
        """End a batch of which nothing is left to do; from now on its files are there."""
        rows = transaction.execute(
            "SELECT ending, keep_s FROM batch WHERE id = ? AND status IN"
            " ('validating', 'in_progress', 'cancelling') AND NOT EXISTS (SELECT 1 FROM batch_line"
            " WHERE batch = ? AND state IN ('waiting', 'running'))",
            (batch_id, batch_id),
        )
        found = _batch(transaction, batch_id, counted=False) if rows else None
        if not rows or found is None:
            return
        ending, keep_s = rows[0]
        if found.status == "validating" and ending is None:
            return
        now = int(self._clock())
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
        _change(transaction, found, status, times)


def _add_lines(
    transaction: Transaction, batch_id: str, lines: Iterable[tuple[int, str, str]]
) -> None:
    transaction.many(
        "INSERT INTO batch_line (batch, number, custom_id, content_type, state, owner, until,"
        " attempts) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        [(batch_id, number, name, kind, "waiting", "", 0, 0) for number, name, kind in lines],
    )


def _drop_waiting(transaction: Transaction, batch: Batch, state: str) -> list[tuple[int, str]]:
    """Send no more lines of a batch; return number and name of each that was waiting."""
    rows = transaction.execute(
        "UPDATE batch_line SET state = ? WHERE batch = ? AND state = 'waiting'"
        " RETURNING number, custom_id",
        (state, batch.batch_id),
    )
    return [(int(number), str(name)) for number, name in rows]


def _take_turn(transaction: Transaction, batch: Batch) -> None:
    """Put a batch to the end of its tenant's, and the tenant to the end of all."""
    rows = transaction.execute("SELECT coalesce(max(served), 0) FROM batch_turn")
    turn = int(rows[0][0]) + 1
    transaction.execute(
        "INSERT INTO batch_turn (tenant, served) VALUES (?, ?)"
        " ON CONFLICT (tenant) DO UPDATE SET served = excluded.served",
        (batch.tenant, turn),
    )
    transaction.execute("UPDATE batch SET served = ? WHERE id = ?", (turn, batch.batch_id))


def _change(
    transaction: Transaction, batch: Batch, status: Status, times: Mapping[str, int]
) -> None:
    transaction.execute(
        "UPDATE batch SET status = ?, times = ? WHERE id = ?",
        (status, json.dumps(batch.times | dict(times)), batch.batch_id),
    )


def _batch(transaction: Transaction, batch_id: str, *, counted: bool = True) -> Batch | None:
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


def _expired(batch: Batch, custom_id: str) -> bytes:
    return error_line(
        f"{batch.kind}_req_{secrets.token_hex(12)}",
        custom_id,
        f"{batch.kind}_expired",
        "this request was not sent before its time was over",
    )

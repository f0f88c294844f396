"""The lines of batches and jobs: who sends the next one, and what came of it.

A line is claimed by one server for a while, and its answer is written together with its state: what
was answered before a crash is never asked again, and what was claimed is taken up again when the
claim is over.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING

from chopmark.tenancy.batch_rows import OVER, drop_waiting, end_batch, read_batch
from chopmark.tenancy.files import add_piece, error_line, note_records

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from chopmark.kit.database import Database, Transaction
    from chopmark.tenancy.batch_rows import Batch, Kind

__all__ = ["BatchLines", "Claimed"]


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


class BatchLines:
    """Use it from any thread, and from several processes (``Batches.lines``).

    Args:
        database: That of :class:`chopmark.tenancy.files.FileStore`.
        clock: Seconds since 1970.
    """

    def __init__(self, database: Database, clock: Callable[[], float]) -> None:
        self._database, self._clock = database, clock

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
            found = read_batch(transaction, batch_id, counted=False)
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
            end_batch(transaction, line.batch_id, int(self._clock()))

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
                found = read_batch(transaction, str(batch_id))
                if found is None or found.status in OVER:
                    continue
                late = found.status != "cancelling"
                if late:
                    transaction.execute(
                        "UPDATE batch SET ending = 'expired' WHERE id = ?", (batch_id,)
                    )
                for number, name in drop_waiting(
                    transaction, found, "failed" if late else "cancelled"
                ):
                    if late:
                        add_piece(transaction, found.errors, number, _expired(found, name))
                end_batch(transaction, str(batch_id), now)


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


def _expired(batch: Batch, custom_id: str) -> bytes:
    return error_line(
        f"{batch.kind}_req_{secrets.token_hex(12)}",
        custom_id,
        f"{batch.kind}_expired",
        "this request was not sent before its time was over",
    )

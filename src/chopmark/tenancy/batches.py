"""Batches: many requests that a tenant hands over at once, and how far each of them has come.

A job (``Prefer: respond-async``) is a batch of one line. Who sends the lines, and what came of
them, is in :mod:`chopmark.tenancy.batch_lines`.
"""

from __future__ import annotations

import json
import secrets
import time
from typing import TYPE_CHECKING, Any, Final

from chopmark.errors import BatchNotFound, InvalidRequest
from chopmark.tenancy.batch_lines import BatchLines
from chopmark.tenancy.batch_rows import (
    OVER,
    add_lines,
    change,
    drop_waiting,
    end_batch,
    read_batch,
)
from chopmark.tenancy.files import new_file_id

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from chopmark.kit.database import Database
    from chopmark.tenancy.batch_rows import Batch, Kind

__all__ = ["Batches"]

#: A tenant's batches and jobs that are not over.
MOST_OPEN: Final = 1000


class Batches:
    """Use it from any thread, and from several processes.

    Args:
        database: That of :class:`chopmark.tenancy.files.FileStore`.
        clock: Seconds since 1970.

    Attributes:
        lines: What a server does with their lines.
    """

    def __init__(self, database: Database, *, clock: Callable[[], float] = time.time) -> None:
        self._database, self._clock = database, clock
        self.lines = BatchLines(database, clock)

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
                add_lines(transaction, batch_id, [(0, "", content_type)])
        return self.get(tenant, batch_id)

    def get(self, tenant: str, batch_id: str, *, kind: Kind | None = None) -> Batch:
        """Return a tenant's batch.

        Raises:
            BatchNotFound: There is none of this name, or it is another tenant's.
        """
        with self._database.read() as transaction:
            found = read_batch(transaction, batch_id)
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
            found = [read_batch(transaction, str(row[0])) for row in rows]
        return [one for one in found if one is not None]

    def cancel(self, tenant: str, batch_id: str, *, kind: Kind) -> Batch:
        """Begin nothing more of a batch; what is on its way is finished.

        Raises:
            BatchNotFound: As :meth:`get`.
            InvalidRequest: It is over.
        """
        found = self.get(tenant, batch_id, kind=kind)
        with self._database.write() as transaction:
            found = read_batch(transaction, batch_id) or found
            if found.status in OVER:
                raise InvalidRequest(
                    f"the {kind} is {found.status} already", hint="there is nothing to cancel"
                )
            if found.status != "cancelling":
                change(transaction, found, "cancelling", {"cancelling_at": int(self._clock())})
                transaction.execute(
                    "UPDATE batch SET ending = 'cancelled' WHERE id = ?", (batch_id,)
                )
            drop_waiting(transaction, found, "cancelled")
            end_batch(transaction, batch_id, int(self._clock()))
        return self.get(tenant, batch_id, kind=kind)

    # What a server does with them

    def unvalidated(self) -> list[Batch]:
        """Return the batches whose lines nobody has looked at yet."""
        with self._database.read() as transaction:
            rows = transaction.execute(
                "SELECT id FROM batch WHERE status = 'validating' ORDER BY created, id LIMIT 10"
            )
            found = [read_batch(transaction, str(row[0])) for row in rows]
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
            found = read_batch(transaction, batch_id)
            if found is None or found.status != "validating":
                return
            if problems:
                transaction.execute(
                    "UPDATE batch SET problems = ? WHERE id = ?", (json.dumps(problems), batch_id)
                )
                change(transaction, found, "failed", {"failed_at": now})
                return
            add_lines(
                transaction,
                batch_id,
                [(number, name, "application/json") for number, name in custom_ids],
            )
            change(transaction, found, "in_progress", {"in_progress_at": now})

    def untold(self) -> list[Batch]:
        """Return what is over and was not told to anybody yet."""
        with self._database.read() as transaction:
            rows = transaction.execute(
                "SELECT id FROM batch WHERE told = 0"
                " AND status IN ('failed', 'completed', 'expired', 'cancelled') LIMIT 100"
            )
            found = [read_batch(transaction, str(row[0])) for row in rows]
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

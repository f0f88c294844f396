"""Files that tenants hand over (``/v1/files``), and those that are made for them.

A file is a row and its pieces: a line of JSONL each, or a MiB. What a piece tells of is noted
beside it, so that whoever is erased in the log is erased in the middle of a file too, and the other
lines of it stay. They lie in ``home/tenancy/files.db``, or in the database that servers share: in
clear, since the server must read them while nobody with a key is there.
"""

from __future__ import annotations

import json
import secrets
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Self

from chopmark.errors import FileNotKept, FilesFull
from chopmark.kit.stores import open_tenancy_store

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    from chopmark.kit.database import Database, Transaction

__all__ = [
    "FILE",
    "FileStore",
    "KeptFile",
    "add_piece",
    "error_line",
    "file_row",
    "gone_line",
    "new_file_id",
    "note_records",
]

FILE: Final = "tenancy/files.db"
#: Purposes of files that their tenant sees in lists; those of others are reached by name alone.
SHOWN: Final = ("batch", "batch_output", "user_data", "vision")
#: Purposes of what takes a tenant's room.
_COUNTED: Final = (*SHOWN, "job_input", "job_output", "upload_part")
_PIECE: Final = 1 << 20
#: Bytes that are read from the database at once while a file is given out.
_READ: Final = 4 << 20
SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS kept_file (
  id {key} PRIMARY KEY, tenant TEXT NOT NULL, purpose TEXT NOT NULL, filename TEXT NOT NULL,
  mime TEXT NOT NULL, bytes {integer} NOT NULL, created {integer} NOT NULL, expires {integer}
){strict};;
CREATE INDEX IF NOT EXISTS kept_file_tenant ON kept_file (tenant, created, id);;
CREATE INDEX IF NOT EXISTS kept_file_expires ON kept_file (expires);;
CREATE TABLE IF NOT EXISTS kept_piece (
  file {key} NOT NULL, number {integer} NOT NULL, size {integer} NOT NULL, data {blob} NOT NULL,
  PRIMARY KEY (file, number)
){strict};;
CREATE TABLE IF NOT EXISTS kept_piece_record (
  record_id {key} NOT NULL, file {key} NOT NULL, number {integer} NOT NULL,
  PRIMARY KEY (record_id, file, number)
){strict};;
CREATE INDEX IF NOT EXISTS kept_piece_record_file ON kept_piece_record (file);;
CREATE TABLE IF NOT EXISTS batch (
  id {key} PRIMARY KEY, tenant TEXT NOT NULL, kind TEXT NOT NULL, caller TEXT NOT NULL,
  endpoint TEXT NOT NULL, input {key} NOT NULL, output TEXT NOT NULL, errors TEXT NOT NULL,
  status TEXT NOT NULL, ending TEXT, problems TEXT NOT NULL, metadata TEXT NOT NULL,
  times TEXT NOT NULL, created {integer} NOT NULL, expires {integer} NOT NULL,
  keep_s {integer} NOT NULL, later {integer} NOT NULL, served {integer} NOT NULL,
  told {integer} NOT NULL
){strict};;
CREATE INDEX IF NOT EXISTS batch_tenant ON batch (tenant, created, id);;
CREATE INDEX IF NOT EXISTS batch_status ON batch (status);;
CREATE TABLE IF NOT EXISTS batch_line (
  batch {key} NOT NULL, number {integer} NOT NULL, custom_id TEXT NOT NULL,
  content_type TEXT NOT NULL, state TEXT NOT NULL, owner TEXT NOT NULL, until {integer} NOT NULL,
  attempts {integer} NOT NULL, PRIMARY KEY (batch, number)
){strict};;
CREATE INDEX IF NOT EXISTS batch_line_state ON batch_line (batch, state, number);;
CREATE INDEX IF NOT EXISTS batch_line_until ON batch_line (state, until);;
CREATE TABLE IF NOT EXISTS batch_turn (
  tenant {key} PRIMARY KEY, served {integer} NOT NULL
){strict};;
CREATE TABLE IF NOT EXISTS upload (
  id {key} PRIMARY KEY, tenant TEXT NOT NULL, purpose TEXT NOT NULL, filename TEXT NOT NULL,
  bytes {integer} NOT NULL, keep_s {integer} NOT NULL, created {integer} NOT NULL,
  expires {integer} NOT NULL, status TEXT NOT NULL
){strict}
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptFile:
    """What is known of a file.

    Attributes:
        file_id: Its name.
        tenant: Whose it is.
        purpose: What it is for: ``batch``, ``batch_output``, ``user_data``, ``vision``.
        filename: As its sender called it.
        mime: Its media type.
        size: In bytes.
        created: Unix time in seconds.
        expires: Unix time in seconds from which on it is gone; None: never.
    """

    file_id: str
    tenant: str
    purpose: str
    filename: str
    mime: str
    size: int
    created: int
    expires: int | None


_COLUMNS: Final = "id, tenant, purpose, filename, mime, bytes, created, expires"


class FileStore:
    """Open it with :meth:`open`; use it from any thread, and from several processes.

    Args:
        database: With the tables of ``SCHEMA``.
        clock: Seconds since 1970.
    """

    def __init__(self, database: Database, *, clock: Callable[[], float] = time.time) -> None:
        self.database, self._clock = database, clock

    @classmethod
    def open(
        cls, home: Path, *, database: str = "", clock: Callable[[], float] = time.time
    ) -> Self:
        """Open ``home/tenancy/files.db``, or make it.

        Args:
            home: The home folder.
            database: ``postgresql://...`` to keep them there instead.
            clock: Seconds since 1970.

        Raises:
            ConfigurationError: The file or the address cannot be used.
            DatabaseUnavailable: The database does not answer.
        """
        return cls(open_tenancy_store(home, "files", SCHEMA, database=database), clock=clock)

    def close(self) -> None:
        """Close the database. Idempotent."""
        self.database.close()

    def add(
        self,
        tenant: str,
        data: bytes,
        *,
        purpose: str,
        filename: str,
        mime: str,
        keep_s: int | None,
        most_bytes: int,
        file_id: str = "",
        records: Iterable[str] = (),
        instead_of: Iterable[str] = (),
    ) -> KeptFile:
        """Keep a file; one of the same name takes the place of the earlier one.

        Args:
            tenant: Whose.
            data: All of it. A file of purpose ``batch`` is kept line by line.
            purpose: What for.
            filename: As its sender calls it.
            mime: Its media type.
            keep_s: Seconds until it is gone; None: never.
            most_bytes: Of all that is kept of the tenant's files of lists.
            file_id: Its name; a new one where it is not given.
            records: The log's records that it tells of; it goes with them.
            instead_of: Files that go as it comes.

        Raises:
            FilesFull: The tenant has no room left; then all stays as it was.
        """
        now = int(self._clock())
        kept = KeptFile(
            file_id=file_id or new_file_id(),
            tenant=tenant,
            purpose=purpose,
            filename=filename,
            mime=mime,
            size=len(data),
            created=now,
            expires=None if keep_s is None else now + keep_s,
        )
        lines = data.splitlines(keepends=True) if purpose == "batch" else _pieces(data)
        named = list(records)
        with self.database.write() as transaction:
            for one in instead_of:
                _remove(transaction, one)
            if purpose in _COUNTED and _used(transaction, tenant) + len(data) > most_bytes:
                raise FilesFull(
                    f"{most_bytes >> 20} MiB of files are kept of one tenant, and these are more",
                    hint="delete some; the operator can raise CHOPMARK_FILES_MB",
                )
            if file_id:
                _remove(transaction, file_id)
            file_row(transaction, kept)
            transaction.many(
                "INSERT INTO kept_piece (file, number, size, data) VALUES (?, ?, ?, ?)",
                [(kept.file_id, number, len(one), one) for number, one in enumerate(lines)],
            )
            transaction.many(
                "INSERT INTO kept_piece_record (record_id, file, number) VALUES (?, ?, ?)",
                [(record, kept.file_id, -1) for record in named],
            )
        return kept

    def get(self, tenant: str | None, file_id: str, *, shown: bool = False) -> KeptFile:
        """Return what is known of a tenant's file.

        Args:
            tenant: Whose; None where a signature said who may have it.
            file_id: Its name.
            shown: Whether it must be of those that lists show.

        Raises:
            FileNotKept: There is none of this name, or it is another tenant's, or gone.
        """
        with self.database.read() as transaction:
            rows = transaction.execute(
                f"SELECT {_COLUMNS} FROM kept_file WHERE id = ?"  # noqa: S608
                " AND (expires IS NULL OR expires > ?)",
                (file_id, int(self._clock())),
            )
        found = _file(rows[0]) if rows else None
        if (
            found is None
            or tenant not in {None, found.tenant}
            or (shown and found.purpose not in SHOWN)
        ):
            raise FileNotKept(f"there is no file {file_id[:60]!r}, or not any more")
        return found

    def listed(
        self, tenant: str, *, purpose: str | None, after: str | None, limit: int, newest: bool
    ) -> list[KeptFile]:
        """Return a tenant's files that lists show, by age.

        Args:
            tenant: Whose.
            purpose: Of one purpose alone.
            after: The last file of the page before.
            limit: How many at most.
            newest: Whether the newest come first.

        Raises:
            FileNotKept: There is no file ``after``.
        """
        where, values = ["tenant = ?"], [tenant]
        purposes = [one for one in SHOWN if purpose in {None, one}]
        where.append(f"purpose IN ({', '.join('?' for _ in purposes) or 'NULL'})")
        values += purposes
        bound: list[object] = [*values, int(self._clock())]
        where.append("(expires IS NULL OR expires > ?)")
        way = ("<", "DESC") if newest else (">", "ASC")
        if after is not None:
            last = self.get(tenant, after)
            where.append(f"(created {way[0]} ? OR (created = ? AND id {way[0]} ?))")
            bound += [last.created, last.created, last.file_id]
        with self.database.read() as transaction:
            rows = transaction.execute(
                f"SELECT {_COLUMNS} FROM kept_file WHERE {' AND '.join(where)}"  # noqa: S608
                f" ORDER BY created {way[1]}, id {way[1]} LIMIT ?",
                (*bound, limit),
            )
        return [_file(row) for row in rows]

    def delete(self, tenant: str, file_id: str) -> None:
        """Let go of a tenant's file.

        Raises:
            FileNotKept: As :meth:`get`.
        """
        self.get(tenant, file_id)
        with self.database.write() as transaction:
            _remove(transaction, file_id)

    def pieces(self, file_id: str) -> Iterator[tuple[int, bytes]]:
        """Give the pieces of a file in their order, each with its number; some MiB are held."""
        last = -1
        while True:
            with self.database.read() as transaction:
                # How many fit is told by their sizes, before any is read.
                sizes = transaction.execute(
                    "SELECT number, size FROM kept_piece WHERE file = ? AND number > ?"
                    " ORDER BY number LIMIT 1000",
                    (file_id, last),
                )
                total, upto = 0, last
                for number, size in sizes:
                    total += int(size)
                    if total > _READ and upto > last:
                        break
                    upto = int(number)
                rows = transaction.execute(
                    "SELECT number, data FROM kept_piece WHERE file = ? AND number > ?"
                    " AND number <= ? ORDER BY number",
                    (file_id, last, upto),
                )
            if not rows:
                return
            for number, data in rows:
                yield int(number), bytes(data)
            last = int(rows[-1][0])

    def data(self, file_id: str) -> bytes:
        """Return all of a file: of one whose size its reader knows."""
        return b"".join(data for _, data in self.pieces(file_id))

    def piece_records(self, file_id: str) -> dict[str, list[int]]:
        """Return the records that a file tells of, each with its pieces."""
        with self.database.read() as transaction:
            rows = transaction.execute(
                "SELECT record_id, number FROM kept_piece_record WHERE file = ?"
                " ORDER BY record_id, number",
                (file_id,),
            )
        found: dict[str, list[int]] = {}
        for record, number in rows:
            found.setdefault(str(record), []).append(int(number))
        return found

    def keep_within(self, tenant: str, purpose: str, most_bytes: int) -> None:
        """Let the oldest files of one purpose go until the others fit; the newest one stays."""
        with self.database.write() as transaction:
            rows = transaction.execute(
                "SELECT id, bytes FROM kept_file WHERE tenant = ? AND purpose = ?"
                " ORDER BY created DESC, id DESC",
                (tenant, purpose),
            )
            total = 0
            for number, (file_id, size) in enumerate(rows):
                total += int(size)
                if number and total > most_bytes:
                    _remove(transaction, str(file_id))

    def sweep(self) -> int:
        """Let go of what has expired; return how many files."""
        with self.database.read() as transaction:
            rows = transaction.execute(
                "SELECT id FROM kept_file WHERE expires <= ? ORDER BY expires LIMIT 200",
                (int(self._clock()),),
            )
        if rows:
            with self.database.write() as transaction:
                for (file_id,) in rows:
                    _remove(transaction, str(file_id))
        return len(rows)

    def records(self) -> list[str]:
        """Return the records that something is kept of."""
        with self.database.read() as transaction:
            rows = transaction.execute("SELECT DISTINCT record_id FROM kept_piece_record")
        return [str(row[0]) for row in rows]

    def forget(self, record_ids: Iterable[str]) -> None:
        """Take away what is kept of these records: the whole file, or a line of it.

        In the place of a line of answers stands that it was erased; its ``custom_id`` stays.
        """
        with self.database.write() as transaction:
            for record_id in record_ids:
                rows = transaction.execute(
                    "SELECT kept_piece_record.file, kept_piece_record.number, data"
                    " FROM kept_piece_record LEFT JOIN kept_piece"
                    " ON kept_piece.file = kept_piece_record.file"
                    " AND kept_piece.number = kept_piece_record.number WHERE record_id = ?",
                    (record_id,),
                )
                for file_id, number, data in rows:
                    if number < 0:
                        _remove(transaction, str(file_id))
                    elif data is not None:
                        _blank(transaction, str(file_id), int(number), bytes(data))
                transaction.execute(
                    "DELETE FROM kept_piece_record WHERE record_id = ?", (record_id,)
                )
        # What was deleted is still in the database's journal.
        self.database.scrub()


def new_file_id() -> str:
    """Return a new name of a file."""
    return f"file-{secrets.token_hex(12)}"


def file_row(transaction: Transaction, kept: KeptFile) -> None:
    """Write the row of a file, whose pieces are there already or follow."""
    transaction.execute(
        f"INSERT INTO kept_file ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",  # noqa: S608
        (
            kept.file_id,
            kept.tenant,
            kept.purpose,
            kept.filename,
            kept.mime,
            kept.size,
            kept.created,
            kept.expires,
        ),
    )


def add_piece(
    transaction: Transaction, file_id: str, number: int, data: bytes, records: Iterable[str] = ()
) -> None:
    """Add a piece to a file that is being written, with the records that it tells of."""
    transaction.execute(
        "INSERT INTO kept_piece (file, number, size, data) VALUES (?, ?, ?, ?)",
        (file_id, number, len(data), data),
    )
    note_records(transaction, file_id, number, records)


def note_records(
    transaction: Transaction, file_id: str, number: int, records: Iterable[str]
) -> None:
    """Note what a piece tells of."""
    for record in dict.fromkeys(records):
        transaction.execute(
            "INSERT INTO kept_piece_record (record_id, file, number) VALUES (?, ?, ?)"
            " ON CONFLICT DO NOTHING",
            (record, file_id, number),
        )


def gone_line(data: bytes, code: str, message: str) -> bytes:
    """Return a line of answers that only says why it is gone; one of requests is emptied."""
    try:
        line: Any = json.loads(data)
    except ValueError:
        return b"\n"
    if not isinstance(line, dict) or "response" not in line:
        return b"\n"
    return error_line(line.get("id"), line.get("custom_id"), code, message)


def error_line(line_id: str | None, custom_id: str | None, code: str, message: str) -> bytes:
    """Return a line of answers that says why there is none, as OpenAI's batches write it."""
    told = {
        "id": line_id,
        "custom_id": custom_id,
        "response": None,
        "error": {"code": code, "message": message},
    }
    return json.dumps(told, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"


def _blank(transaction: Transaction, file_id: str, number: int, data: bytes) -> None:
    left = gone_line(data, "answer_erased", "what was asked for here was erased since")
    transaction.execute(
        "UPDATE kept_piece SET data = ?, size = ? WHERE file = ? AND number = ?",
        (left, len(left), file_id, number),
    )
    transaction.execute(
        "UPDATE kept_file SET bytes = bytes + ? WHERE id = ?", (len(left) - len(data), file_id)
    )


def _remove(transaction: Transaction, file_id: str) -> None:
    for table, column in (
        ("kept_piece", "file"),
        ("kept_piece_record", "file"),
        ("kept_file", "id"),
    ):
        transaction.execute(f"DELETE FROM {table} WHERE {column} = ?", (file_id,))  # noqa: S608


def _used(transaction: Transaction, tenant: str) -> int:
    rows = transaction.execute(
        "SELECT coalesce(sum(bytes), 0) FROM kept_file WHERE tenant = ?"  # noqa: S608
        f" AND purpose IN ({', '.join('?' for _ in _COUNTED)})",
        (tenant, *_COUNTED),
    )
    return int(rows[0][0])


def _pieces(data: bytes) -> list[bytes]:
    return [data[start : start + _PIECE] for start in range(0, len(data), _PIECE)]


def _file(row: tuple[Any, ...]) -> KeptFile:
    return KeptFile(
        file_id=row[0],
        tenant=row[1],
        purpose=row[2],
        filename=row[3],
        mime=row[4],
        size=int(row[5]),
        created=int(row[6]),
        expires=None if row[7] is None else int(row[7]),
    )

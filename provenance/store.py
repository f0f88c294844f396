"""Manifests kept by what a picture can still tell after it lost them.

One folder with a file per manifest, and a SQLite index that binds output ids (the watermark) and
PDQ hashes (the fingerprint) to manifest ids.

>>> import tempfile
>>> from pathlib import Path
>>> store = ManifestStore.open(Path(tempfile.mkdtemp()))
>>> store.put(manifest_id="urn:c2pa:1", manifest=b"...", output_id="a3f09c1122334451",
...           record_id="a3f09c1122334450", pdq="0f" * 32)
>>> store.by_output("a3f09c1122334451").manifest_id
'urn:c2pa:1'
>>> [match.distance for match in store.by_pdq("0f" * 31 + "0e", max_distance=8)]
[1]
>>> store.close()
"""

from __future__ import annotations

import hashlib
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal, NamedTuple, Self, TypeAlias

from chopmark.errors import ConfigurationError, InvalidRequest
from chopmark.kit.files import write_private

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np
    import numpy.typing as npt

    from chopmark.kit.database import Database, Transaction

__all__ = ["ManifestMatch", "ManifestStore", "StoredManifest"]

_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS manifest (
    number INTEGER PRIMARY KEY,
    manifest_id TEXT NOT NULL UNIQUE,
    output_id TEXT,
    record_id TEXT,
    pdq BLOB,
    signed_sha256 TEXT,
    size INTEGER NOT NULL,
    updated_by TEXT
) STRICT;
CREATE INDEX IF NOT EXISTS manifest_output ON manifest (output_id);
CREATE INDEX IF NOT EXISTS manifest_signed ON manifest (signed_sha256);
CREATE TABLE IF NOT EXISTS binding (
    alg TEXT NOT NULL,
    value TEXT NOT NULL,
    manifest_id TEXT NOT NULL,
    PRIMARY KEY (alg, value, manifest_id)
) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS sent (manifest_id TEXT PRIMARY KEY) STRICT, WITHOUT ROWID;
"""
_COLUMNS: Final = "manifest_id, output_id, record_id, lower(hex(pdq)), signed_sha256, updated_by"
_Column: TypeAlias = Literal["number", "manifest_id", "output_id", "signed_sha256"]
_PDQ_BYTES: Final = 32
_MAX_MATCHES: Final = 10


@dataclass(frozen=True, kw_only=True)
class StoredManifest:
    """What the index says of one manifest; an empty string where it says nothing."""

    manifest_id: str
    output_id: str
    record_id: str
    pdq: str
    signed_sha256: str
    updated_by: str


@dataclass(frozen=True, kw_only=True)
class ManifestMatch:
    """A manifest found by fingerprint; ``distance`` of 256 bits differ."""

    entry: StoredManifest
    distance: int


class _Row(NamedTuple):
    """What ``_COLUMNS`` names, in its order."""

    manifest_id: str
    output_id: str | None
    record_id: str | None
    pdq: str | None
    signed_sha256: str | None
    updated_by: str | None

    def entry(self) -> StoredManifest:
        return StoredManifest(
            manifest_id=self.manifest_id,
            output_id=self.output_id or "",
            record_id=self.record_id or "",
            pdq=self.pdq or "",
            signed_sha256=self.signed_sha256 or "",
            updated_by=self.updated_by or "",
        )


class ManifestStore:
    """Durable store of manifests. Safe for threads; several processes may hold it open."""

    def __init__(self, folder: Path, database: Database) -> None:
        self._folder = folder
        self._database = database
        self._lock = threading.Lock()  # of the fingerprints in memory
        self._numbers: list[int] = []
        self._hashes: npt.NDArray[np.uint64] | None = None

    @classmethod
    def open(cls, home: Path) -> Self:
        """Open (or make) the store under ``home/manifests``.

        Raises:
            ConfigurationError: It cannot be made or opened.
        """
        from chopmark.kit.sqlite import open_store

        folder = home / "manifests"
        # The same durability as the log's: a binding that a power cut loses is a picture that can
        # never be recognised again.
        database = open_store(
            folder / "index.sqlite",
            _SCHEMA,
            hint="is the disk full, or the folder somebody else's?",
        )
        return cls(folder, database)

    def close(self) -> None:
        """Close the index. Idempotent."""
        self._database.close()

    def put(
        self,
        *,
        manifest_id: str,
        manifest: bytes,
        output_id: str = "",
        record_id: str = "",
        pdq: str = "",
        signed_sha256: str = "",
    ) -> None:
        """Keep a manifest; durable when this returns. The same id twice replaces the first.

        Args:
            manifest_id: ``urn:c2pa:...``.
            manifest: The manifest store, JUMBF.
            output_id: What the watermark carries.
            record_id: Where the log has it.
            pdq: PDQ hash, 64 hex digits.
            signed_sha256: Of the signed file, hex.

        Raises:
            InvalidRequest: The PDQ hash is not 64 hex digits.
            ConfigurationError: The disk does not take it.
        """
        blob = _pdq(pdq) if pdq else None
        # The file first: an index entry without its file would be a promise not kept.
        write_private(self._path(manifest_id), manifest)
        with self._database.write() as transaction:
            transaction.execute(
                "INSERT OR REPLACE INTO manifest (manifest_id, output_id, record_id, pdq,"
                " signed_sha256, size) VALUES (?, ?, ?, ?, ?, ?)",
                (manifest_id, output_id, record_id, blob, signed_sha256, len(manifest)),
            )

    def put_update(self, manifest_id: str, update_id: str, manifest: bytes) -> None:
        """Keep a later manifest store (a time stamp, say) beside the one that it updates.

        Raises:
            ConfigurationError: The disk does not take it.
        """
        write_private(self._path(update_id), manifest)
        with self._database.write() as transaction:
            transaction.execute(
                "UPDATE manifest SET updated_by = ? WHERE manifest_id = ?", (update_id, manifest_id)
            )

    def delete(self, manifest_id: str) -> None:
        """Forget a manifest, what updates it, and its bindings, if it is known.

        Raises:
            ConfigurationError: The disk does not take it.
        """
        entry = self.entry(manifest_id)
        # The index first, as it came last: what it does not name nobody finds.
        with self._database.write() as transaction:
            transaction.execute("DELETE FROM manifest WHERE manifest_id = ?", (manifest_id,))
            transaction.execute("DELETE FROM binding WHERE manifest_id = ?", (manifest_id,))
        for name in (manifest_id, entry.updated_by if entry else ""):
            if name:
                self._path(name).unlink(missing_ok=True)

    def bind(self, alg: str, value: str, manifest_id: str, *, replace: bool = False) -> None:
        """Lead from a soft-binding value (base64) to a manifest; with ``replace`` to no other.

        Raises:
            ConfigurationError: The disk does not take it.
        """
        with self._database.write() as transaction:
            if replace:
                transaction.execute("DELETE FROM binding WHERE alg = ? AND value = ?", (alg, value))
            transaction.execute(
                "INSERT OR IGNORE INTO binding VALUES (?, ?, ?)", (alg, value, manifest_id)
            )

    def by_binding(self, alg: str, value: str) -> list[str]:
        """Return the manifest ids that a soft-binding value (base64) was bound to."""
        query = "SELECT manifest_id FROM binding WHERE alg = ? AND value = ? LIMIT 100"
        with self._database.read() as transaction:
            return [str(row[0]) for row in transaction.execute(query, (alg, value))]

    def get(self, manifest_id: str) -> bytes | None:
        """Return a manifest store's bytes (JUMBF), or None."""
        try:
            return self._path(manifest_id).read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise ConfigurationError(f"the manifest cannot be read: {error.strerror}") from error

    def entry(self, manifest_id: str) -> StoredManifest | None:
        """Return what the index says of a manifest, or None."""
        return self._find("manifest_id", manifest_id)

    def by_output(self, output_id: str) -> StoredManifest | None:
        """Return the newest manifest of an output id, or None."""
        return self._find("output_id", output_id)

    def output_ids(self) -> list[str]:
        """Return every output id once: what a watermark may say in known-id detection."""
        query = "SELECT DISTINCT output_id FROM manifest WHERE output_id <> ''"
        with self._database.read() as transaction:
            return [str(row[0]) for row in transaction.execute(query)]

    def record_ids(self) -> list[str]:
        """Return every record id once that a manifest is kept for."""
        query = "SELECT DISTINCT record_id FROM manifest WHERE record_id <> ''"
        with self._database.read() as transaction:
            return [str(row[0]) for row in transaction.execute(query)]

    def by_signed(self, sha256: str) -> StoredManifest | None:
        """Return the manifest of the signed file with this SHA-256, or None."""
        return self._find("signed_sha256", sha256)

    def by_pdq(self, pdq: str, *, max_distance: int = 31) -> list[ManifestMatch]:
        """Return up to ten manifests whose fingerprints are near, the nearest first.

        A walk through all hashes, 32 bytes each, with a population count: see
        ``docs/benchmarks.md`` for how long that takes for how many.

        Raises:
            InvalidRequest: Not a PDQ hash.
        """
        import numpy as np

        wanted = np.frombuffer(_pdq(pdq), dtype=np.uint64)
        with self._lock, self._database.read() as transaction:
            hashes = self._refreshed(transaction)
            distances = np.bitwise_count(hashes ^ wanted).sum(axis=1)
            near = np.flatnonzero(distances <= max_distance)
            order = near[np.argsort(distances[near], kind="stable")][:_MAX_MATCHES]
            found = [
                (_first(transaction, "number", self._numbers[index]), int(distances[index]))
                for index in order.tolist()
            ]
        return [
            ManifestMatch(entry=entry, distance=distance)
            for entry, distance in found
            if entry is not None
        ]

    def note_sent(self, manifest_id: str, *, sent: bool = True) -> None:
        """Note whether a bucket has a manifest; see :mod:`chopmark.provenance.shared_store`."""
        change = "INSERT OR IGNORE INTO sent VALUES (?)"
        if not sent:
            change = "DELETE FROM sent WHERE manifest_id = ?"
        with self._database.write() as transaction:
            transaction.execute(change, (manifest_id,))

    def is_unsent(self, manifest_id: str) -> bool:
        """Tell whether a manifest is kept here and the bucket may not have it."""
        query = (
            "SELECT 1 FROM manifest WHERE manifest_id = ?"
            " AND manifest_id NOT IN (SELECT manifest_id FROM sent)"
        )
        with self._database.read() as transaction:
            return bool(transaction.execute(query, (manifest_id,)))

    def unsent(self, most: int) -> list[str]:
        """Return manifests that the bucket may not have, also those from before it was named."""
        query = (
            "SELECT manifest_id FROM manifest"
            " WHERE manifest_id NOT IN (SELECT manifest_id FROM sent) LIMIT ?"
        )
        with self._database.read() as transaction:
            return [str(row[0]) for row in transaction.execute(query, (most,))]

    def count(self) -> int:
        """Return how many manifests are kept."""
        with self._database.read() as transaction:
            return int(transaction.execute("SELECT count(*) FROM manifest")[0][0])

    def _refreshed(self, transaction: Transaction) -> npt.NDArray[np.uint64]:
        """Return all hashes, those that came since the last look too, also of other processes.

        SQLite gives the number of the newest row again once that row is deleted. So the newest that
        we know must still be the first that comes; else everything is loaded anew.
        """
        import numpy as np

        newest = self._numbers[-1] if self._numbers else 0
        fresh = _hashes(transaction, newest)
        if self._hashes is not None and newest:
            if fresh and fresh[0] == (newest, self._hashes[-1].tobytes()):
                fresh = fresh[1:]
            else:
                self._numbers, self._hashes, fresh = [], None, _hashes(transaction, 0)
        block = np.frombuffer(b"".join(blob for _, blob in fresh), dtype=np.uint64)
        block = block.reshape(-1, _PDQ_BYTES // 8)
        self._numbers += [number for number, _ in fresh]
        if self._hashes is None:
            self._hashes = block
        elif fresh:
            self._hashes = np.concatenate([self._hashes, block])
        return self._hashes

    def _find(self, column: _Column, value: str) -> StoredManifest | None:
        if value == "":
            return None
        with self._database.read() as transaction:
            return _first(transaction, column, value)

    def _path(self, manifest_id: str) -> Path:
        # Hashed: an id comes from a stranger's file and is no file name.
        name = hashlib.sha256(manifest_id.encode("utf-8", "surrogatepass")).hexdigest()
        return self._folder / name[:2] / f"{name}.c2pa"


def _first(transaction: Transaction, column: _Column, value: str | int) -> StoredManifest | None:
    query = f"SELECT {_COLUMNS} FROM manifest WHERE {column} = ? ORDER BY number DESC LIMIT 1"  # noqa: S608 - a closed set
    rows = transaction.execute(query, (value,))
    return _Row(*rows[0]).entry() if rows else None


def _hashes(transaction: Transaction, first: int) -> list[tuple[int, bytes]]:
    """Return numbers and PDQ hashes from a number on."""
    rows = transaction.execute(
        "SELECT number, pdq FROM manifest WHERE number >= ? AND pdq IS NOT NULL ORDER BY number",
        (first,),
    )
    return [(int(number), bytes(blob)) for number, blob in rows]


def _pdq(text: str) -> bytes:
    try:
        blob = bytes.fromhex(text)
    except ValueError as error:
        raise InvalidRequest("a PDQ hash is 64 hex digits") from error
    if len(blob) != _PDQ_BYTES:
        raise InvalidRequest("a PDQ hash is 64 hex digits", hint=f"this one has {len(text)}")
    return blob

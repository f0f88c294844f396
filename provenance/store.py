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
from typing import TYPE_CHECKING, Final, Self

from chopmark.errors import ConfigurationError, InvalidRequest
from chopmark.kit.files import make_private_folder, write_private

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    import apsw
    import numpy as np
    import numpy.typing as npt

__all__ = ["Entry", "ManifestStore", "Match"]

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
"""
_COLUMNS: Final = "manifest_id, output_id, record_id, lower(hex(pdq)), signed_sha256, updated_by"
_PDQ_BYTES: Final = 32
_MAX_MATCHES: Final = 10


@dataclass(frozen=True, kw_only=True)
class Entry:
    """What the index says of one manifest; an empty string where it says nothing."""

    manifest_id: str
    output_id: str
    record_id: str
    pdq: str
    signed_sha256: str
    updated_by: str


@dataclass(frozen=True, kw_only=True)
class Match:
    """A manifest found by fingerprint; ``distance`` of 256 bits differ."""

    entry: Entry
    distance: int


class ManifestStore:
    """Durable store of manifests. Safe for threads; several processes may hold it open."""

    def __init__(self, folder: Path, connection: apsw.Connection) -> None:
        self._folder = folder
        self._connection = connection
        self._lock = threading.RLock()
        self._numbers: list[int] = []
        self._hashes: npt.NDArray[np.uint64] | None = None

    @classmethod
    def open(cls, home: Path) -> Self:
        """Open (or make) the store under ``home/manifests``.

        Raises:
            ConfigurationError: It cannot be made or opened.
        """
        import apsw

        folder = home / "manifests"
        make_private_folder(folder)
        path = folder / "index.sqlite"
        try:
            # SQLite gives its journal the mode of the database, so this one decides for both.
            path.touch(mode=0o600, exist_ok=True)
            connection = apsw.Connection(str(path))
            connection.set_busy_timeout(10_000)
            connection.pragma("journal_mode", "wal")
            # A binding that a power cut loses is a picture that can never be recognised again.
            connection.pragma("synchronous", "full")
            connection.execute(_SCHEMA)
        except (apsw.Error, OSError) as error:
            raise ConfigurationError(
                f"the manifest store {path} cannot be opened: {error}",
                hint="is the disk full, or the folder somebody else's?",
            ) from error
        return cls(folder, connection)

    def close(self) -> None:
        """Close the index."""
        with self._lock:
            self._connection.close()

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
        import apsw

        blob = _pdq(pdq) if pdq else None
        # The file first: an index entry without its file would be a promise not kept.
        write_private(self._path(manifest_id), manifest)
        try:
            with self._lock, self._connection:
                self._connection.execute(
                    "INSERT OR REPLACE INTO manifest (manifest_id, output_id, record_id, pdq,"
                    " signed_sha256, size) VALUES (?, ?, ?, ?, ?, ?)",
                    (
                        manifest_id,
                        output_id,
                        record_id,
                        blob,
                        signed_sha256,
                        len(manifest),
                    ),
                )
        except apsw.Error as error:
            raise ConfigurationError(f"the manifest index does not take it: {error}") from error

    def put_update(self, manifest_id: str, update_id: str, manifest: bytes) -> None:
        """Keep a later manifest store (a time stamp, say) beside the one that it updates.

        Raises:
            ConfigurationError: The disk does not take it.
        """
        import apsw

        write_private(self._path(update_id), manifest)
        try:
            with self._lock, self._connection:
                self._connection.execute(
                    "UPDATE manifest SET updated_by = ? WHERE manifest_id = ?",
                    (update_id, manifest_id),
                )
        except apsw.Error as error:
            raise ConfigurationError(f"the manifest index does not take it: {error}") from error

    def delete(self, manifest_id: str) -> None:
        """Forget a manifest, what updates it, and its bindings, if it is known."""
        import apsw

        entry = self.entry(manifest_id)
        try:
            with self._lock, self._connection:
                self._connection.execute(
                    "DELETE FROM manifest WHERE manifest_id = ?", (manifest_id,)
                )
                self._connection.execute(
                    "DELETE FROM binding WHERE manifest_id = ?", (manifest_id,)
                )
        except apsw.Error as error:
            raise ConfigurationError(f"the manifest index does not take it: {error}") from error
        for name in (manifest_id, entry.updated_by if entry else ""):
            if name:
                self._path(name).unlink(missing_ok=True)

    def bind(self, alg: str, value: str, manifest_id: str, *, replace: bool = False) -> None:
        """Lead from a soft-binding value (base64) to a manifest; with ``replace`` to no other."""
        import apsw

        try:
            with self._lock, self._connection:
                if replace:
                    self._connection.execute(
                        "DELETE FROM binding WHERE alg = ? AND value = ?", (alg, value)
                    )
                self._connection.execute(
                    "INSERT OR IGNORE INTO binding VALUES (?, ?, ?)", (alg, value, manifest_id)
                )
        except apsw.Error as error:
            raise ConfigurationError(f"the manifest index does not take it: {error}") from error

    def by_binding(self, alg: str, value: str) -> list[str]:
        """Return the manifest ids that a soft-binding value (base64) was bound to."""
        query = "SELECT manifest_id FROM binding WHERE alg = ? AND value = ? LIMIT 100"
        with self._lock:
            return [str(row[0]) for row in self._connection.execute(query, (alg, value))]

    def get(self, manifest_id: str) -> bytes | None:
        """Return a manifest store's bytes (JUMBF), or None."""
        try:
            return self._path(manifest_id).read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise ConfigurationError(f"the manifest cannot be read: {error.strerror}") from error

    def entry(self, manifest_id: str) -> Entry | None:
        """Return what the index says of a manifest, or None."""
        return self._first("manifest_id", manifest_id)

    def by_output(self, output_id: str) -> Entry | None:
        """Return the newest manifest of an output id, or None."""
        return self._first("output_id", output_id)

    def output_ids(self) -> list[str]:
        """Return every output id once: what a watermark may say in known-id detection."""
        query = "SELECT DISTINCT output_id FROM manifest WHERE output_id <> ''"
        with self._lock:
            return [str(row[0]) for row in self._connection.execute(query)]

    def by_signed(self, sha256: str) -> Entry | None:
        """Return the manifest of the signed file with this SHA-256, or None."""
        return self._first("signed_sha256", sha256)

    def by_pdq(self, pdq: str, *, max_distance: int = 31) -> list[Match]:
        """Return up to ten manifests whose fingerprints are near, the nearest first.

        A walk through all hashes, 32 bytes each, with a population count: see
        ``docs/benchmarks.md`` for how long that takes for how many.

        Raises:
            InvalidRequest: Not a PDQ hash.
        """
        import numpy as np

        wanted = np.frombuffer(_pdq(pdq), dtype=np.uint64)
        with self._lock:
            self._refresh()
            if self._hashes is None or not len(self._hashes):
                return []
            distances = np.bitwise_count(self._hashes ^ wanted).sum(axis=1)
            near = np.flatnonzero(distances <= max_distance)
            order = near[np.argsort(distances[near], kind="stable")][:_MAX_MATCHES]
            found = [(self._numbers[index], int(distances[index])) for index in order.tolist()]
            entries = [(self._first("number", number), far) for number, far in found]
        return [Match(entry=entry, distance=far) for entry, far in entries if entry is not None]

    def count(self) -> int:
        """Return how many manifests are kept."""
        with self._lock:
            rows = list(self._connection.execute("SELECT count(*) FROM manifest"))
        return int(rows[0][0])

    def _refresh(self) -> None:
        """Load the hashes that came since the last look, also those of other processes."""
        import numpy as np

        newest = self._numbers[-1] if self._numbers else 0
        rows: Iterable[tuple[int, bytes]] = self._connection.execute(
            "SELECT number, pdq FROM manifest WHERE number > ? AND pdq IS NOT NULL ORDER BY number",
            (newest,),
        )
        fresh = list(rows)
        if not fresh and self._hashes is not None:
            return
        block = np.frombuffer(b"".join(blob for _, blob in fresh), dtype=np.uint64)
        block = block.reshape(-1, _PDQ_BYTES // 8)
        self._numbers += [number for number, _ in fresh]
        self._hashes = block if self._hashes is None else np.concatenate([self._hashes, block])

    def _first(self, column: str, value: str | int) -> Entry | None:
        import apsw

        if value == "":
            return None
        # `column` is one of ours, never a caller's.
        query = f"SELECT {_COLUMNS} FROM manifest WHERE {column} = ? ORDER BY number DESC LIMIT 1"  # noqa: S608
        try:
            with self._lock:
                rows = list(self._connection.execute(query, (value,)))
        except apsw.Error as error:
            raise ConfigurationError(f"the manifest index cannot be read: {error}") from error
        if not rows:
            return None
        texts = [str(text or "") for text in rows[0]]
        return Entry(
            manifest_id=texts[0],
            output_id=texts[1],
            record_id=texts[2],
            pdq=texts[3],
            signed_sha256=texts[4],
            updated_by=texts[5],
        )

    def _path(self, manifest_id: str) -> Path:
        # Hashed: an id comes from a stranger's file and is no file name.
        name = hashlib.sha256(manifest_id.encode("utf-8", "surrogatepass")).hexdigest()
        return self._folder / name[:2] / f"{name}.c2pa"


def _pdq(text: str) -> bytes:
    try:
        blob = bytes.fromhex(text)
    except ValueError as error:
        raise InvalidRequest("a PDQ hash is 64 hex digits") from error
    if len(blob) != _PDQ_BYTES:
        raise InvalidRequest("a PDQ hash is 64 hex digits", hint=f"this one has {len(text)}")
    return blob

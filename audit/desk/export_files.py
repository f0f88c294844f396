"""Exports with proofs: what was found, in a form that can be checked away from the log."""

from __future__ import annotations

import base64
import binascii
import csv
import io
import json
from hashlib import sha256
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

from chopmark.audit.log.leaf import hidden_part, parse_leaf, tree_leaf
from chopmark.audit.log.merkle import inclusion_proof, leaf_hash, verify_inclusion
from chopmark.audit.log.schema import record_range
from chopmark.audit.log.tiles import node_reader
from chopmark.audit.proof.note import open_checkpoint, parse_keys
from chopmark.audit.proof.report import Problem
from chopmark.errors import (
    ChopmarkError,
    ConfigurationError,
    InvalidRequest,
    LogCorrupt,
    LogUnavailable,
)
from chopmark.kit.files import write_public

if TYPE_CHECKING:
    from collections.abc import Sequence

    from chopmark.audit.proof.note import Checkpoint
    from chopmark.kit.database import Transaction
    from chopmark.kit.types import JsonValue, Progress

__all__ = ["ExportFormat", "check_export", "contents_in", "rows_of", "write_export"]

ExportFormat = Literal["jsonl", "csv", "parquet"]
_TOLD_EACH: Final = 10
_COLUMNS: Final = (
    "index",
    "record_id",
    "event_id",
    "kind",
    "tenant",
    "time",
    "leaf",
    "hidden",
    "proof",
    "private",
)


def rows_of(
    transaction: Transaction,
    record_ids: Sequence[str],
    size: int,
    *,
    progress: Progress | None = None,
) -> list[dict[str, JsonValue]]:
    """Return a row for each entry of the records below ``size``: leaf, path, no content yet."""
    # One reader for all: neighbouring entries share nearly all the tiles of their paths.
    node = node_reader(transaction, size)
    rows: list[dict[str, JsonValue]] = []
    for place, record_id in enumerate(record_ids):
        if progress is not None and place % _TOLD_EACH == 0:
            progress(place, len(record_ids), "proving")
        for index, event_id, kind, tenant, time, leaf in transaction.execute(
            "SELECT idx, event_id, kind, tenant, time, leaf FROM entry"
            " WHERE event_id >= ? AND event_id < ? AND idx < ? ORDER BY idx",
            (*record_range(record_id), size),
        ):
            hidden = hidden_part(bytes(leaf))
            rows.append(
                {
                    "index": index,
                    "record_id": record_id,
                    "event_id": event_id,
                    "kind": kind,
                    "tenant": tenant,
                    "time": time,
                    "leaf": tree_leaf(bytes(leaf)).decode(),
                    "hidden": None if hidden is None else hidden.decode(),
                    "proof": [
                        base64.b64encode(item).decode()
                        for item in inclusion_proof(int(index), size, node)
                    ],
                    "private": None,
                }
            )
    return rows


def write_export(
    folder: Path,
    form: ExportFormat,
    rows: list[dict[str, JsonValue]],
    *,
    checkpoint: Checkpoint,
    public_key: str,
    asked: dict[str, JsonValue],
) -> tuple[Path, str]:
    """Write the entries and the manifest; return the manifest's place and SHA-256 (hex).

    Raises:
        LogUnavailable: The folder cannot be written.
        ConfigurationError: pyarrow is not there for Parquet.
    """
    data = {"jsonl": _jsonl, "csv": _csv, "parquet": _parquet}[form](rows)
    name = f"entries.{form}"
    write_public(folder / name, data, error=LogUnavailable)
    manifest: dict[str, JsonValue] = {
        "format": "chopmark.export/1",
        "entries": len(rows),
        "file": {"name": name, "sha256": sha256(data).hexdigest(), "bytes": len(data)},
        "checkpoint": checkpoint.note,
        "public_key": public_key,
        **asked,
    }
    text = (json.dumps(manifest, indent=2, sort_keys=True, ensure_ascii=False) + "\n").encode()
    write_public(folder / "manifest.json", text, error=LogUnavailable)
    return folder / "manifest.json", sha256(text).hexdigest()


def _jsonl(rows: list[dict[str, JsonValue]]) -> bytes:
    return b"".join(json.dumps(row, ensure_ascii=False).encode() + b"\n" for row in rows)


def _flat(row: dict[str, JsonValue]) -> dict[str, str | int | None]:
    """Return a row of numbers and texts; what is nested becomes JSON."""
    return {
        name: value
        if isinstance(value, str | int) or value is None
        else json.dumps(value, ensure_ascii=False)
        for name, value in row.items()
    }


def _csv(rows: list[dict[str, JsonValue]]) -> bytes:
    sink = io.StringIO(newline="")
    writer = csv.DictWriter(sink, _COLUMNS)
    writer.writeheader()
    writer.writerows(_flat(row) for row in rows)
    return sink.getvalue().encode()


def _parquet(rows: list[dict[str, JsonValue]]) -> bytes:
    try:
        pa = import_module("pyarrow")
        pq = import_module("pyarrow.parquet")
    except ImportError:
        raise ConfigurationError(
            "Parquet needs pyarrow", hint="pip install 'chopmark[parquet]'"
        ) from None
    texts = {name: pa.string() for name in _COLUMNS}
    schema = pa.schema(list((texts | {"index": pa.int64()}).items()))
    sink = io.BytesIO()
    pq.write_table(pa.Table.from_pylist([_flat(row) for row in rows], schema=schema), sink)
    return sink.getvalue()


def _read_rows(path: Path) -> list[dict[str, Any]]:
    match path.suffix:
        case ".jsonl":
            return [json.loads(line) for line in path.read_text("utf-8").split("\n")[:-1]]
        case ".csv":
            csv.field_size_limit(2**31 - 1)  # a prompt may be longer than the default 128 KiB
            with path.open(encoding="utf-8", newline="") as file:
                rows: list[dict[str, Any]] = list(csv.DictReader(file))
        case _:
            rows = import_module("pyarrow.parquet").read_table(path).to_pylist()
    for row in rows:
        row["index"], row["proof"] = int(row["index"]), json.loads(row["proof"])
    return rows


def contents_in(folder: Path) -> list[int]:
    """Return the places of the entries whose content is in an export.

    Raises:
        InvalidRequest: The folder does not hold an export.
        LogUnavailable: It cannot be read.
    """
    try:
        manifest = json.loads((folder / "manifest.json").read_bytes())
        if not manifest["content"]:
            return []
        rows = _read_rows(folder / Path(str(manifest["file"]["name"])).name)
        return [int(row["index"]) for row in rows if row["private"]]
    except OSError as error:
        raise LogUnavailable(f"cannot read the export: {error.strerror}") from None
    except (ValueError, KeyError, TypeError, AttributeError, ImportError) as error:
        raise InvalidRequest(f"this is not an export ({type(error).__name__})") from None


def check_export(folder: Path, public_key: str) -> tuple[Problem, ...]:
    """Check an export without the log: file digest, checkpoint, and each entry's path to the root.

    Args:
        folder: Where :meth:`Desk.export` wrote it.
        public_key: The log's verifier key, from a source that you trust, or several, a line each.

    Returns:
        What is wrong; empty when nothing is.

    Raises:
        InvalidRequest: The folder does not hold an export.
        LogUnavailable: It cannot be read.
    """
    problems: list[Problem] = []
    try:
        manifest = json.loads((folder / "manifest.json").read_bytes())
        # The name only: a manifest is foreign, and must not lead out of the folder.
        path = folder / Path(str(manifest["file"]["name"])).name
        if sha256(path.read_bytes()).hexdigest() != manifest["file"]["sha256"]:
            detail = "it is not the file that the manifest speaks of"
            problems.append(Problem(what="file_changed", where=path.name, detail=detail))
        try:
            checkpoint = open_checkpoint(manifest["checkpoint"], parse_keys(public_key))
        except ChopmarkError as error:
            what = Problem(what="checkpoint_refused", where="manifest", detail=error.message)
            return (*problems, what)
        rows = _read_rows(path)
        if len(rows) != manifest["entries"]:
            detail = f"{len(rows)} of {manifest['entries']} entries are there"
            problems.append(Problem(what="entries_missing", where=path.name, detail=detail))
        for row in rows:
            where, hashed = f"entry {row['index']}", leaf_hash(row["leaf"].encode())
            if row.get("hidden"):
                problems += _disclosed(where, row["leaf"], row["hidden"])
            proof = [base64.b64decode(item, validate=True) for item in row["proof"]]
            if not verify_inclusion(row["index"], checkpoint.size, hashed, proof, checkpoint.root):
                detail = "its path does not lead to the signed root"
                problems.append(Problem(what="not_included", where=where, detail=detail))
    except OSError as error:
        raise LogUnavailable(f"cannot read the export: {error.strerror}") from None
    except (ValueError, KeyError, TypeError, AttributeError, ImportError, binascii.Error) as error:
        raise InvalidRequest(f"this is not an export ({type(error).__name__})") from None
    return tuple(problems)


def _disclosed(where: str, leaf: str, hidden: str) -> list[Problem]:
    """Return what is wrong with the second level of an entry."""
    try:
        parse_leaf(f"{leaf}\n{hidden}".encode())
    except LogCorrupt as error:
        return [Problem(what="hidden_changed", where=where, detail=error.message)]
    return []

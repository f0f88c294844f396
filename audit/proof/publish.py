"""The log as static files: checkpoint, tiles and entry bundles (https://c2sp.org/tlog-tiles).

Everything in them may be read by anybody: of an entry they hold the first level of its leaf, which
names neither tenant nor person.
"""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING, Final

from chopmark.audit.log.leaf import tree_leaf
from chopmark.audit.log.merkle import HASH_SIZE
from chopmark.audit.log.tiles import TILE_HEIGHT, TILE_WIDTH, tail_hashes
from chopmark.audit.proof.note import open_checkpoint
from chopmark.errors import InvalidRequest, LogCorrupt, LogUnavailable
from chopmark.kit.files import write_public

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from chopmark.audit.proof.note import Checkpoint, NoteKey
    from chopmark.kit.database import Transaction

__all__ = ["publish", "tile_path"]

_GROUP: Final = 1000


def tile_path(level: int | str, n: int, width: int = TILE_WIDTH) -> str:
    """Return where tile ``n`` of a level (or of ``entries``) stands below the log's address.

    >>> tile_path(0, 1234067)
    'tile/0/x001/x234/067'
    >>> tile_path("entries", 3, 17)
    'tile/entries/003.p/17'
    """
    groups = [f"{n % _GROUP:03d}"]
    while n >= _GROUP:
        n //= _GROUP
        groups.append(f"x{n % _GROUP:03d}")
    partial = "" if width == TILE_WIDTH else f".p/{width}"
    return f"tile/{level}/{'/'.join(reversed(groups))}{partial}"


def publish(
    transaction: Transaction, checkpoint: Checkpoint, ring: Sequence[NoteKey], folder: Path
) -> None:
    """Write every file that a reader of ``checkpoint`` needs; the checkpoint itself last.

    Full tiles never change, so those that an earlier checkpoint in the folder speaks of are not
    written again.

    Raises:
        LogCorrupt: The folder holds a newer checkpoint than this one, or one of another log; or a
            tile is missing.
        LogUnavailable: The folder cannot be written.
    """
    before = _published(folder, ring)
    if before > checkpoint.size:
        raise LogCorrupt(
            f"{folder} is published up to {before}, the log signs for {checkpoint.size}",
            hint="the log was cut, or the folder is another log's",
        )
    for path, data in _files(transaction, before, checkpoint.size):
        write_public(folder / path, data, durable=False, error=LogUnavailable)
    os.sync()  # the tiles first, all at once, so that a checkpoint never stands without them
    write_public(folder / "checkpoint", checkpoint.note.encode(), error=LogUnavailable)
    _drop_partials(folder, before, checkpoint.size)


def _tiles(size: int, before: int) -> Iterator[tuple[int, int, int]]:
    """Give level, number and width of the hash tiles that grew between the two sizes."""
    level = 0
    while size >> TILE_HEIGHT * level:
        full, width = divmod(size >> TILE_HEIGHT * level, TILE_WIDTH)
        for n in range((before >> TILE_HEIGHT * level) // TILE_WIDTH, full):
            yield level, n, TILE_WIDTH
        if width:
            yield level, full, width
        level += 1


def _files(transaction: Transaction, before: int, size: int) -> Iterator[tuple[str, bytes]]:
    for level, n, width in _tiles(size, before):
        yield tile_path(level, n, width), _hashes(transaction, level, n, width)
        if level == 0:
            yield tile_path("entries", n, width), _bundle(transaction, n, width)


def _hashes(transaction: Transaction, level: int, n: int, width: int) -> bytes:
    rows = transaction.execute("SELECT data FROM tile WHERE level = ? AND n = ?", (level, n))
    if rows:
        data = bytes(rows[0][0])[: width * HASH_SIZE]
    elif level == 0:
        first = n << TILE_HEIGHT
        data = b"".join(tail_hashes(transaction, first, first + width))
    else:
        data = b""
    if len(data) != width * HASH_SIZE:
        raise LogCorrupt(f"tile {level}/{n} is missing or too short")
    return data


def _bundle(transaction: Transaction, n: int, width: int) -> bytes:
    """Return the entries of a tile, each after its length in two bytes."""
    first = n << TILE_HEIGHT
    rows = transaction.execute(
        "SELECT leaf FROM entry WHERE idx >= ? AND idx < ? ORDER BY idx", (first, first + width)
    )
    if len(rows) != width:
        raise LogCorrupt(f"entries are missing in {first}..{first + width - 1}")
    # tlog-tiles, "Log Entries": big-endian uint16 before each entry.
    shown = [tree_leaf(bytes(row[0])) for row in rows]
    return b"".join(len(leaf).to_bytes(2, "big") + leaf for leaf in shown)


def _drop_partials(folder: Path, before: int, size: int) -> None:
    """Remove the partial tiles of the last publication that are not those of this one."""
    # A partial tile may go once a fuller one stands there (tlog-tiles, "Partial Tiles"); failing
    # to remove one costs room and nothing else.
    kept = {tile_path(*tile) for tile in _tiles(size, size)}
    with contextlib.suppress(OSError):
        for level, n, width in _tiles(before, before):
            for kind in (level, "entries") if level == 0 else (level,):
                path = folder / tile_path(kind, n, width)
                if tile_path(level, n, width) not in kept:
                    path.unlink(missing_ok=True)
                    if not any(path.parent.iterdir()):
                        path.parent.rmdir()


def _published(folder: Path, ring: Sequence[NoteKey]) -> int:
    path = folder / "checkpoint"
    try:
        if not path.is_file():
            return 0
        return open_checkpoint(path.read_text("utf-8"), ring).size
    except (InvalidRequest, UnicodeDecodeError):
        raise LogCorrupt(f"{path} is not a checkpoint of this log") from None
    except OSError as error:
        raise LogUnavailable(f"cannot read {path}: {error.strerror}") from None

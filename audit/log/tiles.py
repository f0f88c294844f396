"""Tiles of 256 hashes (https://c2sp.org/tlog-tiles) as rows, and tree nodes read from them.

Tile ``(level, n)`` holds the hashes of the nodes ``(8 * level, 256 * n ...)``. A level-0 tile is
stored once it is full; until then its hashes are those of the entries themselves. Tiles of higher
levels grow by one hash whenever a tile below them fills.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from chopmark.audit.log.leaf import hash_of
from chopmark.audit.log.merkle import HASH_SIZE, NodeReader, node_hash
from chopmark.errors import LogCorrupt

if TYPE_CHECKING:
    from chopmark.kit.database import Transaction

__all__ = ["TILE_HEIGHT", "TILE_WIDTH", "fold", "node_reader", "tail_hashes", "tile_filled"]

TILE_HEIGHT: Final = 8
TILE_WIDTH: Final = 1 << TILE_HEIGHT


def fold(data: bytes) -> bytes:
    """Return the root over a power of two of packed hashes."""
    row = [data[i : i + HASH_SIZE] for i in range(0, len(data), HASH_SIZE)]
    while len(row) > 1:
        row = [node_hash(row[i], row[i + 1]) for i in range(0, len(row), 2)]
    return row[0]


def tail_hashes(transaction: Transaction, start: int, size: int) -> list[bytes]:
    """Return the leaf hashes of the entries ``[start, size)``, from their bytes.

    Raises:
        LogCorrupt: An entry is missing.
    """
    rows = transaction.execute(
        "SELECT leaf FROM entry WHERE idx >= ? AND idx < ? ORDER BY idx", (start, size)
    )
    if len(rows) != size - start:
        raise LogCorrupt(f"entries are missing in {start}..{size - 1}")
    return [hash_of(bytes(row[0])) for row in rows]


def tile_filled(transaction: Transaction, n: int, data: bytes) -> None:
    """Store the full level-0 tile ``n`` and pass its root up.

    Raises:
        LogCorrupt: The level above is not where it should be.
    """
    transaction.execute("INSERT INTO tile (level, n, data) VALUES (0, ?, ?)", (n, data))
    level = 0
    # A tile that is full has a root, which is one hash of the tile above; that one may fill too.
    while len(data) == TILE_WIDTH * HASH_SIZE:
        root, level = fold(data), level + 1
        n, place = divmod(n, TILE_WIDTH)
        data = root
        if place:
            rows = transaction.execute(
                "SELECT data FROM tile WHERE level = ? AND n = ?", (level, n)
            )
            if not rows or len(rows[0][0]) != place * HASH_SIZE:
                raise LogCorrupt(f"tile {level}/{n} does not have {place} hashes")
            data = bytes(rows[0][0]) + root
        transaction.execute(
            "INSERT INTO tile (level, n, data) VALUES (?, ?, ?)"
            " ON CONFLICT (level, n) DO UPDATE SET data = excluded.data",
            (level, n, data),
        )


def node_reader(transaction: Transaction, size: int) -> NodeReader:
    """Return a reader of the nodes of the tree of ``size`` entries.

    Raises (when called):
        LogCorrupt: A tile or entry that must be there is not.
    """
    tiles: dict[tuple[int, int], bytes] = {}

    def tile(level: int, n: int) -> bytes:
        if (level, n) not in tiles:
            # The open tile at the right edge is stored nowhere: its hashes are made again.
            if level == 0 and n == size >> TILE_HEIGHT:
                data = b"".join(tail_hashes(transaction, n << TILE_HEIGHT, size))
            else:
                rows = transaction.execute(
                    "SELECT data FROM tile WHERE level = ? AND n = ?", (level, n)
                )
                data = bytes(rows[0][0]) if rows else b""
            tiles[level, n] = data
        return tiles[level, n]

    def node(level: int, i: int) -> bytes:
        # Only each eighth level is stored; what lies between is folded from the tile below.
        tile_level, height = divmod(level, TILE_HEIGHT)
        n, place = divmod(i << height, TILE_WIDTH)
        data = tile(tile_level, n)[place * HASH_SIZE : (place + (1 << height)) * HASH_SIZE]
        if len(data) != HASH_SIZE << height:
            raise LogCorrupt(f"tile {tile_level}/{n} is missing or too short")
        return fold(data)

    return node

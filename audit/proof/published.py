"""A walk over a log's public files, for whoever has nothing else: tiles, bundles and checkpoint.

The files are those of https://c2sp.org/tlog-tiles, as ``chopmark audit checkpoint --publish`` and
``chopmark serve`` give them out. Every hash is derived anew, from the entries' bytes where the log
publishes them, up to the root that the checkpoint's signature covers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from chopmark.audit.log.merkle import HASH_SIZE, Frontier, leaf_hash
from chopmark.audit.log.tiles import TILE_WIDTH, fold
from chopmark.audit.proof.note import open_checkpoint, parse_keys
from chopmark.audit.proof.publish import tile_path
from chopmark.audit.proof.report import LogReport, Problem
from chopmark.errors import InvalidRequest, LogUnavailable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

__all__ = ["walk_published"]

_MOST_PROBLEMS: Final = 1000
_CHECKPOINT: Final = "checkpoint"


def walk_published(
    read: Callable[[str], bytes | None], *, public_key: str, kept: Iterable[str] = ()
) -> LogReport:
    """Walk the public files of a log and say what is wrong with them, and where.

    Args:
        read: Gives the file at a path below the log's address, ``None`` where there is none.
        public_key: The log's verifier key from a source that you trust, or several, a line each.
        kept: Checkpoints (signed notes) of the same log that were kept; each must be a part of it.

    Raises:
        InvalidRequest: A verifier key is not one, or a kept checkpoint is not this log's.
        LogUnavailable: There is no checkpoint, or ``read`` says so.
    """
    keys = parse_keys(public_key)
    wanted = {(one.size, one.root) for one in (open_checkpoint(note, keys) for note in kept)}
    note = read(_CHECKPOINT)
    if note is None:
        raise LogUnavailable("there is no checkpoint", hint="name the folder or address above it")
    problems: list[Problem] = []
    try:
        checkpoint = open_checkpoint(note.decode("utf-8", "replace"), keys)
    except InvalidRequest as error:
        problems.append(_wrong("checkpoint_refused", _CHECKPOINT, error.message))
        return LogReport(size=0, root="", problems=tuple(problems))
    tree, unread, rows = Frontier(), list[str](), list[bytes]()
    marks = sorted(wanted)
    for n in range(-(-checkpoint.size // TILE_WIDTH)):
        width = min(TILE_WIDTH, checkpoint.size - n * TILE_WIDTH)
        hashes = _tile(read, n, width, problems, unread)
        if hashes is None or len(problems) >= _MOST_PROBLEMS:
            break
        if width == TILE_WIDTH:
            rows.append(fold(b"".join(hashes)))
        for one in hashes:
            tree.append(one)
            while marks and marks[0][0] == tree.size:
                problems += _kept(marks.pop(0), tree.root())
    whole = tree.size == checkpoint.size
    if whole:
        problems += [_kept(mark, b"")[0] for mark in marks if mark[0] > tree.size]
        if tree.root() != checkpoint.root:
            problems.append(_wrong("root_differs", _CHECKPOINT, "the tiles give another root"))
        problems += _higher(read, rows)
    return LogReport(
        size=tree.size,
        root=tree.root().hex(),
        problems=tuple(problems[:_MOST_PROBLEMS]),
        not_looked_at=_together(unread),
    )


def _tile(
    read: Callable[[str], bytes | None],
    n: int,
    width: int,
    problems: list[Problem],
    unread: list[str],
) -> list[bytes] | None:
    """Return the leaf hashes of a tile; of the entries' own bytes, where they are published."""
    path = tile_path(0, n, width)
    data = read(path)
    if data is None or len(data) != width * HASH_SIZE:
        what = "is missing" if data is None else f"has {len(data)} bytes, not {width * HASH_SIZE}"
        problems.append(_wrong("tile_missing", f"tile 0/{n}", f"{path} {what}"))
        return None
    hashes = [data[i : i + HASH_SIZE] for i in range(0, len(data), HASH_SIZE)]
    bundle = read(tile_path("entries", n, width))
    if bundle is None:
        unread.append(f"{n * TILE_WIDTH}..{n * TILE_WIDTH + width - 1}")
        return hashes
    leaves = list(_leaves(bundle))
    if len(leaves) != width:
        problems.append(
            _wrong("bundle_malformed", f"entries {n}", f"it has {len(leaves)} entries, not {width}")
        )
    for place, (leaf, stated) in enumerate(zip(leaves, hashes, strict=False)):
        if leaf_hash(leaf) != stated:
            entry = n * TILE_WIDTH + place
            problems.append(
                _wrong("leaf_changed", f"entry {entry}", "its bytes are not those of the tile")
            )
    return hashes


def _leaves(bundle: bytes) -> Iterator[bytes]:
    place = 0
    while place + 2 <= len(bundle):
        length = int.from_bytes(bundle[place : place + 2], "big")
        if place + 2 + length > len(bundle):
            return
        yield bundle[place + 2 : place + 2 + length]
        place += 2 + length


def _higher(read: Callable[[str], bytes | None], below: list[bytes]) -> Iterator[Problem]:
    """Compare the tiles above the lowest level with what those below them give."""
    level = 1
    while below:
        above: list[bytes] = []
        for n in range(-(-len(below) // TILE_WIDTH)):
            part = below[n * TILE_WIDTH : (n + 1) * TILE_WIDTH]
            if read(tile_path(level, n, len(part))) != b"".join(part):
                yield _wrong(
                    "tile_changed", f"tile {level}/{n}", "it is not what those below it give"
                )
            if len(part) == TILE_WIDTH:
                above.append(fold(b"".join(part)))
        below, level = above, level + 1


def _kept(mark: tuple[int, bytes], root: bytes) -> list[Problem]:
    size, kept = mark
    if root == kept:
        return []
    detail = (
        "the log had another root at that size"
        if root
        else "the log is smaller than it was when this was signed"
    )
    return [_wrong("history_changed", f"kept checkpoint of {size}", detail)]


def _together(unread: list[str]) -> tuple[str, ...]:
    if not unread:
        return ()
    first, last = unread[0].partition("..")[0], unread[-1].rpartition(".")[2]
    return (f"entries {first} to {last}: their bytes are not published, only their hashes",)


def _wrong(what: str, where: str, detail: str) -> Problem:
    return Problem(what=what, where=where, detail=detail)

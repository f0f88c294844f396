"""The full walk: from the entries' bytes up, believing nothing that is stored about them."""

from __future__ import annotations

import contextlib
import json
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from chopmark.audit._connect import open_keys, open_log
from chopmark.audit._events import parse_leaf
from chopmark.audit._exceptions import prompt_tag
from chopmark.audit._merkle import HASH_SIZE, Frontier, root_at
from chopmark.audit._note import Checkpoint, NoteKey, open_checkpoint
from chopmark.audit._paths import Paths, replace_file
from chopmark.audit._report import LogReport, Problem
from chopmark.audit._schema import State, load_state
from chopmark.audit._tiles import TILE_HEIGHT, TILE_WIDTH, fold, node_reader, tail_hashes
from chopmark.audit._vault import KeyGone, Vault
from chopmark.errors import (
    AuditError,
    ChopmarkError,
    InvalidRequest,
    LogCorrupt,
    LogUnavailable,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from chopmark.audit._database import Row, Transaction
    from chopmark.types import Progress

__all__ = ["verify_log"]

_WALKS: Final = 3
_MOST_PROBLEMS: Final = 1000
_PROGRESS_EVERY: Final = 16384
_COMMITMENT: Final = b'{"commitment":"'
_COMMITMENT_END: Final = len(_COMMITMENT) + 2 * HASH_SIZE
_ENDS: Final = frozenset({"request.completed", "request.failed", "request.refused"})
_COVERING: Final = frozenset({"erasure.completed", "retention.expired"})
_CUSTODY: Final = _COVERING | {
    "erasure.started",
    "exception.granted",
    "exception.revoked",
    "hold.placed",
    "hold.released",
}
_FOREVER: Final = "9999-12-31T23:59:59.999999Z"


def verify_log(
    home: Path,
    *,
    progress: Progress | None = None,
    since_checkpoint: bool = False,
    kept: Iterable[str] = (),
    public_key: str | None = None,
    database: str | None = None,
    keys_database: str | None = None,
) -> LogReport:
    """Walk the whole log under ``home`` and say what is wrong with it, and where.

    Entries are hashed into tiles, root and frontier, and these compared with what is stored; each
    checkpoint's signature and root are checked; each content row must open its entry's commitment,
    and each commitment without a content row must be covered by an erasure or retention event.

    What a signature cannot show: somebody who holds the signing key can rewrite the whole log.
    Only a checkpoint that was kept elsewhere shows that; give such notes as ``kept``.

    Args:
        home: Chopmark's state folder.
        progress: Told how many entries of how many are done.
        since_checkpoint: Begin at the checkpoint up to which the last walk found nothing wrong.
        kept: Checkpoints (signed notes) that were kept outside, to be found again in the log.
        public_key: The log's verifier key from a source that you trust; by default the one that
            lies beside the log.
        database: As for :meth:`AuditLog.open`.
        keys_database: As for :meth:`AuditLog.open`.

    Raises:
        LogUnavailable: There is no log, or it cannot be read.
        InvalidRequest: ``public_key`` is not a verifier key.
    """
    paths = Paths(Path(home))
    text = public_key if public_key is not None else _read(paths.public_key)
    key = NoteKey.parse(text)
    for _ in range(_WALKS):
        walk = _walked(
            paths,
            key,
            progress,
            tuple(kept),
            since_checkpoint=since_checkpoint,
            url=database,
            keys_url=keys_database,
        )
        # An erasure that destroys keys while we walk an older snapshot looks like a lost key.
        if not walk.overtaken:
            break
    report = LogReport(
        size=walk.tree.size, root=walk.tree.root().hex(), problems=tuple(walk.problems)
    )
    if report.ok and walk.newest is not None:
        with contextlib.suppress(LogUnavailable):  # an auditor may have no right to write here
            replace_file(paths.verified, walk.newest.note.encode())
    return report


def _walked(
    paths: Paths,
    key: NoteKey,
    progress: Progress | None,
    kept: tuple[str, ...],
    *,
    since_checkpoint: bool,
    url: str | None,
    keys_url: str | None,
) -> _Walk:
    database = open_log(paths, url, write=False)
    keys = None
    try:
        walk = _Walk(key=key, progress=progress)
        with contextlib.suppress(LogUnavailable):  # an auditor may have no right to read content
            if paths.kek.is_file():
                keys = open_keys(paths, keys_url, write=False)
                walk.vault = Vault(keys, paths.kek.read_bytes(), remember=True)
        notes = [("kept checkpoint", note) for note in kept]
        if paths.checkpoint.is_file():
            notes.append(("checkpoint file", _read(paths.checkpoint)))
        start = _read(paths.verified) if since_checkpoint and paths.verified.is_file() else None
        with walk.guarded("database"), database.read() as transaction:
            walk.run(transaction, notes, start)
        if walk.vault is not None:
            with walk.guarded("key file"):
                walk.keys(walk.vault)
        if not since_checkpoint:
            for line in database.self_check():
                walk.problems.append(
                    Problem(what="database_damaged", where="database", detail=line)
                )
        if any(problem.what == "key_missing" for problem in walk.problems):
            with contextlib.suppress(AuditError), database.read() as transaction:
                state = load_state(transaction)
                walk.overtaken = state is not None and state.epoch != walk.epoch
    except OSError as error:
        raise LogUnavailable(f"cannot read the log: {error.strerror}") from None
    finally:
        database.close()
        if keys is not None:
            keys.close()
    return walk


def _read(path: Path) -> str:
    try:
        return path.read_bytes().decode("utf-8", "replace")
    except OSError as error:
        raise LogUnavailable(f"cannot read {path}: {error.strerror}") from None


class _Enough(Exception):
    """A thousand problems are enough."""


@dataclass
class _Walk:
    key: NoteKey
    progress: Progress | None
    vault: Vault | None = None
    problems: list[Problem] = field(default_factory=list)
    tree: Frontier = field(default_factory=Frontier)
    newest: Checkpoint | None = None
    committed: bytearray = field(default_factory=bytearray)
    requests: dict[str, Row] = field(default_factory=dict)
    covers: dict[int, str] = field(default_factory=dict)
    taken: list[tuple[int, int]] = field(default_factory=list)
    erasures: int = 0
    epoch: int = 0
    overtaken: bool = False
    erasing: dict[int, str] = field(default_factory=dict)
    holds: dict[int, str] = field(default_factory=dict)
    exceptions: dict[int, tuple[str, str]] = field(default_factory=dict)

    def wrong(self, what: str, where: str, detail: str) -> None:
        self.problems.append(Problem(what=what, where=where, detail=detail))
        if len(self.problems) >= _MOST_PROBLEMS:
            raise _Enough

    @contextlib.contextmanager
    def guarded(self, where: str) -> Iterator[None]:
        """Report damage that stops the reading itself, as one more problem."""
        try:
            yield
        except _Enough:
            pass
        except LogCorrupt as error:
            self.problems.append(Problem(what="unreadable", where=where, detail=error.message))
        except (TypeError, ValueError, KeyError, OverflowError) as error:
            detail = f"a column holds a value of a wrong kind ({type(error).__name__})"
            self.problems.append(Problem(what="unreadable", where=where, detail=detail))

    def run(
        self, transaction: Transaction, notes: list[tuple[str, str]], start: str | None
    ) -> None:
        try:
            state = load_state(transaction) or State(origin=self.key.name)
        except AuditError as error:
            self.wrong("state_damaged", "state", error.message)
            state = State(origin=self.key.name)
        self.epoch = state.epoch
        if state.origin != self.key.name:
            self.wrong("origin", "state", f"the log is {state.origin!r}, the key {self.key.name!r}")
        if start is not None:
            self._resume(transaction, state, start)
        begun = self.tree.size
        roots = self._checkpoints(transaction, notes)
        self._entries(transaction, state, roots, begun)
        self._state(state, full=begun == 0)
        self._contents(transaction, begun)
        if begun == 0:
            self._requests(transaction)
            self._holds(transaction)
            self._exceptions(transaction)

    def _resume(self, transaction: Transaction, state: State, note: str) -> None:
        """Take the tree of an already verified checkpoint from the tiles, if they still give it."""
        try:
            checkpoint = open_checkpoint(note, self.key)
            if checkpoint.size > state.size:
                return
            node = node_reader(transaction, state.size)
            if root_at(checkpoint.size, node) != checkpoint.root:
                return
        except (InvalidRequest, LogCorrupt):
            return
        hashes, low = [], 0
        for level in reversed(range(checkpoint.size.bit_length())):
            if checkpoint.size >> level & 1:
                hashes.append(node(level, low >> level))
                low += 1 << level
        self.tree = Frontier(checkpoint.size, hashes)

    def _checkpoints(
        self, transaction: Transaction, notes: list[tuple[str, str]]
    ) -> dict[int, list[tuple[str, bytes, bytes | None]]]:
        """Check signatures; return what is claimed for each size: place, root, frontier."""
        claims: dict[int, list[tuple[str, bytes, bytes | None]]] = {}
        expected, size_before = 1, 0
        for number, size, frontier, note in transaction.stream(
            "SELECT id, size, frontier, note FROM checkpoint ORDER BY id"
        ):
            where = f"checkpoint {number}"
            if number != expected:
                self.wrong("checkpoint_missing", where, f"number {expected} was to come")
            expected = number + 1
            checkpoint = self._signed(note, where)
            if checkpoint is None:
                continue
            if checkpoint.size != size or size < size_before:
                self.wrong("checkpoint_changed", where, "its size is not the signed one, or falls")
            size_before = checkpoint.size
            claims.setdefault(checkpoint.size, []).append((where, checkpoint.root, bytes(frontier)))
            self.newest = checkpoint
        for where, note in notes:
            checkpoint = self._signed(note, where)
            if checkpoint is not None:
                claims.setdefault(checkpoint.size, []).append((where, checkpoint.root, None))
        return claims

    def _signed(self, note: object, where: str) -> Checkpoint | None:
        try:
            return open_checkpoint(note if isinstance(note, str) else "", self.key)
        except ChopmarkError as error:
            self.wrong("checkpoint_refused", where, error.message)
            return None

    def _entries(
        self,
        transaction: Transaction,
        state: State,
        claims: dict[int, list[tuple[str, bytes, bytes | None]]],
        begun: int,
    ) -> None:
        stored = transaction.stream(
            "SELECT n, data FROM tile WHERE level = 0 AND n >= ? ORDER BY n",
            (begun >> TILE_HEIGHT,),
        )
        # A walk that begins inside a tile hashes that tile from its first entry on.
        opening = tail_hashes(transaction, begun >> TILE_HEIGHT << TILE_HEIGHT, begun)
        tree, tail, parents = self.tree, bytearray(b"".join(opening)), []
        self._compare(claims.pop(tree.size, []), tree)
        self.committed = bytearray(begun)
        expected = begun
        for index, event_id, record_id, kind, tenant, time, leaf in transaction.stream(
            "SELECT idx, event_id, record_id, kind, tenant, time, leaf FROM entry"
            " WHERE idx >= ? ORDER BY idx",
            (begun,),
        ):
            if index != expected:
                self.wrong("entry_missing", f"entry {expected}", f"the next one is {index}")
                return
            expected += 1
            leaf = bytes(leaf)  # noqa: PLW2901
            hashed = sha256(b"\x00" + leaf).digest()
            tree.append(hashed)
            tail += hashed
            self._columns(index, (event_id, record_id, kind, tenant, time), leaf)
            self._kind(kind, (record_id, index, time), leaf)
            if tree.size in claims:
                self._compare(claims.pop(tree.size), tree)
            if len(tail) == TILE_WIDTH * HASH_SIZE:
                n = index >> TILE_HEIGHT
                self._tile(next(stored, None), 0, n, bytes(tail))
                parents.append(fold(bytes(tail)))
                tail.clear()
            if self.progress is not None and expected % _PROGRESS_EVERY == 0:
                self.progress(expected, state.size, "entries")
        for row in stored:
            self.wrong("tile_unknown", f"tile 0/{row[0]}", "no full tile stands here")
        if begun == 0:
            self._upper_tiles(transaction, parents)
        self._unmet(claims)
        if self.progress is not None:
            self.progress(expected, max(state.size, expected), "entries")

    def _unmet(self, claims: dict[int, list[tuple[str, bytes, bytes | None]]]) -> None:
        """Report checkpoints of sizes that the walk did not come to."""
        for size, claimed in claims.items():
            if size > self.tree.size:
                for where, _root, _frontier in claimed:
                    detail = f"it speaks of {size} entries, the log has {self.tree.size}"
                    self.wrong("log_cut", where, detail)

    def _kind(self, kind: str, request: Row, leaf: bytes) -> None:
        """Remember what must show elsewhere: open requests, and what covers missing content."""
        index = request[1]
        if kind == "request.received":
            self.requests[request[0]] = request
        elif kind in _ENDS:
            self.requests.pop(request[0], None)
        elif kind in _CUSTODY:
            try:
                self._custody(index, kind, json.loads(leaf))
            except (ValueError, KeyError, TypeError):
                self.wrong("leaf_malformed", f"entry {index}", f"this is no {kind}")

    def _custody(self, index: int, kind: str, members: dict[str, Any]) -> None:
        """Follow holds and exceptions, and what covers missing content."""
        public = members["public"]
        if kind in _COVERING:
            self.covers[index] = public["cover"]
        if kind == "erasure.started":
            self.erasing[index] = public["key"]
        elif kind == "erasure.completed":
            self.erasing.pop(public["started"], None)
            self.erasures += 1
        elif kind == "hold.placed":
            self.holds[index] = public["until"] or _FOREVER
        elif kind == "hold.released":
            self.holds.pop(public["hold"], None)
        elif kind == "exception.granted":
            self.exceptions[index] = (public["until"], members["tenant"])
        elif kind == "exception.revoked":
            self.exceptions.pop(public["exception"], None)

    def _columns(self, index: int, columns: tuple[str, ...], leaf: bytes) -> None:
        """Compare the columns, which searches use, with the leaf, which the tree holds.

        Canonical JSON puts the members in a fixed order, so both ends of the leaf can be written
        from the columns; that is ten times faster than reading the leaf.
        """
        texts = [json.dumps(column, ensure_ascii=False) for column in columns]
        event_id, record_id, kind, tenant, time = texts
        head = f'"event_id":{event_id},"kind":{kind},"public":{{'.encode("utf-8", "replace")
        end = f'}},"record_id":{record_id},"tenant":{tenant},"time":{time},"v":1}}'
        has_commitment = leaf.startswith(_COMMITMENT)
        begins = _COMMITMENT_END + 2 if has_commitment else 1
        self.committed.append(has_commitment)
        if not leaf.startswith(head, begins) or not leaf.endswith(end.encode("utf-8", "replace")):
            self.wrong("columns_changed", f"entry {index}", "a column differs from the leaf")

    def _compare(self, claims: list[tuple[str, bytes, bytes | None]], tree: Frontier) -> None:
        for where, root, frontier in claims:
            if root != tree.root():
                detail = f"the {tree.size} entries give another root than the signed one"
                self.wrong("root_differs", where, detail)
            if frontier is not None and frontier != tree.pack():
                self.wrong("checkpoint_changed", where, "its frontier is not that of the entries")

    def _tile(self, row: Row | None, level: int, n: int, data: bytes) -> None:
        if row is None or row[0] != n:
            self.wrong("tile_missing", f"tile {level}/{n}", "it is not stored")
        elif bytes(row[1]) != data:
            self.wrong("tile_changed", f"tile {level}/{n}", "it does not hold the entries' hashes")

    def _upper_tiles(self, transaction: Transaction, hashes: list[bytes]) -> None:
        level = 0
        while hashes:
            level += 1
            stored = transaction.stream(
                "SELECT n, data FROM tile WHERE level = ? ORDER BY n", (level,)
            )
            above = []
            for n, first in enumerate(range(0, len(hashes), TILE_WIDTH)):
                width = hashes[first : first + TILE_WIDTH]
                self._tile(next(stored, None), level, n, b"".join(width))
                if len(width) == TILE_WIDTH:
                    above.append(fold(b"".join(width)))
            for row in stored:
                self.wrong("tile_unknown", f"tile {level}/{row[0]}", "no tile stands here")
            hashes = above
        for row in transaction.stream(
            "SELECT level, n FROM tile WHERE level > ? OR level < 0", (level,)
        ):
            self.wrong("tile_unknown", f"tile {row[0]}/{row[1]}", "no tile stands here")

    def _state(self, state: State, *, full: bool) -> None:
        if state.size != self.tree.size or state.frontier != self.tree.pack():
            detail = f"it says {state.size} entries; {self.tree.size} were walked"
            self.wrong("state_differs", "state", detail)
        if full and state.epoch != self.erasures:
            self.wrong("state_differs", "state", "it counts other erasures than the entries")

    def _unfinished(self, transaction: Transaction) -> set[bytes]:
        """Return the keys that an erasure which is under way may have destroyed already."""
        found = {}
        for index, key_id in transaction.stream("SELECT idx, key_id FROM erasing"):
            found[index] = bytes(key_id)
            if sha256(bytes(key_id)).hexdigest() != self.erasing.get(index):
                self.wrong("erasing", f"erasure {index}", "no started erasure has this key")
        for index in self.erasing.keys() - found.keys():
            self.wrong("erasing", f"erasure {index}", "it was started, and nothing finishes it")
        return set(found.values())

    def _holds(self, transaction: Transaction) -> None:
        stored = {}
        for index, tag, until, key_id in transaction.execute(
            "SELECT hold.idx, tag, until, key_id FROM hold"
            " LEFT JOIN content ON content.idx = hold.idx"
        ):
            stored[index] = until
            if self.vault is None or key_id is None:
                continue  # a hold that ended by itself, and then its subject was erased
            if self.vault.stored_id(bytes(tag)) != bytes(key_id):
                self.wrong("hold", f"hold {index}", "it names another subject than its entry")
        for index in stored.keys() | self.holds.keys():
            if stored.get(index) != self.holds.get(index):
                self.wrong("hold", f"hold {index}", "the list of holds differs from the entries")

    def _exceptions(self, transaction: Transaction) -> None:
        """Compare the exceptions in force with the entries that granted them, prompt included."""
        expected = {
            index: said
            for index, said in self.exceptions.items()
            if not any(low <= index <= high for low, high in self.taken)
        }
        stored = {}
        for index, tag, until, event_id, leaf, key_id, sealed in transaction.execute(
            "SELECT exception.idx, tag, until, event_id, leaf, key_id, sealed FROM exception"
            " LEFT JOIN entry ON entry.idx = exception.idx"
            " LEFT JOIN content ON content.idx = exception.idx"
        ):
            stored[index] = until
            if index not in expected or self.vault is None or key_id is None:
                continue
            commitment = parse_leaf(bytes(leaf)).get("commitment", "")
            with contextlib.suppress(KeyGone, LogCorrupt):  # reported with the content
                said = self.vault.open(
                    bytes(key_id),
                    bytes(sealed),
                    event_id=event_id,
                    commitment=bytes.fromhex(commitment),
                ).private
                texts = (str(said.get("prompt")), str(said.get("negative_prompt")))
                if prompt_tag(self.vault, *texts, expected[index][1]) != bytes(tag):
                    detail = "it lets another prompt pass than its entry"
                    self.wrong("exception", f"exception {index}", detail)
        for index in stored.keys() | expected.keys():
            if stored.get(index) != expected.get(index, (None,))[0]:
                detail = "the list of exceptions differs from the entries"
                self.wrong("exception", f"exception {index}", detail)

    def _contents(self, transaction: Transaction, begun: int) -> None:
        unfinished = self._unfinished(transaction) if begun == 0 else set()
        for index, key_id, sealed, event_id, leaf in transaction.stream(
            "SELECT content.idx, key_id, sealed, event_id, leaf FROM content"
            " LEFT JOIN entry ON entry.idx = content.idx WHERE content.idx >= ?"
            " ORDER BY content.idx",
            (begun,),
        ):
            where = f"content {index}"
            if not 0 <= index < len(self.committed) or not self.committed[index]:
                self.wrong("content_unknown", where, "no entry commits to it")
                continue
            self.committed[index] = False
            if self.vault is None:
                continue
            commitment = bytes(leaf)[len(_COMMITMENT) : _COMMITMENT_END].decode("ascii", "replace")
            try:
                self.vault.open(
                    bytes(key_id),
                    bytes(sealed),
                    event_id=event_id,
                    commitment=bytes.fromhex(commitment),
                )
            except KeyGone:
                if bytes(key_id) not in unfinished:
                    self.wrong("key_missing", where, "its key is not in the key file")
            except (LogCorrupt, ValueError) as error:
                self.wrong("content_changed", where, str(error))
        self._covered(transaction, begun)

    def _covered(self, transaction: Transaction, begun: int) -> None:
        """Let erasure and retention events account for content that is not there."""
        for index, salt, ranges in transaction.stream(
            "SELECT idx, salt, ranges FROM cover ORDER BY idx"
        ):
            where = f"cover {index}"
            if index < begun:
                continue
            claimed = self.covers.pop(index, None)
            if claimed is None:
                self.wrong("cover_unknown", where, "no entry of this place covers anything")
            elif sha256(bytes(salt) + bytes(ranges)).hexdigest() != claimed:
                self.wrong("cover_changed", where, "it is not what the entry commits to")
            else:
                for low, high in json.loads(bytes(ranges)):
                    self.committed[low : high + 1] = bytes(high + 1 - low)
                    self.taken.append((low, high))
        for index in self.covers:
            self.wrong("cover_missing", f"cover {index}", "the entry's list of places is gone")
        index = self.committed.find(True)
        while index >= 0:
            detail = "its content is gone and no erasure or retention event covers it"
            self.wrong("content_missing", f"entry {index}", detail)
            index = self.committed.find(True, index + 1)

    def _requests(self, transaction: Transaction) -> None:
        stored = {
            row[0]: tuple(row)
            for row in transaction.stream("SELECT record_id, idx, time FROM open_request")
        }
        for record_id in stored.keys() | self.requests.keys():
            if stored.get(record_id) != self.requests.get(record_id):
                detail = f"the list of open requests is wrong about {record_id}"
                self.wrong("open_request", f"record {record_id}", detail)

    def keys(self, vault: Vault) -> None:
        for detail in vault.check():
            self.wrong("key_damaged", "key file", detail)

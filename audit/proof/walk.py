"""The full walk: from the entries' bytes up, believing nothing that is stored about them."""

from __future__ import annotations

import contextlib
import json
from dataclasses import dataclass, field
from hashlib import sha256
from typing import TYPE_CHECKING, Final

from chopmark.audit.log.leaf import parse_leaf
from chopmark.audit.log.merkle import HASH_SIZE, Frontier, root_at
from chopmark.audit.log.schema import State, load_state
from chopmark.audit.log.tiles import TILE_HEIGHT, TILE_WIDTH, fold, node_reader, tail_hashes
from chopmark.audit.log.vault import KeyGone
from chopmark.audit.proof.cross_checks import NOTED, CrossChecks
from chopmark.audit.proof.note import open_checkpoint
from chopmark.audit.proof.report import Problem
from chopmark.errors import AuditError, InvalidRequest, LogCorrupt

if TYPE_CHECKING:
    from collections.abc import Iterator

    from chopmark.audit.log.vault import Vault
    from chopmark.audit.proof.signed import Claims, Signed
    from chopmark.kit.database import Row, Transaction
    from chopmark.kit.types import Progress

__all__ = ["Walk"]

_MOST_PROBLEMS: Final = 1000
_PROGRESS_EVERY: Final = 16384
_COMMITMENT: Final = b'{"commitment":"'
_COMMITMENT_BEGIN: Final = len(_COMMITMENT)
_COMMITMENT_END: Final = _COMMITMENT_BEGIN + 2 * HASH_SIZE


class _Enough(Exception):
    """A thousand problems are enough."""


@dataclass
class Walk:
    """One walk over one snapshot of a log.

    Attributes:
        signed: What was signed about the log, and by which keys.
        progress: Told how many entries of how many are done.
        expected: Records that other stores of this home name, so the log must have them.
        vault: Opens contents; None for an auditor who may not read them.
        problems: What was found.
        tree: What the entries give.
        epoch: How often the log says that keys were destroyed.
        overtaken: An erasure destroyed keys during the walk; walk again.
    """

    signed: Signed
    progress: Progress | None
    expected: frozenset[str] = frozenset()
    vault: Vault | None = None
    problems: list[Problem] = field(default_factory=list)
    tree: Frontier = field(default_factory=Frontier)
    epoch: int = 0
    overtaken: bool = False
    # For each entry, whether it commits to content that was not met (yet).
    _missing: bytearray = field(default_factory=bytearray)
    _keyless: list[tuple[int, bytes]] = field(default_factory=list)
    _contents: int = 0

    def __post_init__(self) -> None:
        """Have what is wrong with signatures noted here, too."""
        self.signed.wrong = self.wrong

    @property
    def unopened(self) -> int:
        """How many contents were met that nobody could open, for want of a vault."""
        return self._contents if self.vault is None else 0

    def wrong(self, what: str, where: str, detail: str) -> None:
        """Note a problem."""
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
        """Walk.

        Args:
            transaction: The snapshot.
            notes: Checkpoints from elsewhere that must be found again: place and note.
            start: Checkpoint to begin at; None begins at entry 0.
        """
        signed = self.signed
        try:
            state = load_state(transaction) or State(origin=signed.origin)
        except AuditError as error:
            self.wrong("state_damaged", "state", error.message)
            state = State(origin=signed.origin)
        self.epoch = state.epoch
        if state.origin != signed.origin:
            self.wrong("origin", "state", f"the log is {state.origin!r}, the key {signed.origin!r}")
        signed.trust_successors(transaction)
        if start is not None:
            self._resume(transaction, state, start)
        begun, checks = self.tree.size, CrossChecks(self.wrong, self.vault)
        claims = signed.gather(transaction, notes, state.size)
        self._entries(transaction, state, claims, checks)
        self._state(state, checks if begun == 0 else None)
        self._unknown_contents(transaction, begun)
        checks.settle(transaction, self._missing, self._keyless, begun=begun)
        self._expected(transaction)

    def _expected(self, transaction: Transaction) -> None:
        """Report records that another store names and that neither are here nor booked as lost."""
        if not self.expected:
            return
        known = {row[0] for row in transaction.stream("SELECT DISTINCT record_id FROM entry")}
        missing = self.expected - known
        for (leaf,) in transaction.stream("SELECT leaf FROM entry WHERE kind = 'log.restored'"):
            if missing:
                lost = parse_leaf(bytes(leaf))["public"].get("records", [])
                missing -= set(lost if isinstance(lost, list) else [])
        for record_id in sorted(missing):
            detail = "a manifest is kept of it, and the log has no entry of it"
            self.wrong("record_missing", f"record {record_id}", detail)

    def _resume(self, transaction: Transaction, state: State, note: str) -> None:
        """Take the tree of an already verified checkpoint from the tiles, if they still give it."""
        try:
            checkpoint = open_checkpoint(note, self.signed.keys)
            if checkpoint.size > state.size:
                return
            node = node_reader(transaction, state.size)
            if root_at(checkpoint.size, node) != checkpoint.root:
                return
        except (InvalidRequest, LogCorrupt):
            return
        # The frontier's subtrees are the set bits of the size, the largest first.
        hashes, low = [], 0
        for level in reversed(range(checkpoint.size.bit_length())):
            if checkpoint.size >> level & 1:
                hashes.append(node(level, low >> level))
                low += 1 << level
        self.tree = Frontier(checkpoint.size, hashes)

    def _entries(
        self, transaction: Transaction, state: State, claims: Claims, checks: CrossChecks
    ) -> None:
        begun = expected = self.tree.size
        stored = transaction.stream(
            "SELECT n, data FROM tile WHERE level = 0 AND n >= ? ORDER BY n",
            (begun >> TILE_HEIGHT,),
        )
        # A walk that begins inside a tile hashes that tile from its first entry on.
        hashes = tail_hashes(transaction, begun >> TILE_HEIGHT << TILE_HEIGHT, begun)
        parents: list[bytes] = []
        self._compare(claims.pop(begun, []))
        self._missing = bytearray(begun)
        vault, zero, feed = self.vault, b"\x00", b"\n"
        for (
            index,
            event_id,
            record_id,
            kind,
            tenant,
            time,
            leaf,
            key_id,
            sealed,
        ) in transaction.stream(
            "SELECT entry.idx, event_id, record_id, kind, tenant, time, leaf, key_id, sealed"
            " FROM entry LEFT JOIN content ON content.idx = entry.idx"
            " WHERE entry.idx >= ? ORDER BY entry.idx",
            (begun,),
        ):
            if index != expected:
                self.wrong("entry_missing", f"entry {expected}", f"the next one is {index}")
                self._grow(hashes, claims)
                return
            expected += 1
            leaf = bytes(leaf)  # noqa: PLW2901
            first, _, hidden = leaf.partition(feed)
            hashes.append(sha256(zero + first).digest())
            columns = (event_id, record_id, kind, tenant, time)
            commits = self._columns(index, columns, first, hidden)
            if kind in NOTED:
                checks.note(kind, (record_id, index, time), leaf)
            if key_id is not None:
                self._contents += 1
                if not commits:
                    self.wrong("content_unknown", f"content {index}", "no entry commits to it")
                elif vault is not None:
                    self._content(vault, index, event_id, leaf, bytes(key_id), bytes(sealed))
                commits = False
            self._missing.append(commits)
            if len(hashes) == TILE_WIDTH:
                root = self._grow(hashes, claims)
                self._tile(next(stored, None), 0, index >> TILE_HEIGHT, b"".join(hashes))
                parents.append(root)
                hashes.clear()
            if self.progress is not None and expected % _PROGRESS_EVERY == 0:
                self.progress(expected, state.size, "entries")
        self._grow(hashes, claims)
        for row in stored:
            self.wrong("tile_unknown", f"tile 0/{row[0]}", "no full tile stands here")
        if begun == 0:
            self._upper_tiles(transaction, parents)
        self._unmet(claims)
        if self.progress is not None:
            self.progress(expected, max(state.size, expected), "entries")

    def _grow(self, hashes: list[bytes], claims: Claims) -> bytes:
        """Put a tile's leaf hashes into the tree, as far as they are not in it; return its root.

        A whole tile goes in at once, unless a checkpoint speaks of a size inside it.
        """
        tree, within = self.tree, self.tree.size % TILE_WIDTH
        end = tree.size - within + len(hashes)
        root = fold(b"".join(hashes)) if len(hashes) == TILE_WIDTH else b""
        if root and not within and not any(size in claims for size in range(tree.size + 1, end)):
            tree.append_subtree(TILE_HEIGHT, root)
            self._compare(claims.pop(tree.size, []))
            return root
        for hashed in hashes[within:]:
            tree.append(hashed)
            if tree.size in claims:
                self._compare(claims.pop(tree.size))
        return root

    def _content(
        self, vault: Vault, index: int, event_id: str, leaf: bytes, key_id: bytes, sealed: bytes
    ) -> None:
        """Open one commitment."""
        try:
            found = vault.commitment_of(key_id, sealed, event_id=event_id)
            if found.encode() != leaf[_COMMITMENT_BEGIN:_COMMITMENT_END]:
                detail = "a content row does not open its leaf's commitment"
                self.wrong("content_changed", f"content {index}", detail)
        except KeyGone:
            self._keyless.append((index, key_id))
        except LogCorrupt as error:
            self.wrong("content_changed", f"content {index}", str(error))

    def _unknown_contents(self, transaction: Transaction, begun: int) -> None:
        """Report content rows that belong to no entry."""
        # Where the numbers agree nothing can be unknown; only else the two tables are joined.
        count = transaction.execute("SELECT count(*) FROM content WHERE idx >= ?", (begun,))[0][0]
        if count == self._contents:
            return
        for (index,) in transaction.stream(
            "SELECT content.idx FROM content LEFT JOIN entry ON entry.idx = content.idx"
            " WHERE content.idx >= ? AND entry.idx IS NULL",
            (begun,),
        ):
            self.wrong("content_unknown", f"content {index}", "no entry commits to it")

    def _unmet(self, claims: Claims) -> None:
        """Report checkpoints of sizes that the walk did not come to."""
        for size, claimed in claims.items():
            if size > self.tree.size:
                for where, _root, _frontier in claimed:
                    detail = f"it speaks of {size} entries, the log has {self.tree.size}"
                    self.wrong("log_cut", where, detail)

    def _columns(self, index: int, columns: tuple[str, ...], first: bytes, hidden: bytes) -> bool:
        """Compare the columns, which searches use, with the leaf, which the tree holds.

        Canonical JSON puts the members in a fixed order, so both ends of each level of the leaf can
        be written from the columns; that is ten times faster than reading the leaf.

        Returns:
            Whether the leaf commits to content.
        """
        plain = "".join(columns)
        if plain.isascii() and plain.isprintable() and '"' not in plain and "\\" not in plain:
            event_id, record_id, kind, tenant, time = (f'"{column}"' for column in columns)
        else:
            texts = [json.dumps(column, ensure_ascii=False) for column in columns]
            event_id, record_id, kind, tenant, time = texts
        commits = first.startswith(_COMMITMENT)
        begins = _COMMITMENT_END + 2 if commits else 1
        if hidden:
            at = first.find(b'"hidden":"') + 10
            digest = first[at : at + 64].decode("ascii", "replace")
            if sha256(hidden).hexdigest() != digest:
                detail = "its second level is not the one that the tree commits to"
                self.wrong("hidden_changed", f"entry {index}", detail)
            head = f'"event_id":{event_id},"hidden":"{digest}","kind":{kind},"public":{{'
            end = f'}},"record_id":{record_id},"time":{time},"v":2}}'
            same = hidden.endswith(f'"tenant":{tenant}}}'.encode("utf-8", "replace"))
        else:
            head = f'"event_id":{event_id},"kind":{kind},"public":{{'
            end = f'}},"record_id":{record_id},"tenant":{tenant},"time":{time},"v":1}}'
            same = True
        same = same and first.startswith(head.encode("utf-8", "replace"), begins)
        if not same or not first.endswith(end.encode("utf-8", "replace")):
            self.wrong("columns_changed", f"entry {index}", "a column differs from the leaf")
        return commits

    def _compare(self, claims: list[tuple[str, bytes, bytes | None]]) -> None:
        tree = self.tree
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

    def _state(self, state: State, checks: CrossChecks | None) -> None:
        if self.tree.size and not self.signed.ever:
            detail = f"{self.tree.size} entries, and nothing that was ever signed over them"
            self.wrong("never_signed", "checkpoints", detail)
        if state.size != self.tree.size or state.frontier != self.tree.pack():
            detail = f"it says {state.size} entries; {self.tree.size} were walked"
            self.wrong("state_differs", "state", detail)
        if checks is not None and state.epoch != checks.erasures:
            self.wrong("state_differs", "state", "it counts other erasures than the entries")

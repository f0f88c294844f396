"""What was signed about a log: checkpoints, the marks outside, and what was kept elsewhere."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeAlias

from chopmark.audit.log.leaf import parse_leaf
from chopmark.audit.proof.log_keys import LOG_KEY
from chopmark.audit.proof.note import open_checkpoint, signer_of
from chopmark.audit.proof.witness import cosignatures
from chopmark.errors import ChopmarkError, InvalidRequest

if TYPE_CHECKING:
    from collections.abc import Callable

    from chopmark.audit.proof.marks import Mark
    from chopmark.audit.proof.note import Checkpoint, NoteKey
    from chopmark.audit.proof.witness import WitnessKey
    from chopmark.kit.database import Transaction

__all__ = ["Claims", "Signed"]

Claims: TypeAlias = dict[int, list[tuple[str, bytes, bytes | None]]]
"""What checkpoints say, by size: the place, the root, and the frontier where it is known."""


def _nobody(what: str, where: str, detail: str) -> None:
    raise NotImplementedError(what, where, detail)


@dataclass
class Signed:
    """The signed statements about one log, gathered for a walk over it.

    Attributes:
        keys: The log's verifier keys that are trusted.
        candidates: Keys that the log says followed; one is trusted once a trusted key has signed a
            tree that names it as the next.
        marks: What the places outside the database remember.
        witnesses: Each must have cosigned a checkpoint of this log.
        wrong: Notes a problem: what, where, detail. The walk sets it.
        newest: The last stored checkpoint whose signature is good.
        ever: Whether anything that was signed is left, or stands where we may not look.
    """

    keys: tuple[NoteKey, ...]
    candidates: tuple[NoteKey, ...] = ()
    marks: tuple[Mark, ...] = ()
    witnesses: tuple[WitnessKey, ...] = ()
    wrong: Callable[[str, str, str], None] = _nobody
    newest: Checkpoint | None = None
    ever: bool = True
    _cosigners: set[WitnessKey] = field(default_factory=set)

    @property
    def origin(self) -> str:
        """The log's name."""
        return self.keys[0].name

    def trust_successors(self, transaction: Transaction) -> None:
        """Trust the keys that a trusted one named as the next, in a tree that it signed."""
        waiting = {str(key): key for key in self.candidates if key not in self.keys}
        if not waiting:
            return
        notes = transaction.execute("SELECT size, note FROM checkpoint ORDER BY id")
        for index, leaf in transaction.stream(
            "SELECT idx, leaf FROM entry WHERE kind = 'key.rotated' ORDER BY idx"
        ):
            public = parse_leaf(bytes(leaf))["public"]
            before = next((key for key in self.keys if str(key) == public.get("before")), None)
            coming = waiting.get(str(public.get("now")))
            if public.get("what") != LOG_KEY or before is None or coming is None:
                continue
            # That the tree of such a checkpoint is this one, the walk itself shows.
            if any(size > index and signer_of(note, [before]) for size, note in notes):
                self.keys = (*self.keys, coming)

    def gather(self, transaction: Transaction, notes: list[tuple[str, str]], size: int) -> Claims:
        """Check signatures; return what is claimed for each size.

        Args:
            transaction: The walk's snapshot.
            notes: Checkpoints that were kept elsewhere: place and note.
            size: How many entries the log says it has.
        """
        claims: Claims = {}
        expected, size_before = 1, 0
        for number, stated, frontier, note in transaction.stream(
            "SELECT id, size, frontier, note FROM checkpoint ORDER BY id"
        ):
            where = f"checkpoint {number}"
            if number != expected:
                self.wrong("checkpoint_missing", where, f"number {expected} was to come")
            expected = number + 1
            checkpoint = self._opened(note, where)
            if checkpoint is None:
                continue
            if checkpoint.size != stated or checkpoint.size < size_before:
                self.wrong("checkpoint_changed", where, "its size is not the signed one, or falls")
            size_before = checkpoint.size
            claims.setdefault(checkpoint.size, []).append((where, checkpoint.root, bytes(frontier)))
            self.newest = checkpoint
            self._cosigned(note, where)
        for witness in self.witnesses:
            if witness not in self._cosigners:
                detail = f"{witness.name} has cosigned no checkpoint of this log"
                self.wrong("not_witnessed", "checkpoints", detail)
        stored = frozenset(claims)
        for where, note in notes:
            checkpoint = self._opened(note, where)
            if checkpoint is not None:
                claims.setdefault(checkpoint.size, []).append((where, checkpoint.root, None))
        self._marked(claims, stored, size)
        self.ever = expected > 1 or any(mark.note or mark.unread for mark in self.marks)
        return claims

    def _marked(self, claims: Claims, stored: frozenset[int], size: int) -> None:
        """Take in what the marks claim; each speaks of a checkpoint that must still be there."""
        kept: dict[str, list[str]] = {}
        for mark in self.marks:
            if mark.note is not None:
                kept.setdefault(mark.note, []).append(mark.where)
        for note, places in kept.items():
            where = ", ".join(places)
            checkpoint = self._opened(note, where)
            if checkpoint is None:
                continue
            claims.setdefault(checkpoint.size, []).append((where, checkpoint.root, None))
            # What is larger than the log is reported as that, once the walk is at its end.
            if 0 < checkpoint.size <= size and checkpoint.size not in stored:
                detail = f"the checkpoint of {checkpoint.size} entries that it keeps is not stored"
                self.wrong("checkpoint_missing", where, detail)
        # A home of an older version has the checkpoint file alone, until it is opened again.
        if sum(map(len, kept.values())) > 1:
            for mark in self.marks:
                if mark.note is None and not mark.unread:
                    self.wrong("mark_missing", mark.where, "the checkpoint kept there is gone")

    def _cosigned(self, note: str, where: str) -> None:
        """Check the cosignatures of the witnesses that are asked for."""
        for witness in self.witnesses:
            try:
                if cosignatures(note, [witness]):
                    self._cosigners.add(witness)
            except InvalidRequest as error:
                self.wrong("cosignature_refused", where, error.message)

    def _opened(self, note: object, where: str) -> Checkpoint | None:
        try:
            return open_checkpoint(note if isinstance(note, str) else "", self.keys)
        except ChopmarkError as error:
            self.wrong("checkpoint_refused", where, error.message)
            return None

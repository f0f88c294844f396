"""Proofs of what is in the log: checkpoints, witnesses, time stamps, receipts, public files."""

from __future__ import annotations

import threading
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from chopmark.audit.log.leaf import hash_of, hidden_part, is_whole, tree_leaf
from chopmark.audit.log.merkle import (
    Frontier,
    consistency_proof,
    inclusion_proof,
    root_at,
)
from chopmark.audit.log.tiles import node_reader
from chopmark.audit.proof.kept_checkpoint import last_checkpoint, opened_marks
from chopmark.audit.proof.note import Checkpoint, note_parts, signer_of
from chopmark.audit.proof.publish import publish
from chopmark.audit.proof.receipt import Receipt
from chopmark.audit.proof.report import Problem
from chopmark.audit.proof.witness import with_lines
from chopmark.errors import InvalidRequest, LogCorrupt, LogUnavailable, RecordNotFound

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from chopmark.audit.log.ledger import Ledger
    from chopmark.audit.log.reader import Reader
    from chopmark.audit.log.schema import State
    from chopmark.audit.proof.log_keys import LogKeys
    from chopmark.audit.proof.marks import Marks
    from chopmark.audit.proof.witness import Witness
    from chopmark.kit.database import Transaction

__all__ = ["Prover", "Stamp"]


@dataclass(frozen=True, kw_only=True)
class Stamp:
    """A time stamp over a checkpoint.

    Attributes:
        size: Number of entries that the checkpoint speaks of.
        data: What was stamped: the checkpoint's text.
        token: RFC 3161, as the authority gave it.
    """

    size: int
    data: bytes
    token: bytes


class Prover:
    """Signs what the log is, and gives proofs of it to others.

    Args:
        ledger: The log.
        reader: Reads it.
        keys: Sign checkpoints.
        marks: Where the newest checkpoint is kept, outside the database.
    """

    def __init__(self, ledger: Ledger, reader: Reader, keys: LogKeys, marks: Marks) -> None:
        self._ledger, self._reader = ledger, reader
        self._database = ledger.database
        self._keys, self._marks = keys, marks
        self._signing = threading.Lock()

    @property
    def public_key(self) -> str:
        """The verifier key of the checkpoints (C2SP signed note, text form)."""
        return str(self._keys.signer.key)

    @property
    def public_keys(self) -> str:
        """Every verifier key of the log, a line each: the one in use, then earlier ones."""
        return "\n".join(map(str, self._keys.ring))

    def checkpoint(self) -> Checkpoint:
        """Sign what the log is now.

        The entries since the last checkpoint are read back from the file and hashed again, on top
        of the last signed root; only when that gives the root that the log believes in, and
        continues every tree that was signed before, is it signed. (One flipped bit in memory once
        ended a certificate log for good.)

        Raises:
            LogCorrupt: The stored bytes give another root, or do not continue what was signed.
            LogUnavailable: A place that keeps the newest checkpoint cannot be read or written.
        """
        with self._signing, self._marks.locked():
            with self._database.write() as transaction:
                signed = self._signed(transaction, self._ledger.state(transaction))
            # After the commit: what a mark speaks of must be there whatever happens to the machine.
            self._marks.write(signed.note)
        return signed

    def _signed(self, transaction: Transaction, state: State) -> Checkpoint:
        """Return the newest checkpoint; sign one where there is none of this size and key."""
        ring, signer = self._keys.ring, self._keys.signer
        last = last_checkpoint(transaction, ring)
        number, tree = (0, Frontier()) if last is None else (last[0], last[2])
        if last is not None and tree.size == state.size and signer_of(last[1].note, [signer.key]):
            return last[1]  # its cosignatures would be lost in a new one of the same tree
        first = tree.size
        claims = opened_marks(self._marks.read(), ring)
        for where, claim in claims:
            if claim.size > state.size:
                raise _refused(where, claim, f"the log has {state.size}")
            if claim.size <= first:
                node = node_reader(transaction, state.size)
                _continues(where, claim, root_at(claim.size, node))
        for (leaf,) in transaction.stream(
            "SELECT leaf FROM entry WHERE idx >= ? AND idx < ? ORDER BY idx",
            (first, state.size),
        ):
            leaf = bytes(leaf)  # noqa: PLW2901
            if not is_whole(leaf):
                break
            tree.append(hash_of(leaf))
            for where, claim in claims:
                if claim.size == tree.size:
                    _continues(where, claim, tree.root())
        if tree.size != state.size or tree.pack() != state.frontier:
            raise LogCorrupt(
                f"the entries from {first} on do not give the tree that the log believes in",
                hint="run chopmark audit verify",
            )
        signed = signer.sign(tree.size, tree.root())
        transaction.execute(
            "INSERT INTO checkpoint (id, size, frontier, note) VALUES (?, ?, ?, ?)",
            (number + 1, tree.size, tree.pack(), signed.note),
        )
        return signed

    def cosign(self, witnesses: Iterable[Witness]) -> tuple[Checkpoint, tuple[Problem, ...]]:
        """Sign a checkpoint and have it cosigned (C2SP tlog-witness).

        A witness that is down stands in nobody's way: what it did not sign, it signs next time. One
        that *refuses* has seen another history, which is for people to look into.

        Returns:
            The checkpoint with the cosignatures that came, and what did not go well.
        """
        signed, lines, problems = self.checkpoint(), [], []
        for witness in witnesses:
            try:
                lines.append(witness.cosign(signed, self.consistency_proof).line)
            except LogUnavailable as error:
                problems.append(_about(witness, "witness_down", error.message))
            except InvalidRequest as error:
                problems.append(_about(witness, "witness_refused", error.message))
        # The witnesses were asked without the lock: other checkpoints may stand after this one now.
        with self._signing, self._marks.locked():
            cosigned, newest = self._with_cosignatures(signed, lines)
            if newest:
                self._marks.write(cosigned.note)
        return cosigned, tuple(problems)

    def _with_cosignatures(self, signed: Checkpoint, lines: list[str]) -> tuple[Checkpoint, bool]:
        """Keep cosignatures with their checkpoint; tell whether it still is the newest."""
        with self._database.write() as transaction:
            last = last_checkpoint(transaction, self._keys.ring)
            rows = transaction.execute(
                "SELECT id, note FROM checkpoint WHERE size = ? ORDER BY id DESC LIMIT 1",
                (signed.size,),
            )
            if not rows or last is None:
                raise LogCorrupt("a checkpoint just signed is gone")
            cosigned = replace(signed, note=with_lines(rows[0][1], lines))
            transaction.execute(
                "UPDATE checkpoint SET note = ? WHERE id = ?", (cosigned.note, rows[0][0])
            )
        return cosigned, last[1].size == cosigned.size

    def stamp(self, stamper: Callable[[bytes], bytes]) -> Stamp:
        """Have a checkpoint time-stamped (RFC 3161) and keep the token.

        Args:
            stamper: Gets the checkpoint's text (what its signature covers) and returns the token
                of a time-stamping authority over it.

        Raises:
            ChopmarkError: What the stamper raises.
        """
        signed = self.checkpoint()
        data, _ = note_parts(signed.note)
        token = stamper(data)
        with self._database.write() as transaction:
            transaction.execute(
                "INSERT INTO stamp (size, token) VALUES (?, ?)", (signed.size, token)
            )
        return Stamp(size=signed.size, data=data, token=token)

    def stamps(self) -> list[Stamp]:
        """Return the time stamps that are kept, smallest tree first, each with what it covers."""
        with self._database.read() as transaction:
            rows = transaction.execute(
                # Any note of a size will do: cosigning changes the signatures, not the text.
                "SELECT stamp.size, token, min(note) FROM stamp JOIN checkpoint"
                " ON checkpoint.size = stamp.size GROUP BY stamp.size, token ORDER BY stamp.size"
            )
        return [
            Stamp(size=int(size), data=note_parts(note)[0], token=bytes(token))
            for size, token, note in rows
        ]

    def receipt(self, record: str | int, *, disclose: bool = False) -> Receipt:
        """Return the proof that an entry is in the log.

        Args:
            record: Index of an entry; or the id of a record or of one of its outputs, which
                stands for the event that ended the record (the last one when it has no end).
            disclose: With what the leaf hides: tenant, seed, scores, timings.

        Raises:
            RecordNotFound: No such entry.
            LogCorrupt: The log does not agree with itself.
            LogUnavailable: No checkpoint can be signed.
        """
        index = record if isinstance(record, int) else self._reader.end_of(record)
        # One for many: only an entry that no signed tree holds yet costs a new signature.
        with self._database.read() as transaction:
            self._reader.leaf(transaction, index)
            last = last_checkpoint(transaction, self._keys.ring)
        if last is None or last[1].size <= index:
            self.checkpoint()
        with self._database.read() as transaction:
            ring = self._keys.ring
            last = last_checkpoint(transaction, ring)
            if last is None:
                raise LogCorrupt("a checkpoint just signed is gone")
            size = last[1].size
            reader = node_reader(transaction, self._ledger.state(transaction).size)
            leaf = self._reader.leaf(transaction, index)
            return Receipt(
                leaf=tree_leaf(leaf),
                hidden=hidden_part(leaf) if disclose else None,
                index=index,
                proof=tuple(inclusion_proof(index, size, reader)),
                checkpoint=last[1].note,
                public_key=str(signer_of(last[1].note, ring)),
            )

    def consistency_proof(self, first: int, second: int | None = None) -> tuple[bytes, ...]:
        """Return the proof that the log of ``first`` entries is a prefix of that of ``second``.

        Args:
            first: Size at an older checkpoint.
            second: Size at a newer one; the last checkpoint's when it is None.

        Returns:
            Hashes of 32 bytes (RFC 9162, section 2.1.4).

        Raises:
            RecordNotFound: The log does not have so many entries.
        """
        if second is None:
            second = self.checkpoint().size
        with self._database.read() as transaction:
            size = self._ledger.state(transaction).size
            if not 0 <= first <= second <= size:
                raise RecordNotFound(f"{first} and {second} are not sizes of a log of {size}")
            return tuple(consistency_proof(first, second, node_reader(transaction, size)))

    def publish(self, folder: Path) -> Checkpoint:
        """Write the log's public files (C2SP tlog-tiles) and sign a checkpoint over them.

        Args:
            folder: What stands under the log's public address: ``checkpoint``, ``tile/...``,
                ``tile/entries/...``. Only what is new is written.

        Raises:
            LogCorrupt: The folder is published further than this log goes, or is another log's.
            LogUnavailable: It cannot be written.
        """
        signed = self.checkpoint()
        with self._database.read() as transaction:
            publish(transaction, signed, self._keys.ring, Path(folder))
        return signed


def _about(witness: Witness, what: str, detail: str) -> Problem:
    return Problem(what=what, where=f"witness {witness.key.name}", detail=detail)


def _continues(where: str, claim: Checkpoint, root: bytes) -> None:
    if claim.root != root:
        raise _refused(where, claim, "its first entries are others now")


def _refused(where: str, claim: Checkpoint, why: str) -> LogCorrupt:
    return LogCorrupt(
        f"the signer refuses: {where} was signed for {claim.size} entries, and {why}",
        hint="run chopmark audit verify; after a restored backup, chopmark audit restore",
    )

"""Proofs of what is in the log: checkpoints, witnesses, time stamps, receipts, public files."""

from __future__ import annotations

import threading
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from chopmark.audit.log.merkle import Frontier, consistency_proof, inclusion_proof, leaf_hash
from chopmark.audit.log.tiles import node_reader
from chopmark.audit.proof.note import Checkpoint, NoteSigner, note_parts, open_checkpoint
from chopmark.audit.proof.publish import publish
from chopmark.audit.proof.receipt import Receipt
from chopmark.audit.proof.report import Problem
from chopmark.audit.proof.signed_report import sign_report
from chopmark.audit.proof.witness import with_lines
from chopmark.errors import (
    ConfigurationError,
    InvalidRequest,
    LogCorrupt,
    LogUnavailable,
    RecordNotFound,
)
from chopmark.kit.files import secret_file, write_public

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from chopmark.audit.log.ledger import Ledger
    from chopmark.audit.log.reader import Reader
    from chopmark.audit.proof.witness import Witness
    from chopmark.kit.database import Transaction
    from chopmark.kit.types import JsonValue

__all__ = ["Prover", "Stamp", "load_signer"]


def load_signer(path: Path, origin: str) -> NoteSigner:
    """Return the signer of checkpoints; its key is made on first use.

    Raises:
        LogUnavailable: The key can be neither read nor made.
        ConfigurationError: The file holds something else than an Ed25519 key.
    """
    pem = secret_file(path, _new_key, error=LogUnavailable)
    try:
        key = serialization.load_pem_private_key(pem, password=None)
    except (ValueError, TypeError):
        key = None
    if not isinstance(key, Ed25519PrivateKey):
        raise ConfigurationError(
            f"{path} does not hold an Ed25519 private key", hint="restore it from your backup"
        )
    return NoteSigner(origin, key)


def _new_key() -> bytes:
    return Ed25519PrivateKey.generate().private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )


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
        signer: Signs checkpoints.
        kept: The file that always holds the newest checkpoint.
    """

    def __init__(self, ledger: Ledger, reader: Reader, signer: NoteSigner, *, kept: Path) -> None:
        self._ledger, self._reader = ledger, reader
        self._database = ledger.database
        self._signer, self._kept = signer, kept
        self._signing = threading.Lock()

    @property
    def public_key(self) -> str:
        """The verifier key of the checkpoints (C2SP signed note, text form)."""
        return str(self._signer.key)

    def sign_report(self, claims: dict[str, JsonValue]) -> str:
        """Sign what a verification found; see :mod:`chopmark.audit.proof.signed_report`."""
        return sign_report(self._signer, claims)

    def newest(self) -> Checkpoint:
        """Return the newest checkpoint that is signed, and sign a first one where there is none.

        Raises:
            LogCorrupt: It is damaged.
            LogUnavailable: The log cannot be read.
        """
        with self._database.read() as transaction:
            last = _last_checkpoint(transaction, self._signer)
        return self.checkpoint() if last is None else last[1]

    def checkpoint(self) -> Checkpoint:
        """Sign what the log is now.

        The entries since the last checkpoint are read back from the file and hashed again, on top
        of the last signed root; only when that gives the root that the log believes in is it
        signed. (One flipped bit in memory once ended a certificate log for good.)

        Raises:
            LogCorrupt: The stored bytes give another root.
            LogUnavailable: The file cannot be written.
        """
        with self._signing, self._database.write() as transaction:
            state = self._ledger.state(transaction)
            last = _last_checkpoint(transaction, self._signer)
            if last is not None and last[1].size == state.size:
                return last[1]  # its cosignatures would be lost in a new one of the same tree
            number, tree = (0, Frontier()) if last is None else (last[0], last[2])
            first = tree.size
            for (leaf,) in transaction.stream(
                "SELECT leaf FROM entry WHERE idx >= ? AND idx < ? ORDER BY idx",
                (first, state.size),
            ):
                tree.append(leaf_hash(bytes(leaf)))
            if tree.size != state.size or tree.pack() != state.frontier:
                raise LogCorrupt(
                    f"the entries from {first} on do not give the tree that the log believes in",
                    hint="run chopmark audit verify",
                )
            signed = self._signer.sign(tree.size, tree.root())
            transaction.execute(
                "INSERT INTO checkpoint (id, size, frontier, note) VALUES (?, ?, ?, ?)",
                (number + 1, tree.size, tree.pack(), signed.note),
            )
            # Under the lock, so that the kept file never goes back in size.
            write_public(self._kept, signed.note.encode(), error=LogUnavailable)
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
        with self._signing, self._database.write() as transaction:
            last = _last_checkpoint(transaction, self._signer)
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
            if last[1].size == cosigned.size:
                write_public(self._kept, cosigned.note.encode(), error=LogUnavailable)
        return cosigned, tuple(problems)

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

    def receipt(self, record: str | int) -> Receipt:
        """Return the proof that an entry is in the log.

        Args:
            record: Index of an entry; or the id of a record or of one of its outputs, which
                stands for the event that ended the record (the last one when it has no end).

        Raises:
            RecordNotFound: No such entry.
            LogCorrupt: The log does not agree with itself.
            LogUnavailable: No checkpoint can be signed.
        """
        index = record if isinstance(record, int) else self._reader.end_of(record)
        # One for many: only an entry that no signed tree holds yet costs a new signature.
        with self._database.read() as transaction:
            self._reader.leaf(transaction, index)
            last = _last_checkpoint(transaction, self._signer)
        if last is None or last[1].size <= index:
            self.checkpoint()
        with self._database.read() as transaction:
            last = _last_checkpoint(transaction, self._signer)
            if last is None:
                raise LogCorrupt("a checkpoint just signed is gone")
            size = last[1].size
            reader = node_reader(transaction, self._ledger.state(transaction).size)
            return Receipt(
                leaf=self._reader.leaf(transaction, index),
                index=index,
                proof=tuple(inclusion_proof(index, size, reader)),
                checkpoint=last[1].note,
                public_key=self.public_key,
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
            publish(transaction, signed, self._signer.key, Path(folder))
        return signed


def _about(witness: Witness, what: str, detail: str) -> Problem:
    return Problem(what=what, where=f"witness {witness.key.name}", detail=detail)


def _last_checkpoint(
    transaction: Transaction, signer: NoteSigner
) -> tuple[int, Checkpoint, Frontier] | None:
    """Return number, note and frontier of the newest checkpoint in the table.

    Raises:
        LogCorrupt: It is not ours, or does not fit its frontier.
    """
    rows = transaction.execute(
        "SELECT id, size, frontier, note FROM checkpoint ORDER BY id DESC LIMIT 1"
    )
    if not rows:
        return None
    number, size, frontier, note = rows[0]
    try:
        checkpoint = open_checkpoint(note, signer.key)
        tree = Frontier.unpack(size, bytes(frontier))
    except (InvalidRequest, ValueError, TypeError):
        raise LogCorrupt(f"checkpoint {number} is damaged") from None
    if checkpoint.size != tree.size or checkpoint.root != tree.root():
        raise LogCorrupt(f"checkpoint {number} does not fit its frontier")
    return number, checkpoint, tree

"""Receipts: one entry, its path to the root, and the signed checkpoint; checked without the log."""

from __future__ import annotations

import base64
import binascii
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from chopmark.audit.log.events import Record
from chopmark.audit.log.leaf import parse_leaf
from chopmark.audit.log.merkle import leaf_hash, verify_inclusion
from chopmark.audit.proof.note import open_checkpoint, parse_keys
from chopmark.audit.proof.report import Problem
from chopmark.audit.proof.witness import WitnessKey, witnessed_by
from chopmark.errors import ChopmarkError, InvalidRequest, LogCorrupt

if TYPE_CHECKING:
    from collections.abc import Iterable

    from chopmark.kit.types import JsonValue

__all__ = ["Receipt"]

_FORMAT: Final = "chopmark.receipt/1"
_MAX_RECEIPT: Final = 1024 * 1024
_MAX_PROOF: Final = 63  # a tree of less than 2**63 entries is not deeper


@dataclass(frozen=True, kw_only=True)
class Receipt:
    """Shows to anybody that a record is in the log. Holds no personal data.

    Attributes:
        leaf: The entry's bytes (canonical JSON), as hashed into the tree: what happened and when.
            Tenant, seed, scores and timings are not in it, only a salted digest of them.
        index: Its place in the log.
        proof: Audit path, 32 bytes each, lowest first (RFC 9162, section 2.1.3).
        checkpoint: The signed note of the tree that the path leads into.
        public_key: The verifier key that the log says it signs with. Trust it only when it came
            to you another way, too.
        hidden: What the leaf has only the digest of, where the log's owner discloses it.
    """

    leaf: bytes
    index: int
    proof: tuple[bytes, ...]
    checkpoint: str
    public_key: str
    hidden: bytes | None = None

    @property
    def record(self) -> Record:
        """The record in the leaf.

        Raises:
            LogCorrupt: The leaf is not one.
        """
        return Record.from_leaf(self.index, self._whole)

    @property
    def _whole(self) -> bytes:
        return self.leaf if self.hidden is None else self.leaf + b"\n" + self.hidden

    def verify(
        self, public_key: str | None = None, *, witnesses: Iterable[str] = ()
    ) -> tuple[Problem, ...]:
        """Check the receipt, offline.

        Args:
            public_key: The log's verifier key, from a source that you trust, or several of them, a
                line each: a log that changed its key still shows what it signed before. With None
                the receipt's own key is used, which shows only that it agrees with itself.
            witnesses: Verifier keys of witnesses, each of whom must have cosigned the checkpoint.

        Returns:
            What is wrong; empty when the entry is in the tree that the key signed.
        """
        problems: list[Problem] = []

        def wrong(what: str, detail: str) -> None:
            problems.append(Problem(what=what, where="receipt", detail=detail))

        try:
            parse_leaf(self._whole)
        except LogCorrupt as error:
            wrong("leaf_malformed", error.message)
        try:
            key = parse_keys(public_key if public_key is not None else self.public_key)
        except ChopmarkError as error:
            wrong("key_malformed", error.message)
            key = None
        try:
            checkpoint = open_checkpoint(self.checkpoint, key)
        except ChopmarkError as error:
            wrong("checkpoint_refused", error.message)
            return tuple(problems)
        for text in witnesses:
            if not witnessed_by(self.checkpoint, WitnessKey.parse(text)):
                wrong("not_witnessed", f"{text.partition('+')[0]} did not cosign the checkpoint")
        # The leaf is hashed here, never taken as a hash: an inner node must not pass for an entry.
        hashed = leaf_hash(self.leaf)
        if not verify_inclusion(self.index, checkpoint.size, hashed, self.proof, checkpoint.root):
            wrong("not_included", "the path does not lead from the leaf to the signed root")
        return tuple(problems)

    def to_dict(self) -> dict[str, JsonValue]:
        """Return the members for JSON."""
        return {
            "format": _FORMAT,
            "index": self.index,
            "leaf": self.leaf.decode("utf-8"),
            "proof": [base64.b64encode(item).decode() for item in self.proof],
            "checkpoint": self.checkpoint,
            "public_key": self.public_key,
            **({} if self.hidden is None else {"hidden": self.hidden.decode("utf-8")}),
        }

    def to_json(self) -> str:
        """Return the receipt as JSON text ending in a line feed."""
        return json.dumps(self.to_dict(), indent=2, ensure_ascii=False) + "\n"

    @classmethod
    def from_json(cls, text: str | bytes) -> Receipt:
        """Read a receipt. Foreign bytes are welcome here; :meth:`verify` is what trusts them.

        Raises:
            InvalidRequest: Not a receipt.
        """
        if len(text) > _MAX_RECEIPT:
            raise InvalidRequest("this is too long for a receipt")
        try:
            members = json.loads(text)
            if members["format"] != _FORMAT:
                raise InvalidRequest("a receipt of an unknown format", hint=f"known: {_FORMAT}")
            leaf, index, proof = members["leaf"], members["index"], members["proof"]
            checkpoint, public_key = members["checkpoint"], members["public_key"]
            hidden = members.get("hidden")
            texts = (leaf, checkpoint, public_key, hidden or "", *proof)
            if not all(isinstance(item, str) for item in texts) or type(index) is not int:
                raise InvalidRequest("a receipt's member has a wrong type")
            if len(proof) > _MAX_PROOF:
                raise InvalidRequest("no tree needs so long a path")
            return cls(
                leaf=leaf.encode("utf-8"),
                index=index,
                proof=tuple(base64.b64decode(item, validate=True) for item in proof),
                checkpoint=checkpoint,
                public_key=public_key,
                hidden=None if hidden is None else hidden.encode("utf-8"),
            )
        except (ValueError, KeyError, TypeError, RecursionError, binascii.Error):
            raise InvalidRequest("this is not a receipt", hint="see chopmark audit prove") from None

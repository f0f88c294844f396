"""What entries say must stand elsewhere: open requests, holds, exceptions, suspensions, covers.

The walk notes such entries as it meets them; at its end they are compared with the tables.
"""

from __future__ import annotations

import contextlib
import json
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Final

from chopmark.audit.log.clock import FOREVER
from chopmark.audit.log.leaf import parse_leaf
from chopmark.audit.log.vault import KeyGone
from chopmark.errors import LogCorrupt, LogUnavailable

if TYPE_CHECKING:
    from collections.abc import Callable

    from chopmark.audit.log.vault import Vault
    from chopmark.kit.database import Row, Transaction

__all__ = ["NOTED", "CrossChecks"]

_ENDS: Final = frozenset({"request.completed", "request.failed", "request.refused"})
_COVERING: Final = frozenset({"erasure.completed", "retention.expired"})
_CUSTODY: Final = _COVERING | {
    "erasure.started",
    "exception.granted",
    "exception.revoked",
    "hold.placed",
    "hold.released",
    "person.reinstated",
    "person.suspended",
}
NOTED: Final = _ENDS | _CUSTODY | {"request.received"}
"""The kinds that :meth:`CrossChecks.note` wants to see."""


class CrossChecks:
    """What the entries of a walk promise.

    Args:
        wrong: Notes a problem: what, where, detail.
        vault: Opens contents; None for an auditor who may not read them.

    Attributes:
        erasures: How many erasures were completed.
    """

    def __init__(self, wrong: Callable[[str, str, str], None], vault: Vault | None) -> None:
        self.erasures = 0
        self._wrong, self._vault = wrong, vault
        self._requests: dict[str, Row] = {}
        self._covers: dict[int, str] = {}
        self._taken: list[tuple[int, int]] = []
        self._erasing: dict[int, str] = {}
        self._holds: dict[int, str] = {}
        self._exceptions: dict[int, tuple[str, str]] = {}
        self._suspensions: dict[int, str] = {}

    def note(self, kind: str, request: Row, leaf: bytes) -> None:
        """Remember an entry of one of the kinds :data:`NOTED`: record id, index and time."""
        if kind == "request.received":
            self._requests[request[0]] = request
        elif kind in _ENDS:
            self._requests.pop(request[0], None)
        else:
            try:
                self._custody(request[1], kind, parse_leaf(leaf))
            except (LogCorrupt, ValueError, KeyError, TypeError):
                self._wrong("leaf_malformed", f"entry {request[1]}", f"this is no {kind}")

    def _custody(self, index: int, kind: str, members: dict[str, Any]) -> None:
        public = members["public"]
        if kind in _COVERING:
            self._covers[index] = public["cover"]
        match kind:
            case "erasure.started":
                self._erasing[index] = public["key"]
            case "erasure.completed":
                self._erasing.pop(public["started"], None)
                self.erasures += 1
            case "hold.placed":
                self._holds[index] = public["until"] or FOREVER
            case "hold.released":
                self._holds.pop(public["hold"], None)
            case "exception.granted":
                self._exceptions[index] = (public["until"], members["tenant"])
            case "exception.revoked":
                self._exceptions.pop(public["exception"], None)
            case "person.suspended":
                self._suspensions[index] = public["until"] or FOREVER
            case "person.reinstated":
                for lifted in public["suspensions"]:
                    self._suspensions.pop(lifted, None)

    def settle(
        self,
        transaction: Transaction,
        missing: bytearray,
        keyless: list[tuple[int, bytes]],
        *,
        begun: int,
    ) -> None:
        """Compare with the tables.

        Args:
            transaction: The walk's snapshot.
            missing: For each entry, whether it commits to content that is not there; changed.
            keyless: Index and key of contents whose key is gone.
            begun: Where the walk began; only a whole walk can compare everything.
        """
        unfinished = self._unfinished(transaction) if begun == 0 else set()
        for index, key_id in keyless:
            if key_id not in unfinished:
                self._wrong("key_missing", f"content {index}", "its key is not in the key file")
        self._covered(transaction, missing, begun)
        if begun == 0:
            self._compare_requests(transaction)
            self._compare_subjects(transaction, "hold", self._holds)
            self._compare_subjects(transaction, "suspension", self._suspensions)
            self._compare_exceptions(transaction)

    def _unfinished(self, transaction: Transaction) -> set[bytes]:
        """Return the keys that an erasure which is under way may have destroyed already."""
        found = {}
        for index, key_id in transaction.stream("SELECT idx, key_id FROM erasing"):
            found[index] = bytes(key_id)
            if sha256(bytes(key_id)).hexdigest() != self._erasing.get(index):
                self._wrong("erasing", f"erasure {index}", "no started erasure has this key")
        for index in self._erasing.keys() - found.keys():
            self._wrong("erasing", f"erasure {index}", "it was started, and nothing finishes it")
        return set(found.values())

    def _covered(self, transaction: Transaction, missing: bytearray, begun: int) -> None:
        """Let erasure and retention events account for content that is not there."""
        for index, salt, ranges in transaction.stream(
            "SELECT idx, salt, ranges FROM cover ORDER BY idx"
        ):
            where = f"cover {index}"
            if index < begun:
                continue
            claimed = self._covers.pop(index, None)
            if claimed is None:
                self._wrong("cover_unknown", where, "no entry of this place covers anything")
            elif sha256(bytes(salt) + bytes(ranges)).hexdigest() != claimed:
                self._wrong("cover_changed", where, "it is not what the entry commits to")
            else:
                # The salt kept the places secret; the commitment keeps them from being widened.
                for low, high in json.loads(bytes(ranges)):
                    missing[low : high + 1] = bytes(high + 1 - low)
                    self._taken.append((low, high))
        for index in self._covers:
            self._wrong("cover_missing", f"cover {index}", "the entry's list of places is gone")
        index = missing.find(True)
        while index >= 0:
            detail = "its content is gone and no erasure or retention event covers it"
            self._wrong("content_missing", f"entry {index}", detail)
            index = missing.find(True, index + 1)

    def _compare_requests(self, transaction: Transaction) -> None:
        expected = self._requests
        wrong = [
            row[0]
            for row in transaction.stream("SELECT record_id, idx, time FROM open_request")
            if expected.pop(row[0], None) != tuple(row)
        ]
        for record_id in (*wrong, *expected):
            detail = f"the list of open requests is wrong about {record_id}"
            self._wrong("open_request", f"record {record_id}", detail)

    def _compare_subjects(
        self, transaction: Transaction, table: str, expected: dict[int, str]
    ) -> None:
        """Compare a table of holds or suspensions with the entries that placed them."""
        stored = {}
        rows: list[Row] = []
        # A log of an older version has no such table until it is opened again; one that somebody
        # dropped lacks what the entries say must be in it.
        with contextlib.suppress(LogUnavailable):
            rows = transaction.execute(
                f"SELECT {table}.idx, tag, until, key_id FROM {table}"  # noqa: S608 - fixed names
                f" LEFT JOIN content ON content.idx = {table}.idx"
            )
        for index, tag, until, key_id in rows:
            stored[index] = until
            if self._vault is None or key_id is None:
                continue  # its subject was erased since: a hold was over by then, a ban stays
            known = self._vault.stored_id(bytes(tag))
            # What an erasure that is under way did to a key is reported with the content.
            if known != bytes(key_id) and (table == "hold" or known is not None):
                detail = "it names another subject than its entry"
                self._wrong(table, f"{table} {index}", detail)
        for index in stored.keys() | expected.keys():
            if stored.get(index) != expected.get(index):
                detail = f"the list of {table}s differs from the entries"
                self._wrong(table, f"{table} {index}", detail)

    def _compare_exceptions(self, transaction: Transaction) -> None:
        """Compare the exceptions in force with the entries that granted them, prompt included."""
        expected = {
            index: granted
            for index, granted in self._exceptions.items()
            if not any(low <= index <= high for low, high in self._taken)
        }
        stored = {}
        for index, tag, until, event_id, leaf, key_id, sealed in transaction.execute(
            "SELECT exception.idx, tag, until, event_id, leaf, key_id, sealed FROM exception"
            " LEFT JOIN entry ON entry.idx = exception.idx"
            " LEFT JOIN content ON content.idx = exception.idx"
        ):
            stored[index] = until
            if index not in expected or self._vault is None or key_id is None:
                continue
            commitment = bytes.fromhex(parse_leaf(bytes(leaf)).get("commitment", ""))
            with contextlib.suppress(KeyGone, LogCorrupt):  # reported with the content
                private = self._vault.open(
                    bytes(key_id), bytes(sealed), event_id=event_id, commitment=commitment
                ).private
                texts = (str(private.get("prompt")), str(private.get("negative_prompt")))
                if self._vault.prompt_tag(*texts, expected[index][1]) != bytes(tag):
                    detail = "it lets another prompt pass than its entry"
                    self._wrong("exception", f"exception {index}", detail)
        for index in stored.keys() | expected.keys():
            if stored.get(index) != expected.get(index, (None,))[0]:
                detail = "the list of exceptions differs from the entries"
                self._wrong("exception", f"exception {index}", detail)

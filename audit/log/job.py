"""One event on its way into the log."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from chopmark.audit.log.events import Event, Record, build_leaf

if TYPE_CHECKING:
    from chopmark.audit.log.sealed import Sealed

__all__ = ["Job"]


@dataclass(kw_only=True, slots=True, eq=False)
class Job:
    """An event with everything that can be computed before its place is known.

    Attributes:
        time: When it was prepared; what the entry will carry.
        leaf: The bytes that are stored.
        hash: Their leaf hash, 32 bytes.
        data: The canonical private part; None when there is none, or it is another process's.
        sealed: The private part under its subject's key; None when there is none.
        epoch: How often keys had been destroyed when the key was looked up.
        writer: The process that prepared it.
        number: Its fencing number then.
        remote: Whether another process prepared it and does not send what it says.
    """

    event: Event
    time: str
    leaf: bytes
    hash: bytes
    data: bytes | None
    sealed: Sealed | None
    epoch: int
    writer: str = ""
    number: int = 1
    remote: bool = False

    def record_at(self, index: int) -> Record:
        """Return the record that it becomes at a place in the log."""
        event = self.event
        return Record(
            index=index,
            record_id=event.record_id,
            event_id=event.event_id,
            kind=event.kind,
            tenant=event.tenant,
            time=self.time,
            public=event.public,
            leaf_hash=self.hash.hex(),
        )

    def equals(self, other: Job) -> bool:
        """Tell whether both are the same event; the times and the salts always differ."""
        return (
            # Canonical forms: two spellings of the same JSON are the same event.
            self.data == other.data
            and self.event.subject == other.event.subject
            and build_leaf(self.event, time="", commitment=None, salt=b"")
            == build_leaf(other.event, time="", commitment=None, salt=b"")
        )

"""What is booked: events as callers give them, leaves as the tree holds them, records as read."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Literal, get_args

from chopmark.audit.log.canonical import canonical, without_lone_surrogates
from chopmark.audit.log.leaf import hash_of, pack_leaf, parse_leaf
from chopmark.errors import InvalidRequest
from chopmark.kit.ids import is_id

if TYPE_CHECKING:
    from chopmark.kit.types import JsonValue

__all__ = [
    "EVERY_TENANT",
    "RESTRICTED",
    "SYSTEM_TENANT",
    "TERMINAL",
    "Event",
    "EventKind",
    "Record",
    "build_leaf",
    "private_bytes",
]

EventKind = Literal[
    "access.exported",
    "access.searched",
    "access.unblurred",
    "access.viewed",
    "appeal.decided",
    "appeal.opened",
    "case.added",
    "case.removed",
    "clock.step",
    "cybertip.released",
    "erasure.completed",
    "erasure.refused",
    "erasure.started",
    "exception.granted",
    "exception.revoked",
    "hash.added",
    "hash.removed",
    "hold.placed",
    "hold.released",
    "key.rotated",
    "log.recovered",
    "log.restored",
    "manifest.bound",
    "manifest.removed",
    "manifest.stored",
    "moderation.completed",
    "output.released",
    "output.restored",
    "output.withdrawn",
    "person.reinstated",
    "person.suspended",
    "person.warned",
    "policy.adopted",
    "policy.changed",
    "query.saved",
    "record.sealed",
    "record.unsealed",
    "request.completed",
    "request.decided",
    "request.failed",
    "request.previewed",
    "request.received",
    "request.refused",
    "request.turned_away",
    "retention.expired",
    "review.commented",
    "review.decided",
    "review.leased",
    "review.queued",
    "review.released",
    "verify.completed",
    "webhook.added",
    "webhook.changed",
    "webhook.removed",
]

SYSTEM_TENANT: Final = "chopmark"
"""Of this tenant are the log's own entries: who looked, holds, erasures, clock steps."""

EVERY_TENANT: Final = "*"
"""What an operator sees; no event is of it."""

TERMINAL: Final[frozenset[str]] = frozenset(
    {
        "request.completed",
        "request.failed",
        "request.refused",
        "moderation.completed",
        "verify.completed",
    }
)
"""The kinds that end a record; a receipt is given for these first."""

RESTRICTED: Final[frozenset[str]] = frozenset({"sexual/minors"})
"""What was refused in these categories is sealed from the start, and no appeal excepts it."""

_MAX_PRIVATE: Final = 16 * 1024 * 1024
_KINDS: Final = frozenset(get_args(EventKind))
_ASKED: Final = frozenset({"moderation", "request", "verify"})
_NAME = re.compile(r"[^\x00-\x1f\x7f]{1,200}")


@dataclass(frozen=True, kw_only=True)
class Event:
    """One thing that happened, to be booked.

    Attributes:
        kind: What happened.
        record_id: The record (:mod:`chopmark.kit.ids`) that it belongs to.
        event_id: Unique in the log; ``record_id:kind`` when left empty, else the record id, a colon
            and a name. Appending the same event again gives the same record, so a caller that got
            no answer simply tries again.
        tenant: Whose policy applied. Goes into the leaf's second level, which receipts leave out.
        subject: Opaque reference to the person it is about, or None; one person's in all tenants
            (put the tenant into it where two tenants may use the same). Never goes into the leaf;
            content is encrypted under this subject's key and :meth:`Custody.erase` destroys it.
        public: What stays for ever. No prompt, no address, no picture digest. Who holds a receipt
            sees of it what :mod:`chopmark.audit.log.leaf` shows of this kind.
        private: What must stay erasable; the leaf holds a salted commitment to it.

    Raises:
        InvalidRequest: A member has a form that the log does not take.
    """

    kind: EventKind
    record_id: str
    tenant: str
    event_id: str = ""
    subject: str | None = None
    public: dict[str, JsonValue] = field(default_factory=dict)
    private: dict[str, JsonValue] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Check the members and derive the event id."""
        if self.kind not in _KINDS:
            raise InvalidRequest(f"{self.kind!r} is not a kind of event")
        if not is_id(self.record_id) or not self.record_id.endswith("0"):
            raise InvalidRequest(f"{self.record_id!r} is not a record id")
        if not self.event_id:
            object.__setattr__(self, "event_id", f"{self.record_id}:{self.kind}")
        elif self.kind == "request.received" and self.event_id != f"{self.record_id}:{self.kind}":
            raise InvalidRequest("a record is received once", hint="leave event_id empty")
        elif not self.event_id.startswith(f"{self.record_id}:"):
            raise InvalidRequest(
                f"event_id {self.event_id!r} is not of record {self.record_id}",
                hint="the record id, a colon, and a name",
            )
        for name in ("tenant", "event_id"):
            if not _NAME.fullmatch(getattr(self, name)):
                raise InvalidRequest(
                    f"{name} {getattr(self, name)!r} cannot be logged",
                    hint="1 to 200 characters, no control characters",
                )
        if self.tenant == EVERY_TENANT:
            raise InvalidRequest("an event is of one tenant")
        if self.tenant == SYSTEM_TENANT and self.kind.partition(".")[0] in _ASKED:
            # Its content would never expire, and nobody of the tenant could see it.
            raise InvalidRequest(f"{SYSTEM_TENANT!r} is the log's own name", hint="another tenant")
        if self.subject == "":
            raise InvalidRequest("an empty subject names nobody", hint="use None")


@dataclass(frozen=True, kw_only=True)
class Record:
    """One entry of the log, as everybody may read it.

    Attributes:
        index: Place in the log, from 0.
        time: When it was booked, RFC 3339 in UTC with microseconds.
        leaf_hash: RFC 6962 leaf hash, 64 hex digits.
    """

    index: int
    record_id: str
    event_id: str
    kind: EventKind
    tenant: str
    time: str
    public: dict[str, JsonValue]
    leaf_hash: str

    @classmethod
    def from_leaf(cls, index: int, leaf: bytes) -> Record:
        """Return the record that the leaf at a place is.

        Raises:
            LogCorrupt: The bytes are not a leaf.
        """
        members = parse_leaf(leaf)
        return cls(
            index=index,
            record_id=members["record_id"],
            event_id=members["event_id"],
            kind=members["kind"],
            tenant=members["tenant"],
            time=members["time"],
            public=members["public"],
            leaf_hash=hash_of(leaf).hex(),
        )

    def to_dict(self) -> dict[str, JsonValue]:
        """Return the members for JSON."""
        return {
            "index": self.index,
            "record_id": self.record_id,
            "event_id": self.event_id,
            "kind": self.kind,
            "tenant": self.tenant,
            "time": self.time,
            "public": self.public,
            "leaf_hash": self.leaf_hash,
        }


def build_leaf(
    event: Event, *, time: str, commitment: bytes | None, salt: bytes | None = None
) -> bytes:
    """Return the bytes that are stored for ``event``; see :mod:`chopmark.audit.log.leaf`.

    Raises:
        InvalidRequest: ``public`` is not canonical JSON, or too much of it.
    """
    members: dict[str, JsonValue] = {
        "event_id": event.event_id,
        "kind": event.kind,
        "public": event.public,
        "record_id": event.record_id,
        "tenant": event.tenant,
        "time": time,
    }
    return pack_leaf(members, commitment=commitment, salt=salt)


def private_bytes(event: Event) -> bytes | None:
    """Return the canonical form of what the commitment covers, None when there is nothing.

    The subject is covered too, so that an entry cannot later be laid at another person's door.

    Raises:
        InvalidRequest: Not JSON, or more than 16 MiB.
    """
    if not event.private and event.subject is None:
        return None
    members: dict[str, JsonValue] = {"private": event.private, "subject": event.subject}
    try:
        data = canonical(members)
    except InvalidRequest:  # mostly a lone surrogate; anything else is refused the second time
        data = canonical(without_lone_surrogates(members))
    if len(data) > _MAX_PRIVATE:
        raise InvalidRequest(
            f"the private part has {len(data)} bytes; {_MAX_PRIVATE} is the most",
            hint="log a digest of large things",
        )
    return data

"""A request with an ``Idempotency-Key``: what it led to before, and where its end is kept."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from chopmark.tenancy.replays import Unanswered

if TYPE_CHECKING:
    from fastapi import Request

    from chopmark.tenancy.replays import Replays

__all__ = ["Claim", "claim_of"]


@dataclass(kw_only=True)
class Claim:
    """A key that a request has claimed.

    Attributes:
        replays: Where answers are kept.
        tenant: Whose key, as `Replays` counts them.
        key: The ``Idempotency-Key``.
        fingerprint: Digest of the request.
        earlier: What the request was about to end in when its first answer was lost.
        again: Whether it is answered with just that.
        record_id: The record that it is answered with, as soon as that is known.
    """

    replays: Replays
    tenant: str
    key: str
    fingerprint: bytes
    earlier: Unanswered | None = None
    again: bool = False
    record_id: str | None = None

    def end(self, record_id: str, ending: bytes) -> None:
        """Keep what the request is about to end in."""
        self.record_id = record_id
        self.replays.end(
            self.tenant,
            self.key,
            self.fingerprint,
            Unanswered(record_id=record_id, ending=ending),
        )

    def resumed(self) -> None:
        """Note that the request is answered with what it was about to end in before."""
        if self.earlier is not None:
            self.again, self.record_id = True, self.earlier.record_id

    def renew(self) -> None:
        """Note that what it was about to end in never came about: it is made anew."""
        self.earlier = None
        self.replays.renew(self.tenant, self.key)


def claim_of(request: Request) -> Claim | None:
    """Return the key that a request has claimed, if it brought one."""
    found: Claim | None = request.scope.get("state", {}).get("claim")
    return found

"""Links to pictures that were held for review and that the desk let out: signed, for a while.

Whoever asked for the picture has no session here and their key may be anybody's of the tenant; the
link is what they are sent. It names the output and its end, and nothing else opens it.
"""

from __future__ import annotations

import hashlib
import hmac
from typing import TYPE_CHECKING, Any, Final

from chopmark.errors import RecordNotFound
from chopmark.kit.files import random_secret
from chopmark.pipeline.held import held_file
from chopmark.pipeline.withdrawals import refuse_withdrawn

if TYPE_CHECKING:
    from chopmark.audit import Record
    from chopmark.pipeline.held import HeldFile
    from chopmark.pipeline.parts import Parts

__all__ = ["fetch", "links_to"]

_PATH: Final = "/api/v1/released"


def links_to(parts: Parts, released: Record) -> dict[str, Any]:
    """Return ``url``, ``expires_at`` and ``links`` for an ``output.released`` entry."""
    named, until = released.public["outputs"], str(released.public["until"])
    listed = named if isinstance(named, list) else []
    base = parts.settings.public_url.rstrip("/")
    links = [
        {
            "output_id": str(name),
            "url": f"{base}{_PATH}/{name}?ticket={_ticket(parts, str(name), until)}",
            "expires_at": until,
        }
        for name in listed
    ]
    return {"url": links[0]["url"], "expires_at": until, "links": links}


def fetch(parts: Parts, output_id: str, ticket: str) -> HeldFile:
    """Return a released picture.

    Raises:
        RecordNotFound: No such picture was released, the time is over, or the ticket is another's.
        OutputWithdrawn: It was withdrawn since.
    """
    from chopmark.audit import check_released

    records = parts.log.records(output_id)
    until = check_released(records, output_id)
    if not hmac.compare_digest(ticket.encode(), _ticket(parts, output_id, until).encode()):
        raise RecordNotFound(f"output {output_id} cannot be fetched (any more)")
    refuse_withdrawn(parts, output_id)
    return held_file(parts, records, output_id)


def _ticket(parts: Parts, output_id: str, until: str) -> str:
    key = random_secret(parts.home / "tenancy" / "released.key", length=32)
    return hmac.new(key, f"{output_id} {until}".encode(), hashlib.sha256).hexdigest()

"""Receipts of manifests: the log's own, in the shape that the API gives them."""

from __future__ import annotations

import base64
import binascii
import json
from typing import TYPE_CHECKING, Any, Final

from chopmark.errors import ChopmarkError, InvalidRequest

if TYPE_CHECKING:
    from chopmark.audit import EventKind, Receipt, Record
    from chopmark.pipeline.parts import Parts
    from chopmark.service.caller import Caller

__all__ = ["book", "check_receipt", "receipt_body", "receipt_from", "receipt_of"]

_RECEIPT_ALG: Final = "chopmark.receipt/1"


def book(parts: Parts, caller: Caller, kind: EventKind, record_id: str, manifest_id: str) -> None:
    """Book that a caller stored or removed a manifest."""
    from chopmark.audit import Event

    parts.log.append(
        Event(
            kind=kind,
            record_id=record_id,
            tenant=caller.tenant.name,
            public={"manifest_id": manifest_id},
        )
    )


def receipt_of(parts: Parts, manifest_id: str, caller: Caller) -> Receipt | None:
    """Return the log's receipt for what booked this manifest, if it was booked.

    An entry of an older version names its tenant, and the tree has it so: its receipt is given to
    that tenant alone.
    """
    entry = parts.store.entry(manifest_id)
    if entry is None or not entry.record_id:
        return None
    try:
        found = parts.log.proof.receipt(entry.record_id)
    except ChopmarkError:
        return None
    record = found.record
    if record.tenant and not caller.sees(record.tenant):
        return None
    return found if _covers(record, manifest_id) else None


def _covers(record: Record, manifest_id: str) -> bool:
    """Whether a record of the log names this manifest."""
    outputs = record.public.get("outputs")
    named = [record.public.get("manifest_id")]
    if record.kind == "request.completed" and isinstance(outputs, list):
        named = [one.get("manifest_id") for one in outputs if isinstance(one, dict)]
    return manifest_id in named


def receipt_body(found: Receipt, manifest_id: str, *, repository: str) -> dict[str, Any]:
    """Return a receipt as the API has it.

    Args:
        found: The log's.
        manifest_id: Of what.
        repository: The address of this API.
    """
    proof = base64.b64encode(json.dumps(found.to_dict()).encode()).decode()
    return {
        "@type": "org.c2pa.manifest-receipt",
        "repository": {
            "uri": repository,
            "manifestId": manifest_id,
        },
        "anchor": {
            # The first line of the checkpoint is the log's name (C2SP tlog-checkpoint).
            "uri": found.checkpoint.partition("\n")[0],
            "proof": {"alg": _RECEIPT_ALG, "value": proof},
        },
        "verified": not found.verify(),
    }


def receipt_from(body: dict[str, Any]) -> Receipt:
    """Return the log's receipt inside one of the API's.

    Raises:
        InvalidRequest: There is none in it.
    """
    from chopmark.audit import Receipt

    try:
        text = base64.b64decode(body["anchor"]["proof"]["value"], validate=True)
    except (KeyError, TypeError, ValueError, binascii.Error):
        raise InvalidRequest("anchor.proof.value is no base64") from None
    return Receipt.from_json(text)


def check_receipt(parts: Parts, manifest_id: str, receipt: Receipt) -> None:
    """Check a receipt against our own key and this manifest.

    Raises:
        InvalidRequest: What is wrong with it.
    """
    problems = receipt.verify(parts.log.proof.public_keys)
    if problems:
        raise InvalidRequest(f"the receipt does not hold: {problems[0].detail}")
    if not _covers(receipt.record, manifest_id):
        raise InvalidRequest("the receipt is of something else")

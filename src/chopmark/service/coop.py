"""ROOST Coop: what waits in our queues goes there as items, and its actions decide here.

Source: Coop 1.0, ``docs/api/items.md`` (``POST /api/v1/items/async/``, ``X-API-KEY``),
``docs/api/actions.md`` (callbacks) and ``docs/development/api-auth.md`` (``Coop-Signature``:
RSASSA-PKCS1-v1_5 with SHA-256 over the body, base64).
"""

from __future__ import annotations

import base64
import binascii
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, get_args

from chopmark.audit import Actor
from chopmark.audit.desk.tasks import ReviewDecision
from chopmark.audit.desk.view import is_restricted
from chopmark.errors import ConfigurationError, NotPermitted
from chopmark.kit.limits import RATIONALE

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

    from chopmark.audit import AuditLog, Record

__all__ = ["CoopServer", "check_signature", "is_sent", "item_of", "load_coop", "rationale_of"]

_MAX_FILE: Final = 64 * 1024
_ITEMS: Final = "/api/v1/items/async/"
_HINT: Final = (
    "a mapping: url, tenant, item_type, verification_key, actions; and user_type, queues, prompts"
)


@dataclass(frozen=True, kw_only=True)
class CoopServer:
    """A Coop server, as the deployer's file names it.

    Attributes:
        url: Its address, without a path.
        tenant: Whose tasks go there; its API key's holder decides on that tenant's alone.
        item_type: The id, over there, of the type of our items.
        verification_key: What its callbacks are signed with.
        actions: Which of its actions decides what here.
        user_type: The id of the type of persons; None names none to it.
        queues: Whose tasks go there; None is every queue.
        prompts: Whether the prompt goes along; what is sealed never does.
    """

    url: str
    tenant: str
    item_type: str
    verification_key: RSAPublicKey
    actions: Mapping[str, ReviewDecision]
    user_type: str | None = None
    queues: frozenset[str] | None = None
    prompts: bool = False

    @property
    def items_url(self) -> str:
        """Where items are posted."""
        return self.url.rstrip("/") + _ITEMS


def load_coop(path: Path) -> CoopServer:
    """Read the file that ``CHOPMARK_COOP`` names.

    Raises:
        ConfigurationError: It cannot be read, or says what cannot be.
    """
    import yaml

    try:
        with path.open("rb") as file:
            members: Any = yaml.safe_load(file.read(_MAX_FILE))
        if not isinstance(members, dict):
            raise TypeError("it is not a mapping")
        return _server(path, members)
    except (OSError, UnicodeDecodeError, yaml.YAMLError, TypeError, ValueError) as error:
        wrong = (str(error) or type(error).__name__).splitlines()[0]
        raise ConfigurationError(f"{path}: {wrong}", hint=_HINT) from None


def _server(path: Path, members: dict[str, Any]) -> CoopServer:
    known = {
        "url": str, "tenant": str, "item_type": str, "verification_key": str, "actions": dict,
        "user_type": str, "queues": list, "prompts": bool,
    }  # fmt: skip
    for name, value in members.items():
        if name not in known or not isinstance(value, known[name]):
            raise TypeError(f"{str(name)[:40]} cannot be {str(value)[:80]!r}")
    missing = [name for name in list(known)[:5] if not members.get(name)]
    if missing:
        raise TypeError(f"{missing[0]} is missing")
    decisions = get_args(ReviewDecision)
    for name, decision in members["actions"].items():
        if not isinstance(name, str) or decision not in decisions:
            raise TypeError(f"an action is one of {', '.join(decisions)}, not {decision!r}")
    queues = members.get("queues")
    return CoopServer(
        url=members["url"],
        tenant=members["tenant"],
        item_type=members["item_type"],
        verification_key=_key(path.parent / members["verification_key"]),
        actions=members["actions"],
        user_type=members.get("user_type"),
        queues=None if queues is None else frozenset(map(str, queues)),
        prompts=members.get("prompts", False),
    )


def _key(path: Path) -> RSAPublicKey:
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    try:
        key = load_pem_public_key(path.read_bytes()[:_MAX_FILE])
    except UnsupportedAlgorithm as error:
        raise ValueError(f"{path.name} is of a kind that is not known") from error
    if not isinstance(key, RSAPublicKey):
        raise TypeError(f"{path.name} is no RSA public key")
    return key


def check_signature(server: CoopServer, body: bytes, signature: str) -> None:
    """Let a callback pass that the server signed.

    Args:
        server: Whose key.
        body: As it came.
        signature: The header ``Coop-Signature``.

    Raises:
        NotPermitted: There is no signature, or it is of something else.
    """
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
    from cryptography.hazmat.primitives.hashes import SHA256

    try:
        raw = base64.b64decode(signature, validate=True)
        server.verification_key.verify(raw, body, PKCS1v15(), SHA256())
    except (binascii.Error, ValueError, InvalidSignature):
        raise NotPermitted(
            "the Coop-Signature is not one of the server in CHOPMARK_COOP over this body",
            hint="compare verification_key with Settings, API Keys in Coop",
        ) from None


def is_sent(server: CoopServer, log: AuditLog, queued: Record) -> bool:
    """Tell whether the server is told of a queued task: of its tenant's and queues, never sealed.

    Args:
        server: Which.
        log: Where the record is.
        queued: The ``review.queued`` entry.
    """
    queue = str(queued.public.get("queue"))
    return (
        queued.tenant == server.tenant
        and (server.queues is None or queue in server.queues)
        and not is_restricted(log.records(queued.record_id))
    )


def item_of(server: CoopServer, log: AuditLog, queued: Record, *, site: str) -> str:
    """Return the body that tells the server of a queued task.

    It is made when it is sent, so that nothing of a person waits anywhere but in the log. No
    picture goes along: Coop would have to fetch it from an address that needs no key.

    Args:
        server: Which.
        log: Where the record is.
        queued: The ``review.queued`` entry.
        site: Our public address, for a link to the record; empty for none.
    """
    queue, records = str(queued.public.get("queue")), log.records(queued.record_id)
    data: dict[str, Any] = {
        "record_id": queued.record_id,
        "queue": queue,
        "priority": queued.public.get("priority", 0),
        "received": records[0].time,
        "queued": queued.time,
        **_outcome(records),
    }
    if site:
        data["record_url"] = f"{site.rstrip('/')}/console/records/{queued.record_id}"
    if server.prompts or server.user_type is not None:
        data |= _content(server, log, records)
    item = {"id": queued.record_id, "typeId": server.item_type, "data": data}
    return json.dumps({"items": [item]}, separators=(",", ":"))


def _content(server: CoopServer, log: AuditLog, records: Sequence[Record]) -> dict[str, Any]:
    """Return what is encrypted in the log and goes along; that it was looked at is booked."""
    name = records[0].record_id
    reader = Actor(
        name=f"Coop at {server.url}", roles=frozenset({"investigator"}), tenant=server.tenant
    )
    try:
        view = log.desk(reader, purpose="a task is sent to Coop").view(name)
    except NotPermitted:
        return {}
    found: dict[str, Any] = {}
    first, content = view.private[0] or {}, log.content(records[0].index)
    if server.prompts:
        texts = first.get("texts")
        listed = texts if isinstance(texts, list) else [first.get("prompt")]
        found["prompt"] = "\n".join(text for text in listed if isinstance(text, str))
    if server.user_type is not None and content is not None and content.subject is not None:
        found["creator"] = {"id": content.subject, "typeId": server.user_type}
    return found


def _outcome(records: Sequence[Record]) -> dict[str, Any]:
    """Return what the guards said, from the public parts."""
    found: dict[str, Any] = {"decision": "open", "categories": []}
    for record in records:
        public = record.public
        if record.kind in {"request.refused", "request.completed", "moderation.completed"}:
            refused = record.kind == "request.refused"
            found["decision"] = "block" if refused else str(public.get("action", "allow"))
            listed = public.get("categories")
            found["categories"] = listed if isinstance(listed, list) else []
        if record.kind == "request.received" and public.get("model"):
            found["model"] = public["model"]
    return found


def rationale_of(action: str, *, policies: Sequence[str], by: str | None, note: str | None) -> str:
    """Return a callback's reasons in one text: the action, the policies, who, and their note."""
    under = f" under {', '.join(policies)}" if policies else ""
    text = f"Coop: {action}{under}{f' by {by}' if by else ''}{f': {note}' if note else ''}"
    return text[: RATIONALE.most]

"""The bytes of an entry: what the tree holds, and beside it what only its readers see.

A leaf of version 2 has two levels. The tree holds the first one, which goes into receipts and
public files: what happened, when, to which record, and the few members that whoever checks it must
see (``_SHOWN``). The second one holds the rest, tenant, seed, scores and timings for example, with
a salt that nobody can guess; the first one has its SHA-256. So a receipt discloses the least that
proves an entry, and whoever is given the second level can show that it belongs to it.

Both are stored as one value, with a line feed between, which canonical JSON never has. Leaves of
version 1, which logs of older versions hold, have one level and are hashed as they are.
"""

from __future__ import annotations

import json
import secrets
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Final

from chopmark.audit.log.canonical import canonical
from chopmark.audit.log.merkle import leaf_hash
from chopmark.errors import InvalidRequest, LogCorrupt

if TYPE_CHECKING:
    from chopmark.kit.types import JsonValue

__all__ = [
    "MAX_LEAF",
    "hash_of",
    "hidden_part",
    "is_whole",
    "pack_leaf",
    "parse_leaf",
    "tree_leaf",
]

# An entry of a tlog-tiles bundle carries its length in 16 bits (C2SP tlog-tiles, "Log Entries").
MAX_LEAF: Final = 65535
_SALT: Final = 16
_FEED: Final = b"\n"
_TEXTS: Final = ("event_id", "kind", "record_id", "time")

_SHOWN: Final[dict[str, tuple[str, ...]]] = {
    "access.exported": ("manifest_sha256",),
    "appeal.decided": ("outcome",),
    "clock.step": ("step_ms",),
    "erasure.completed": ("count",),
    "key.rotated": ("what", "before", "now"),
    "log.recovered": ("closed", "erasures"),
    "log.restored": ("signed_size", "signed_root", "size", "lost"),
    "manifest.removed": ("manifest_id",),
    "manifest.stored": ("manifest_id",),
    "policy.changed": ("before", "now"),
    "request.completed": ("outputs", "repeats"),
    "request.failed": ("code",),
    "request.refused": ("stage", "categories"),
    "retention.expired": ("count",),
    "review.decided": ("decision",),
}
"""Members of ``public`` on the first level, by kind; of a kind that is not named, none."""
_OF_OUTPUT: Final = ("output_id", "manifest_id")


def pack_leaf(
    members: dict[str, Any], *, commitment: bytes | None, salt: bytes | None = None
) -> bytes:
    """Return the stored bytes of an entry.

    Args:
        members: ``event_id``, ``kind``, ``public``, ``record_id``, ``tenant`` and ``time``.
        commitment: To the erasable part, where there is one.
        salt: 16 random bytes; drawn where they are not given.

    Raises:
        InvalidRequest: ``public`` is not canonical JSON, or too much of it.
    """
    public: dict[str, JsonValue] = members["public"]
    wanted = _SHOWN.get(members["kind"], ())
    shown = {name: public[name] for name in wanted if name in public}
    rest = {name: value for name, value in public.items() if name not in shown}
    if "outputs" in shown:
        rest["outputs"] = shown["outputs"]
        shown["outputs"] = _outputs(shown["outputs"])
    hidden = canonical(
        {
            "public": rest,
            "salt": (secrets.token_bytes(_SALT) if salt is None else salt).hex(),
            "tenant": members["tenant"],
        }
    )
    first: dict[str, JsonValue] = {name: members[name] for name in _TEXTS}
    first |= {"public": shown, "hidden": sha256(hidden).hexdigest(), "v": 2}
    # Sorted by canonical JSON, the commitment stands first: the walk finds it there by offset.
    if commitment is not None:
        first["commitment"] = commitment.hex()
    leaf = canonical(first) + _FEED + hidden
    if len(leaf) > MAX_LEAF:
        raise InvalidRequest(
            f"the public part makes a leaf of {len(leaf)} bytes; {MAX_LEAF} is the most",
            hint="put bulk into private, or log several events",
        )
    return leaf


def _outputs(value: JsonValue) -> JsonValue:
    """Return of each output what leads from a picture to the entry, and nothing else."""
    if not isinstance(value, list):
        return []
    return [
        {name: one[name] for name in _OF_OUTPUT if name in one}
        for one in value
        if isinstance(one, dict)
    ]


def tree_leaf(leaf: bytes) -> bytes:
    """Return of an entry's stored bytes those that the tree holds; safe to give to anybody.

    That goes for leaves of version 2; one of version 1 is all there is, and names its tenant.
    """
    return leaf.partition(_FEED)[0]


def hidden_part(leaf: bytes) -> bytes | None:
    """Return the second level of an entry's stored bytes, None where it has none."""
    _, feed, hidden = leaf.partition(_FEED)
    return hidden if feed else None


def hash_of(leaf: bytes) -> bytes:
    """Return the RFC 6962 leaf hash of an entry, from its stored bytes."""
    return leaf_hash(tree_leaf(leaf))


def is_whole(leaf: bytes) -> bool:
    """Tell whether an entry's second level, where it has one, is what its first commits to."""
    first, feed, hidden = leaf.partition(_FEED)
    return not feed or f'"hidden":"{sha256(hidden).hexdigest()}"'.encode() in first


def parse_leaf(leaf: bytes) -> dict[str, Any]:
    """Read an entry's members, of both levels where both are given.

    The first level alone, as receipts and public files have it, gives the tenant as an empty text
    and of ``public`` what is shown.

    Raises:
        LogCorrupt: The bytes are not a leaf of a log.
    """
    first, feed, hidden = leaf.partition(_FEED)
    members = _object(first)
    version = members.get("v")
    if version == 2:
        members["tenant"] = ""
        if feed:
            if sha256(hidden).hexdigest() != members.get("hidden"):
                raise LogCorrupt("an entry's second level is not the one that the tree commits to")
            rest = _object(hidden)
            public = rest.get("public")
            if not isinstance(public, dict) or not isinstance(members.get("public"), dict):
                raise LogCorrupt("an entry is not a leaf of this log")
            members["public"] |= public
            members["tenant"] = rest.get("tenant")
        members.pop("hidden", None)
    if (
        version not in {1, 2}
        or (feed and version == 1)
        or not isinstance(members.get("public"), dict)
        or not all(isinstance(members.get(name), str) for name in (*_TEXTS, "tenant"))
        or not isinstance(members.get("commitment", ""), str)
    ):
        raise LogCorrupt("an entry is not a leaf of this log")
    return members


def _object(data: bytes) -> dict[str, Any]:
    try:
        # Of bytes json guesses the encoding first, which takes as long as reading them.
        members = json.loads(data.decode())
    except (ValueError, RecursionError):
        members = None
    if not isinstance(members, dict):
        raise LogCorrupt("an entry is not a leaf of this log")
    return members

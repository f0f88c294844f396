"""Read a file's manifest, and with it what came later: a time stamp that we keep."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from chopmark.provenance import _native
from chopmark.provenance._examine import Examined, examine
from chopmark.provenance._identity import identity_of
from chopmark.provenance.report import AiSignal, CredentialFinding, ManifestFinding, TimeFinding
from chopmark.provenance.trust import TrustAnchors
from chopmark.provenance.xmp import read_xmp

if TYPE_CHECKING:
    from collections.abc import Callable

    from chopmark.provenance._formats import Limits
    from chopmark.provenance.interface import ManifestRepository

__all__ = ["read_manifest", "with_update", "without"]


def read_manifest(data: bytes, mime: str, trusted: TrustAnchors, bounds: Limits) -> Examined:
    """Return the axes that a file's manifest answers, whatever state it is in."""
    config = _native.settings(*trusted.native(), max_manifest_bytes=bounds.max_manifest_bytes)
    try:
        found = _native.read(data, mime, config)
    except _native.NoManifest:
        provenance = read_xmp(data).provenance
        if provenance:
            return without(ManifestFinding(state="remote_only", address=provenance[:2048]))
        return without(ManifestFinding(state="absent"))
    except _native.RemoteOnly as elsewhere:
        return without(ManifestFinding(state="remote_only", address=elsewhere.address[:2048]))
    except _native.NativeRefusal as refusal:
        return without(ManifestFinding(state="malformed", problems=(str(refusal)[:500],)))
    examined = examine(found, trusted, max_manifests=bounds.max_manifests)
    if examined.neighbour:
        # One of our CAs signed it, for somebody else: ask again what others say of that CA.
        others = tuple(one for one in trusted.lists if one.kind != "own" or not one.serials)
        return read_manifest(data, mime, TrustAnchors(lists=others), bounds)
    if examined.manifest.identity and examined.manifest.state == "intact":
        found_identity = identity_of(data, mime, trusted, bounds)
        examined = dataclasses.replace(examined, identity=found_identity)
    return examined


def with_update(
    examined: Examined,
    store: ManifestRepository,
    look_with: Callable[[bytes], Examined | None],
    notes: list[str],
) -> Examined:
    """Look with the time stamp that came after the picture had left, if we keep one for it.

    Args:
        examined: What the file's own manifest answers.
        store: Where later manifests are kept.
        look_with: Reads the file with another manifest.
        notes: Takes a sentence where there was one.
    """
    if examined.manifest.id is None or examined.time.state != "absent":
        return examined
    entry = store.entry(examined.manifest.id)
    update = store.get(entry.updated_by) if entry and entry.updated_by else None
    updated = look_with(update) if update is not None else None
    if updated is None:
        return examined
    same = updated.manifest.updates == examined.manifest.id
    if not same or updated.manifest.state != examined.manifest.state:
        return examined
    notes.append("Its time stamp was added after it had left, and is kept in our store.")
    return updated


def without(finding: ManifestFinding) -> Examined:
    """Return the axes where no manifest answers anything."""
    return Examined(
        manifest=finding,
        credential=CredentialFinding(state="absent"),
        time=TimeFinding(state="absent"),
        ai_signal=AiSignal(state="none"),
        ingredients=(),
        ancestor_outputs=frozenset(),
        pixels_sha256=None,
        action=None,
    )

"""What the desk withdrew is offered to nobody: its manifests stay in the store, and out of sight.

They are not deleted, since a withdrawal can be taken back, and verify must still know a picture of
ours to say that it is withdrawn.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from chopmark.errors import InvalidRequest, OutputWithdrawn, RecordNotFound
from chopmark.kit.ids import record_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from chopmark.pipeline.parts import Parts
    from chopmark.provenance import ManifestRepository
    from chopmark.provenance.store import ManifestMatch, StoredManifest

__all__ = ["StandingManifests", "refuse_withdrawn", "standing_manifests", "withdrawn"]


def withdrawn(parts: Parts, any_id: str) -> str | None:
    """Return since when the pictures of a record or output are withdrawn, None while they stand.

    A record that gave the pictures of an earlier one again falls with that.

    Raises:
        LogUnavailable: It cannot be told.
    """
    from chopmark.audit import withdrawn_at

    try:
        records = parts.request_log.records(record_of(any_id))
    except (RecordNotFound, InvalidRequest):
        return None
    since = withdrawn_at(records)
    repeated = next(
        (record.public["repeats"] for record in records if "repeats" in record.public), None
    )
    if since is None and isinstance(repeated, str):
        return withdrawn(parts, repeated)
    return since


def refuse_withdrawn(parts: Parts, any_id: str) -> None:
    """Let pass what stands.

    Raises:
        OutputWithdrawn: The desk withdrew it.
        LogUnavailable: It cannot be told.
    """
    since = withdrawn(parts, any_id)
    if since is not None:
        raise OutputWithdrawn(
            f"output {any_id} was withdrawn at {since}", hint="ask for another picture"
        )


def standing_manifests(parts: Parts) -> ManifestRepository:
    """Return the manifest store without what was withdrawn."""
    return cast("ManifestRepository", StandingManifests(parts))


class StandingManifests:
    """The manifest store, as whoever looks for a lost manifest sees it.

    Args:
        parts: Whose store, and whose log says what is withdrawn.
    """

    def __init__(self, parts: Parts) -> None:
        self._parts, self._store = parts, parts.store

    def __getattr__(self, name: str) -> object:
        """Hand on what does not lead to a manifest."""
        return getattr(self._store, name)

    def get(self, manifest_id: str) -> bytes | None:
        """Return a manifest store's bytes (JUMBF), or None."""
        return self._store.get(manifest_id) if self._stands(self.entry(manifest_id)) else None

    def entry(self, manifest_id: str) -> StoredManifest | None:
        """Return what is known of a manifest, or None."""
        # Also of what is withdrawn: who uploads or removes one must not take its name for free.
        return self._store.entry(manifest_id)

    def by_output(self, output_id: str) -> StoredManifest | None:
        """Return the newest manifest of an output id, or None."""
        found = self._store.by_output(output_id)
        return found if self._stands(found) else None

    def by_pdq(self, pdq: str, *, max_distance: int = 31) -> Sequence[ManifestMatch]:
        """Return manifests whose fingerprints are near."""
        found = self._store.by_pdq(pdq, max_distance=max_distance)
        return [match for match in found if self._stands(match.entry)]

    def by_binding(self, alg: str, value: str) -> Sequence[str]:
        """Return the manifest ids that a soft-binding value was bound to."""
        found = self._store.by_binding(alg, value)
        return [name for name in found if self._stands(self.entry(name))]

    def _stands(self, entry: StoredManifest | None) -> bool:
        if entry is None:
            return True  # an update (a time stamp) of one, or none: nothing that could be withdrawn
        name = entry.output_id or entry.record_id
        return not name or withdrawn(self._parts, name) is None

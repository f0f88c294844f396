"""What the room needs of a manifest store and of a credential, whoever brings them.

`ManifestStore` and `CredentialSource` are ours; a plugin may bring its own of either (a store in an
object storage, a credential from a key service), which then has these methods.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

    from chopmark.provenance.credential import Credential
    from chopmark.provenance.store import ManifestMatch, StoredManifest

__all__ = ["CredentialProvider", "ManifestRepository"]


class CredentialProvider(Protocol):
    """Whatever knows the signing credential of this moment. Called from several threads at once."""

    def current(self) -> Credential:
        """Return the credential to sign with now; asked for each picture, so it must be quick.

        Raises:
            CredentialRefused: There is none that verifiers would accept.
        """


class ManifestRepository(Protocol):
    """Where manifests are kept and found again. Called from several threads at once.

    Each method raises ``ConfigurationError`` where the store cannot be read or written.
    """

    def put(
        self,
        *,
        manifest_id: str,
        manifest: bytes,
        output_id: str = "",
        record_id: str = "",
        pdq: str = "",
        signed_sha256: str = "",
    ) -> None:
        """Keep a manifest; durable when this returns. The same id twice replaces the first.

        Args:
            manifest_id: ``urn:c2pa:...``.
            manifest: The manifest store, JUMBF.
            output_id: What the watermark carries.
            record_id: Where the log has it.
            pdq: PDQ hash, 64 hex digits.
            signed_sha256: Of the signed file, hex.
        """

    def put_update(self, manifest_id: str, update_id: str, manifest: bytes) -> None:
        """Keep a later manifest store (a time stamp, say) beside the one that it updates."""

    def delete(self, manifest_id: str) -> None:
        """Forget a manifest, what updates it, and its bindings, if it is known."""

    def bind(self, alg: str, value: str, manifest_id: str, *, replace: bool = False) -> None:
        """Lead from a soft-binding value (base64) to a manifest; with ``replace`` to no other."""

    def get(self, manifest_id: str) -> bytes | None:
        """Return a manifest store's bytes (JUMBF), or None."""

    def entry(self, manifest_id: str) -> StoredManifest | None:
        """Return what is known of a manifest, or None."""

    def by_output(self, output_id: str) -> StoredManifest | None:
        """Return the newest manifest of an output id, or None."""

    def by_pdq(self, pdq: str, *, max_distance: int = 31) -> Sequence[ManifestMatch]:
        """Return up to ten manifests whose fingerprints are near (bits of 256), nearest first."""

    def by_binding(self, alg: str, value: str) -> Sequence[str]:
        """Return the manifest ids that a soft-binding value (base64) was bound to."""

    def output_ids(self) -> Sequence[str]:
        """Return every output id once: what a watermark may say in known-id detection."""

    def count(self) -> int:
        """Return how many manifests are kept."""

    def close(self) -> None:
        """Let go of files and connections. Idempotent."""

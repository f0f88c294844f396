"""Time stamps (RFC 3161): that a signature is older than the end of its certificate.

An authority that is down must not stop a picture. So the stamp is asked for while signing, within
a time; what did not get one waits in a durable queue, and gets an update manifest (C2PA 2.4,
11.2.3, with a ``c2pa.time-stamp`` assertion) in our manifest store. `verify` finds it there. Where
the signing certificate names an OCSP responder, its answer is kept in the same update manifest.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from chopmark.errors import ChopmarkError, SigningFailed
from chopmark.kit.files import make_private_folder, write_private
from chopmark.provenance import _native
from chopmark.provenance._c2pa_signer import make_signer
from chopmark.provenance._formats import mime_of, sniff
from chopmark.provenance.timestamp_authority import host_of
from chopmark.provenance.trust import TrustAnchors

if TYPE_CHECKING:
    from pathlib import Path

    from chopmark.provenance.credential import Credential
    from chopmark.provenance.interface import ManifestRepository
    from chopmark.provenance.signed import Signed
    from chopmark.provenance.timestamp_authority import TimestampAuthority

__all__ = ["QueueRun", "TimestampQueue"]

_QUEUE_WAIT: Final = 30.0
# One file that cannot be stamped must not keep the others waiting; an authority that is down should
# not be asked a hundred times.
_MAX_FAILURES: Final = 3


@dataclass(frozen=True, kw_only=True)
class QueueRun:
    """What one run of the queue did.

    Attributes:
        stamped: Manifests that have a time now.
        failed: Tried and not stamped; they stay.
        left: Still waiting, those included.
        reason: Of the first failure.
    """

    stamped: int
    failed: int
    left: int
    reason: str = ""


class TimestampQueue:
    """Signed files that wait for a time stamp, under ``home/manifests/unstamped``.

    The file has to wait, since an update manifest is made over it; it is deleted once stamped.
    """

    def __init__(self, home: Path, store: ManifestRepository) -> None:
        self._folder = home / "manifests" / "unstamped"
        self._store = store
        make_private_folder(self._folder)

    def add(self, signed: Signed) -> None:
        """Let a signed file wait; durable when this returns."""
        name = hashlib.sha256(signed.manifest_id.encode()).hexdigest()
        write_private(self._folder / name, signed.manifest_id.encode() + b"\n" + signed.data)

    def waiting(self) -> int:
        """Return how many wait."""
        return len(self._paths())

    def run(
        self, authority: TimestampAuthority, credential: Credential, *, limit: int = 100
    ) -> QueueRun:
        """Stamp up to ``limit`` files, those that were tried longest ago first.

        Ends early after three failures. The credential may be a newer one than the picture's.
        """
        stamped, failed, reason = 0, 0, ""
        paths = sorted(self._paths(), key=lambda path: path.stat().st_mtime_ns)
        authority.forgive()
        for path in paths[:limit]:
            try:
                manifest_id, _, data = path.read_bytes().partition(b"\n")
                update_id, update = authority.ask(
                    lambda url, data=data: _update(data, url, credential),  # type: ignore[misc]
                    timeout_s=_QUEUE_WAIT,
                )
                self._store.put_update(manifest_id.decode(), update_id, update)
            except FileNotFoundError:  # another process was quicker
                continue
            except (ChopmarkError, OSError, ValueError) as error:
                failed += 1
                reason = reason or str(error)
                with contextlib.suppress(OSError):
                    os.utime(path)
                if failed >= _MAX_FAILURES:
                    break
                authority.forgive()
                continue
            path.unlink(missing_ok=True)
            stamped += 1
        return QueueRun(stamped=stamped, failed=failed, left=self.waiting(), reason=reason)

    def _paths(self) -> list[Path]:
        return [path for path in self._folder.iterdir() if not path.name.startswith(".")]


def _update(data: bytes, url: str, credential: Credential) -> tuple[str, bytes]:
    """Return the id and the bytes of a manifest store with a stamped update manifest on top."""
    import c2pa

    kind = sniff(data)
    if kind is None:
        raise SigningFailed("a file in the time-stamp queue is no picture")
    mime = mime_of(kind)
    responders = _responders(credential)
    config = _native.settings(
        *TrustAnchors.of(credential).native(), hosts=(host_of(url), *responders)
    )
    config["builder"]["auto_timestamp_assertion"] = {
        "enabled": True,
        "skip_existing": True,
        "fetch_scope": "all",
    }
    if responders:
        # What the certificate's OCSP responder says now goes into the update manifest too
        # (C2PA 2.4, 15.10.2): nobody who verifies needs to ask it.
        config["builder"]["certificate_status_fetch"] = "all"
        config["builder"]["certificate_status_should_override"] = True
    failure: list[BaseException] = []
    try:
        builder = c2pa.Builder(
            {
                "claim_version": 2,
                "claim_generator_info": [{"name": "Chopmark time stamps", "specVersion": "2.4.0"}],
            },
            context=_native.context(config),
        )
        builder.set_intent(c2pa.C2paBuilderIntent.UPDATE)
        builder.add_ingredient({"relationship": "parentOf"}, mime, io.BytesIO(data))
        signer = make_signer(credential, failure, url)
        manifest: bytes = builder.sign(signer, mime, io.BytesIO(data), io.BytesIO())
    except c2pa.C2paError as error:
        raise SigningFailed(str(failure[0] if failure else error)) from error
    read = _native.read(data, mime, _native.settings(), manifest=manifest)
    return str(read["active_manifest"]), manifest


def _responders(credential: Credential) -> tuple[str, ...]:
    """Return the hosts of the OCSP responders that the signing certificate names."""
    from cryptography import x509
    from cryptography.x509.oid import AuthorityInformationAccessOID

    try:
        access = credential.leaf.extensions.get_extension_for_class(x509.AuthorityInformationAccess)
    except x509.ExtensionNotFound:
        return ()
    ocsp = AuthorityInformationAccessOID.OCSP
    return tuple(
        host_of(str(one.access_location.value))
        for one in access.value
        if one.access_method == ocsp
        and isinstance(one.access_location, x509.UniformResourceIdentifier)
    )

"""Sign a picture, and read back at once what was signed."""

from __future__ import annotations

import io
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from chopmark.errors import ChopmarkError, ManifestUnreadable, SigningFailed
from chopmark.provenance import _native
from chopmark.provenance._c2pa_signer import make_signer
from chopmark.provenance._formats import MIME, sniff
from chopmark.provenance.inputs import read_ingredient
from chopmark.provenance.manifest import ManifestInfo, definition, ingredient
from chopmark.provenance.trust import TrustAnchors

if TYPE_CHECKING:
    from chopmark.kit.types import ImageFormat
    from chopmark.provenance.credential import Credential
    from chopmark.provenance.timestamp_authority import TimestampAuthority

__all__ = ["Signed", "sign"]

# Nobody but us need know our root: this one failure says nothing about the file.
_HARMLESS = frozenset({"signingCredential.untrusted"})


@dataclass(frozen=True, kw_only=True)
class Signed:
    """A signed picture.

    Attributes:
        data: The file.
        manifest_id: ``urn:c2pa:...`` of its active manifest.
        manifest: The whole manifest store (JUMBF), for the `ManifestStore`.
        time_stamped: A time-stamping authority has stamped the signature.
    """

    data: bytes = field(repr=False)
    manifest_id: str
    manifest: bytes = field(repr=False)
    time_stamped: bool = False


def sign(
    data: bytes,
    fmt: ImageFormat,
    info: ManifestInfo,
    credential: Credential,
    *,
    authority: TimestampAuthority | None = None,
) -> Signed:
    """Sign an encoded picture and check the result: signature, asset hash, every assertion.

    May be called from several threads at once; the native code releases the GIL.

    Args:
        data: The encoded file, XMP already in it: nothing may touch it afterwards.
        fmt: Its format.
        info: What the manifest says.
        credential: Who says it.
        authority: Stamps the time of the signature, which adds about 9 kB. One that does not
            answer in time does not stop the signing: ``time_stamped`` is then False, and the
            `TimestampQueue` does it later.

    Raises:
        SigningFailed: The manifest cannot be made, or the signer failed.
        ManifestUnreadable: What was signed does not read back as intact.
    """
    if sniff(data) != fmt:
        raise SigningFailed(f"the data is {sniff(data) or 'no picture'}, not {fmt}")
    declared, anchors = definition(info), TrustAnchors.of(credential)
    config = _native.settings(*anchors.native())
    inputs = _inputs(info, anchors)
    declared["ingredients"] = [entry for entry, _ in inputs]
    job = _Job(
        data=data,
        mime=MIME[fmt],
        definition=declared,
        resources={
            entry["manifest_data"]["identifier"]: manifest
            for entry, manifest in inputs
            if manifest is not None
        },
        credential=credential,
        config=config,
    )
    done = authority.within_its_time(job.run) if authority is not None else None
    signed, manifest = done or job.run(None)
    return Signed(
        data=signed,
        manifest_id=_read_back(signed, MIME[fmt], config),
        manifest=manifest,
        time_stamped=done is not None,
    )


@dataclass(frozen=True, kw_only=True)
class _Job:
    data: bytes
    mime: str
    definition: dict[str, Any]
    resources: dict[str, bytes]
    credential: Credential
    config: dict[str, Any]

    def run(self, tsa_url: str | None) -> tuple[bytes, bytes]:
        """Return the signed file and its manifest store."""
        import c2pa

        failure: list[BaseException] = []
        out = io.BytesIO()
        try:
            builder = c2pa.Builder(self.definition, context=_native.context(self.config))
            for name, content in self.resources.items():
                builder.add_resource(name, io.BytesIO(content))
            signer = make_signer(self.credential, failure, tsa_url)
            manifest: bytes = builder.sign(signer, self.mime, io.BytesIO(self.data), out)
        except c2pa.C2paError as error:
            # The library swallows what a callback raises; it was kept, and is the real reason.
            cause = failure[0] if failure else error
            if isinstance(cause, ChopmarkError):
                raise cause from error
            raise SigningFailed(
                f"the manifest could not be signed: {cause}",
                hint="`chopmark doctor` checks the credential",
            ) from cause
        return out.getvalue(), manifest


def _inputs(info: ManifestInfo, anchors: TrustAnchors) -> list[tuple[dict[str, Any], bytes | None]]:
    """Return the pictures that came in, each with its manifest store (JUMBF) where it has one.

    A file, which a program may give instead of an `InputIngredient`, is read here, where the key
    is.
    """
    if info.parent is None:
        return []
    shown = [
        read_ingredient(one, anchors) if isinstance(one, bytes) else one
        for one in (info.parent, *info.references)
    ]
    return [(ingredient(info, number, one), one.manifest) for number, one in enumerate(shown)]


def _read_back(signed: bytes, mime: str, config: dict[str, object]) -> str:
    try:
        found = _native.read(signed, mime, config)
    except (_native.NoManifest, _native.RemoteOnly, _native.NativeRefusal) as error:
        raise ManifestUnreadable(f"the signed file does not read back: {error}") from error
    results = found.get("validation_results", {}).get("activeManifest", {})
    codes = [one["code"] for one in results.get("failure", []) if one["code"] not in _HARMLESS]
    passed = {one["code"] for one in results.get("success", [])}
    bound = {"assertion.dataHash.match", "assertion.bmffHash.match", "assertion.boxesHash.match"}
    if codes or "claimSignature.validated" not in passed or not passed & bound:
        raise ManifestUnreadable(
            f"the signed file does not validate: {', '.join(codes) or 'checks are missing'}",
            hint="was the key changed while its certificate was not?",
        )
    return str(found["active_manifest"])

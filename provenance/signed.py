"""Sign a picture, and read back at once what was signed."""

from __future__ import annotations

import io
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from chopmark.errors import (
    ChopmarkError,
    ManifestUnreadable,
    SigningFailed,
    UnsupportedImage,
)
from chopmark.provenance import _native
from chopmark.provenance._c2pa_signer import make_signer
from chopmark.provenance._formats import MIME, mime_of, sniff
from chopmark.provenance.manifest import ManifestInfo, definition, ingredient
from chopmark.provenance.reattachment import remove
from chopmark.provenance.trust import TrustAnchors

if TYPE_CHECKING:
    import c2pa

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
    config = _native.settings(*TrustAnchors.of(credential).native())
    job = _Job(data=data, mime=MIME[fmt], info=info, credential=credential, config=config)
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
    info: ManifestInfo
    credential: Credential
    config: dict[str, Any]

    def run(self, tsa_url: str | None) -> tuple[bytes, bytes]:
        """Return the signed file and its manifest store."""
        import c2pa

        failure: list[BaseException] = []
        out = io.BytesIO()
        try:
            builder = c2pa.Builder(definition(self.info), context=_native.context(self.config))
            if self.info.parent is not None:
                shown = (self.info.parent, *self.info.references)
                for number, data in enumerate(shown):
                    _add_input(builder, self.info, number, data, self.config)
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


def _add_input(
    builder: c2pa.Builder, info: ManifestInfo, number: int, data: bytes, config: dict[str, object]
) -> None:
    kind = sniff(data)
    if kind is None:
        raise SigningFailed("an input picture is of no format that a manifest can name")
    mime = mime_of(kind)  # what a client called it is not looked at
    try:
        _native.read(data, mime, config)
        says = ""
    except _native.NoManifest:
        says = "The input picture carried no C2PA manifest."
    except _native.RemoteOnly:
        says = "The input picture named a remote C2PA manifest, which was not fetched."
        data = _without_manifest(data)
    except _native.NativeRefusal:
        # Nobody can read that history, so none is lost; the edit need not fail for it.
        says = "The input picture carried a C2PA manifest that could not be read."
        data = _without_manifest(data)
    builder.add_ingredient(ingredient(info, number, says=says), mime, io.BytesIO(data))


def _without_manifest(data: bytes) -> bytes:
    try:
        return remove(data)
    except UnsupportedImage:  # the library has the last word on the other formats
        return data


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

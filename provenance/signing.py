"""Sign a picture, and read back at once what was signed."""

from __future__ import annotations

import io
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from chopmark.errors import (
    ChopmarkError,
    ManifestUnreadable,
    SigningFailed,
    UnsupportedImage,
)
from chopmark.provenance import _native
from chopmark.provenance._formats import MIME, mime_of, sniff
from chopmark.provenance.manifest import ManifestInfo, definition, ingredient
from chopmark.provenance.reattaching import remove
from chopmark.provenance.trust import TrustAnchors

if TYPE_CHECKING:
    from collections.abc import Callable

    import c2pa

    from chopmark.provenance.credential import Credential
    from chopmark.types import ImageFormat

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
    """

    data: bytes = field(repr=False)
    manifest_id: str
    manifest: bytes = field(repr=False)


def sign(data: bytes, fmt: ImageFormat, info: ManifestInfo, credential: Credential) -> Signed:
    """Sign an encoded picture and check the result: signature, asset hash, every assertion.

    May be called from several threads at once; the native code releases the GIL.

    Args:
        data: The encoded file, XMP already in it: nothing may touch it afterwards.
        fmt: Its format.
        info: What the manifest says.
        credential: Who says it.

    Raises:
        SigningFailed: The manifest cannot be made, or the signer failed.
        ManifestUnreadable: What was signed does not read back as intact.
    """
    if sniff(data) != fmt:
        raise SigningFailed(f"the data is {sniff(data) or 'no picture'}, not {fmt}")
    anchors = TrustAnchors.of(credential).native()
    config = _native.settings(*anchors)
    out = io.BytesIO()
    manifest = _sign(data, out, MIME[fmt], info, credential, config)
    signed = out.getvalue()
    return Signed(data=signed, manifest_id=_read_back(signed, MIME[fmt], config), manifest=manifest)


def _sign(
    data: bytes,
    out: io.BytesIO,
    mime: str,
    info: ManifestInfo,
    credential: Credential,
    config: dict[str, object],
) -> bytes:
    import c2pa

    failure: list[BaseException] = []
    try:
        builder = c2pa.Builder(definition(info), context=_native.context(config))
        if info.parent is not None:
            _add_parent(builder, info, config)
        signer = _signer(credential, failure)
        manifest: bytes = builder.sign(signer, mime, io.BytesIO(data), out)
    except c2pa.C2paError as error:
        # The library swallows what a callback raises; it was kept, and is the real reason.
        cause = failure[0] if failure else error
        if isinstance(cause, ChopmarkError):
            raise cause from error
        raise SigningFailed(
            f"the manifest could not be signed: {cause}",
            hint="`chopmark doctor` checks the credential",
        ) from cause
    return manifest


def _signer(credential: Credential, failure: list[BaseException]) -> c2pa.Signer:
    import c2pa

    if credential.key_pem is not None:
        return _native.native_signer(credential.alg, credential.chain_pem, credential.key_pem)

    def callback(data: bytes) -> bytes:
        try:
            return credential.signer.sign(data)
        except BaseException as error:
            failure.append(error)
            raise

    call: Callable[[bytes], bytes] = callback
    return c2pa.Signer.from_callback(
        call, c2pa.C2paSigningAlg[credential.alg.upper()], credential.chain_pem
    )


def _add_parent(builder: c2pa.Builder, info: ManifestInfo, config: dict[str, object]) -> None:
    parent = info.parent or b""
    kind = sniff(parent)
    if kind is None:
        raise SigningFailed("the input picture is of no format that a manifest can name")
    mime = info.parent_mime or mime_of(kind)
    try:
        _native.read(parent, mime, config)
        says = ""
    except _native.NoManifest:
        says = "The input picture carried no C2PA manifest."
    except _native.RemoteOnly:
        says = "The input picture named a remote C2PA manifest, which was not fetched."
        parent = _without_manifest(parent)
    except _native.Refused:
        # Nobody can read that history, so none is lost; the edit need not fail for it.
        says = "The input picture carried a C2PA manifest that could not be read."
        parent = _without_manifest(parent)
    builder.add_ingredient(ingredient(info, says=says), mime, io.BytesIO(parent))


def _without_manifest(parent: bytes) -> bytes:
    try:
        return remove(parent)
    except UnsupportedImage:  # the library has the last word on the other formats
        return parent


def _read_back(signed: bytes, mime: str, config: dict[str, object]) -> str:
    try:
        found = _native.read(signed, mime, config)
    except (_native.NoManifest, _native.RemoteOnly, _native.Refused) as error:
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

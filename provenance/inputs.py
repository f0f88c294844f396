"""What an input picture says of itself, read once, and away from the key that signs the edit.

The picture that an edit starts from is a stranger's file. `read_ingredient` has the native library
take it apart (container, XMP, manifest store, signatures) and returns what a manifest needs to know
of it as plain values. Whoever signs then sees no picture file: the library is given JSON with the
fields that `InputIngredient.fields` lets through, and the manifest store's bytes (JUMBF), which it
copies into the new store.
"""

from __future__ import annotations

import io
import json
from typing import TYPE_CHECKING, Any, Final

from chopmark.errors import ChopmarkError, SigningFailed, UnsupportedImage
from chopmark.kit.pictures import KINDS
from chopmark.provenance import _native
from chopmark.provenance._formats import MIME, Limits, mime_of, open_image, sniff
from chopmark.provenance._json import as_dict, as_list, as_text
from chopmark.provenance._png import png_bytes
from chopmark.provenance.manifest import InputIngredient
from chopmark.provenance.reattachment import remove

if TYPE_CHECKING:
    from chopmark.provenance.trust import TrustAnchors

__all__ = ["read_ingredient"]

_NAME: Final = "input"


def read_ingredient(data: bytes, anchors: TrustAnchors) -> InputIngredient:
    """Return what a picture says of itself. Needs no key, opens no connection.

    Args:
        data: The picture's file, as it came in.
        anchors: Whom to believe: our own certificates, so that our own pictures are known.

    Raises:
        SigningFailed: The bytes are of no format that a manifest can name.
    """
    import c2pa

    kind = sniff(data)
    if kind is None:
        raise SigningFailed("an input picture is of no format that a manifest can name")
    mime = mime_of(kind)  # what a client called it is not looked at
    config = _native.settings(*anchors.native())
    if mime in _native.readable():
        data, says = _readable(data, mime, config)
    else:
        data, mime, says = _as_png(data, kind)
    # The library alone knows what it wants to hear again: it takes the file in, writes what it has
    # found into an archive of its own, and reads us that.
    archive = io.BytesIO()
    shared = _native.context(config)
    try:
        with c2pa.Builder({"claim_version": 2, "assertions": []}, context=shared) as builder:
            named = {"title": _NAME, "relationship": "inputTo", "label": _NAME}
            builder.add_ingredient(named, mime, io.BytesIO(data))
            builder.write_ingredient_archive(_NAME, archive)
        archive.seek(0)
        with c2pa.Reader("application/c2pa", archive, context=shared) as reader:
            store = as_dict(json.loads(reader.json()))
            active = as_dict(as_dict(store.get("manifests")).get(str(store.get("active_manifest"))))
            found = as_dict(next(iter(as_list(active.get("ingredients"))), None))
            manifest = _manifest_of(found, reader)
    except (c2pa.C2paError, ValueError) as error:
        raise SigningFailed(
            f"an input picture cannot be named in a manifest: {error}",
            hint="save it anew, or send it in another format",
        ) from error
    return InputIngredient(found=json.dumps(found), manifest=manifest, says=says)


def _readable(data: bytes, mime: str, config: dict[str, object]) -> tuple[bytes, str]:
    """Return the file without a manifest that is of no use, and what is to be said about that."""
    try:
        _native.read(data, mime, config)
    except _native.NoManifest:
        return data, "The input picture carried no C2PA manifest."
    except _native.RemoteOnly:
        says = "The input picture named a remote C2PA manifest, which was not fetched."
    except _native.NativeRefusal:
        # Nobody can read that history, so none is lost; the edit need not fail for it.
        says = "The input picture carried a C2PA manifest that could not be read."
    else:
        return data, ""
    try:
        return remove(data), says
    except UnsupportedImage:  # the library has the last word on the other formats
        return data, says


def _as_png(data: bytes, kind: str) -> tuple[bytes, str, str]:
    """Return the same pixels in a format that a manifest can name, and what is to be said."""
    try:
        picture = open_image(data, Limits())
    except ChopmarkError as error:
        raise SigningFailed(f"an input picture cannot be read: {error.message}") from error
    says = f"The input picture was {KINDS[kind].words}, which carries no C2PA manifest."
    return png_bytes(picture), MIME["png"], says


def _manifest_of(found: dict[str, Any], reader: Any) -> bytes | None:
    name = as_text(as_dict(found.get("manifest_data")).get("identifier"))
    if name is None:
        return None
    out = io.BytesIO()
    reader.resource_to_stream(name, out)
    return out.getvalue()

"""Steps 5 and 6 for one picture: the mark struck and read back, then the manifest, signed last.

The order is not free. The label is drawn before the mark, so that the mark lies over it; the mark
is read back from the pixels that the file has, since it is the encoding that may destroy it; and
the manifest comes last, since it signs whatever stands in the file by then.

`mark` and `sign` need keys and settings and nothing else: no database, no generator, no foreign
bytes. What goes into them and comes out are plain values, so that they run in a process of their
own as well. `read_inputs` needs no key and takes strangers' files apart; `keep` writes to the
manifest store.
"""

from __future__ import annotations

import hashlib
import logging
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from chopmark import errors
from chopmark.kit import ids
from chopmark.pipeline.request import EditRequest, SealRequest

if TYPE_CHECKING:
    from collections.abc import Sequence

    from PIL import Image

    from chopmark.generation import ModelInfo
    from chopmark.kit.types import ImageFormat
    from chopmark.pipeline.maker import Maker
    from chopmark.pipeline.parts import Parts
    from chopmark.pipeline.request import GenerationRequest
    from chopmark.provenance import InputIngredient, MarkResult, Signed

__all__ = ["Marked", "SealedFile", "earlier_mark", "keep", "mark", "read_inputs", "sign"]

_LOG = logging.getLogger(__name__)
# The encoder's own, and what is tried after it.
_QUALITIES: Final = (None, 97, 100)


@dataclass(frozen=True, slots=True, kw_only=True)
class Marked:
    """An encoded file that carries its mark, and all that later steps ask of its pixels.

    Attributes:
        encoded: The file, without metadata.
        width: In pixels.
        height: In pixels.
        pdq: Fingerprint of the marked picture, 64 hex digits.
        pixels_sha256: `chopmark.provenance.pixel_digest` of the file's pixels.
    """

    encoded: bytes = field(repr=False)
    width: int
    height: int
    pdq: str
    pixels_sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SealedFile:
    """A file with mark, metadata and manifest; its manifest is kept.

    Attributes:
        data: The file's bytes.
        manifest_id: Label of the C2PA manifest inside ``data``.
        pdq: Fingerprint of the marked picture, 64 hex digits.
    """

    data: bytes = field(repr=False)
    manifest_id: str
    pdq: str


def read_inputs(
    parts: Parts, request: GenerationRequest | SealRequest
) -> tuple[InputIngredient, ...]:
    """Return what an edit's pictures say of themselves, in their order; nothing for a creation.

    A picture to seal is one only where it has a manifest of its own: else it begins here.

    Args:
        parts: What parses foreign files, and our own certificates.
        request: Whose pictures are read.

    Raises:
        SigningFailed: A picture is of no format that a manifest can name.
    """
    from chopmark.provenance import TrustAnchors
    from chopmark.provenance._formats import own_format

    if not isinstance(request, EditRequest | SealRequest):
        return ()
    anchors = TrustAnchors.of(parts.credential)
    if isinstance(request, SealRequest):
        # What we read and cannot name in a manifest has none of its own either.
        if own_format(request.image) is None:
            return ()
        found = parts.files.ingredient(request.image, anchors)
        return () if found.manifest is None else (found,)
    return tuple(parts.files.ingredient(data, anchors) for data in request.pictures)


def earlier_mark(
    parts: Parts,
    picture: Image.Image,
    request: GenerationRequest | SealRequest,
    inputs: Sequence[InputIngredient],
) -> MarkResult | None:
    """Return a mark of ours that a picture carries before it gets its own, if it may have one.

    A picture to seal is as somebody sent it, and an edit within a mask leaves most pixels alone.

    Raises:
        AlreadyMarked: A picture to seal has our mark, and no manifest that says where it is from.
    """
    sealing = isinstance(request, SealRequest)
    if not sealing and not (isinstance(request, EditRequest) and request.mask is not None):
        return None
    found = parts.pixels.mark(picture, [parts.settings.mark_method])
    if not found.detected:
        return None
    if sealing and not inputs:
        # Under a new mark nobody would find out what it is: a picture made here could be passed
        # off as another generator's.
        raise errors.AlreadyMarked(
            "the picture carries a mark of this installation already",
            hint="send the file as it was released: with its manifest it becomes an ingredient",
            param="image",
        )
    return found


def mark(
    parts: Parts,
    picture: Image.Image,
    request: GenerationRequest | SealRequest,
    *,
    output_id: str,
    format: ImageFormat,  # noqa: A002  the field's name
    earlier: MarkResult | None = None,
) -> Marked:
    """Draw the label if there is one, strike the watermark, encode, and read the mark back.

    Args:
        parts: With the keys.
        picture: RGB.
        request: What was asked for.
        output_id: What the mark is to say, 16 hex digits.
        format: Of the file.
        earlier: From `earlier_mark`; it is taken back first, since of two marks with one key
            readers find either.

    Raises:
        MarkTooWeak: The caller's size or quality leaves no room for the mark.
        MarkNotReadable: The same with our own size and quality: our failure, not theirs.
    """
    from chopmark.provenance import detect_mark, draw_label, embed_mark, fingerprint, pixel_digest
    from chopmark.provenance.encode import encode_with_pixels

    if earlier is not None:
        picture = _taken_back(parts, picture, earlier)
    if parts.label is not None:
        picture = draw_label(picture, parts.label, modified=_is_modified(parts, request))
    method, key = parts.settings.mark_method, parts.mark_keys.active
    payload = bytes.fromhex(output_id)
    marked = embed_mark(picture, payload, key=key, method=method, read_back=False)
    # Flat pictures may lose a mark at a quality that others keep it at. Where nobody chose one, a
    # higher one is no loss.
    for quality in (request.quality,) if request.quality is not None else _QUALITIES:
        file = encode_with_pixels(marked, format, quality=quality)
        found = detect_mark(file.picture, keys=[key], methods=[method])
        if (found.detected and found.payload == payload) or format == "png":
            break
    if not found.detected or found.payload != payload:
        # What no file could carry is said first: this raises where the bare pixels fail as well.
        try:
            embed_mark(picture, payload, key=key, method=method)
        except errors.MarkNotReadable as error:
            if isinstance(request, SealRequest):  # the picture is the caller's, and stays as it is
                raise errors.MarkTooWeak(error.message, hint=error.hint) from error
            raise
        chosen = (
            isinstance(request, SealRequest)
            or request.quality is not None
            or request.size is not None
        )
        raise (errors.MarkTooWeak if chosen else errors.MarkNotReadable)(
            f"output {output_id}: the {method} watermark did not survive encoding as {format}",
            hint="a higher quality, a lossless format or a larger picture carries it",
        )
    _LOG.debug("the mark of output %s was read back (%s)", output_id, method)
    pdq, _ = fingerprint(file.pixels)
    return Marked(
        encoded=file.data,
        width=file.picture.width,
        height=file.picture.height,
        pdq=pdq,
        pixels_sha256=pixel_digest(file.pixels),
    )


def _is_modified(parts: Parts, request: GenerationRequest | SealRequest) -> bool:
    """Tell whether a model changed a picture that was there, as the manifest says it too."""
    if isinstance(request, SealRequest):
        return parts.settings.seal_source_type != "trainedAlgorithmicMedia"
    return isinstance(request, EditRequest)


def _taken_back(parts: Parts, picture: Image.Image, earlier: MarkResult) -> Image.Image:
    from chopmark.provenance.watermark import without_mark

    key = next((key for key in parts.mark_keys.all if key.key_id == earlier.key_id), None)
    if key is None:
        return picture
    bare = without_mark(picture.convert("RGB"), earlier, key=key)
    if picture.mode == "RGBA":
        bare.putalpha(picture.getchannel("A"))
    return bare


def sign(
    parts: Parts,
    marked: Marked,
    request: GenerationRequest | SealRequest,
    *,
    output_id: str,
    format: ImageFormat,  # noqa: A002  the field's name
    model: ModelInfo | Maker,
    inputs: Sequence[InputIngredient] = (),
) -> Signed:
    """Write XMP, sign the manifest last, and validate the result.

    Args:
        parts: For its settings, its credential and its time-stamping authority.
        marked: From `mark`.
        request: What was asked for; an edit's pictures are not looked at.
        output_id: What the mark carries, 16 hex digits.
        format: Of the file.
        model: What made the pixels.
        inputs: From `read_inputs`: one for each picture of an edit, at most one of what is sealed.

    Raises:
        SigningFailed: It cannot be signed now, or does not validate once signed.
    """
    from chopmark import __version__
    from chopmark.provenance import ManifestInfo, write_xmp
    from chopmark.provenance import sign as sign_manifest

    settings = parts.settings
    sealing = isinstance(request, SealRequest)
    shown = len(request.pictures) if isinstance(request, EditRequest) else 0
    if (len(inputs) > 1) if sealing else (len(inputs) != shown):
        raise errors.SigningFailed(
            f"output {output_id}: {shown} pictures came in, and {len(inputs)} were read"
        )
    info = ManifestInfo(
        output_id=output_id,
        record_id=ids.record_of(output_id),
        model_id=model.id,
        model_version=model.version or model.digest[:12],
        sealed_as=settings.seal_source_type if sealing else None,
        created_at=datetime.now(UTC),
        action="edited" if inputs and not sealing else "created",
        parent=inputs[0] if inputs else None,
        references=tuple(inputs[1:]),
        mark_method=settings.mark_method,
        mark_payload=bytes.fromhex(output_id),
        pdq=marked.pdq,
        pixels_sha256=marked.pixels_sha256,
        soft_bindings=settings.soft_binding,
        generator_version=__version__,
        prompt=request.prompt if settings.manifest_prompt else None,
        training=settings.training_mining,
        aigc_producer=settings.aigc_producer,
    )
    return sign_manifest(
        write_xmp(marked.encoded, format, info),
        format,
        info,
        parts.credential,
        authority=parts.authority,
    )


def keep(parts: Parts, signed: Signed, *, output_id: str, record_id: str, pdq: str) -> SealedFile:
    """Keep the manifest where the watermark leads to it, and let the file wait for its stamp.

    Raises:
        ConfigurationError: The manifest store does not take it.
    """
    parts.store.put(
        manifest_id=signed.manifest_id,
        manifest=signed.manifest,
        output_id=output_id,
        record_id=record_id,
        pdq=pdq,
        signed_sha256=hashlib.sha256(signed.data).hexdigest(),
    )
    if parts.authority is not None and not signed.time_stamped:
        parts.stamps.add(signed)  # an authority that is down never stops a picture
    return SealedFile(data=signed.data, manifest_id=signed.manifest_id, pdq=pdq)

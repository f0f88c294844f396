"""Steps 5 and 6 for one picture: the mark struck and read back, then the manifest, signed last.

The order is not free. The label is drawn before the mark, so that the mark lies over it; the mark
is read back from the encoded bytes, since it is the encoding that may destroy it; and the manifest
comes last, since it signs whatever stands in the file by then.
"""

from __future__ import annotations

import hashlib
import io
import logging
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from chopmark import errors
from chopmark.kit import ids
from chopmark.pipeline.request import EditRequest

if TYPE_CHECKING:
    from PIL import Image

    from chopmark.kit.types import ImageFormat
    from chopmark.pipeline.parts import Parts
    from chopmark.pipeline.request import GenerationRequest

__all__ = ["SealedFile", "mark", "sign"]

_LOG = logging.getLogger(__name__)


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


def mark(
    parts: Parts,
    picture: Image.Image,
    request: GenerationRequest,
    *,
    output_id: str,
    format: ImageFormat,  # noqa: A002  the field's name
) -> bytes:
    """Draw the label if there is one, strike the watermark, encode, and read the mark back.

    Returns:
        The encoded file, without metadata.

    Raises:
        MarkTooWeak: The caller's size or quality leaves no room for the mark.
        MarkNotReadable: The same with our own size and quality: our failure, not theirs.
    """
    from PIL import Image

    from chopmark.provenance import detect_mark, draw_label, embed_mark, encode_image

    if parts.label is not None:
        picture = draw_label(picture, parts.label)
    method, key = parts.settings.mark_method, parts.mark_keys.active
    payload = bytes.fromhex(output_id)
    marked = embed_mark(picture, payload, key=key, method=method)
    encoded = encode_image(marked, format, quality=request.quality)
    with Image.open(io.BytesIO(encoded)) as reopened:
        found = detect_mark(reopened, keys=[key], methods=[method])
    if not found.detected or found.payload != payload:
        chosen = request.quality is not None or request.size is not None
        raise (errors.MarkTooWeak if chosen else errors.MarkNotReadable)(
            f"output {output_id}: the {method} watermark did not survive encoding as {format}",
            hint="a higher quality, a lossless format or a larger picture carries it",
        )
    _LOG.debug("the mark of output %s was read back (%s)", output_id, method)
    return encoded


def sign(
    parts: Parts,
    encoded: bytes,
    request: GenerationRequest,
    *,
    output_id: str,
    format: ImageFormat,  # noqa: A002  the field's name
) -> SealedFile:
    """Write XMP, sign the manifest last, and keep it where the watermark leads to it.

    Raises:
        SigningFailed: It cannot be signed now, or does not validate once signed.
        ConfigurationError: The manifest store does not take it.
    """
    from PIL import Image

    from chopmark import __version__
    from chopmark.provenance import ManifestInfo, fingerprint, pixel_digest, write_xmp
    from chopmark.provenance import sign as sign_manifest

    settings, model, record_id = parts.settings, parts.generator.info, ids.record_of(output_id)
    edit = request if isinstance(request, EditRequest) else None
    with Image.open(io.BytesIO(encoded)) as marked:
        pdq, _ = fingerprint(marked)
        pixels = pixel_digest(marked)
    info = ManifestInfo(
        output_id=output_id,
        record_id=record_id,
        model_id=model.id,
        model_version=model.version or model.digest[:12],
        created_at=datetime.now(UTC),
        action="edited" if edit else "created",
        parent=edit.image if edit else None,
        references=edit.references if edit else (),
        mark_method=settings.mark_method,
        mark_payload=bytes.fromhex(output_id),
        pdq=pdq,
        pixels_sha256=pixels,
        soft_bindings=settings.soft_binding,
        generator_version=__version__,
        prompt=request.prompt if settings.manifest_prompt else None,
        training=settings.training_mining,
        aigc_producer=settings.aigc_producer,
    )
    signed = sign_manifest(
        write_xmp(encoded, format, info),
        format,
        info,
        parts.credential,
        authority=parts.authority,
    )
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

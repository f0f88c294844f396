"""Whether the answer to an earlier request may leave again: what the log and the store say of it.

The earlier request must have been allowed without reserve, prompt and pictures, and nothing may
have befallen it since: no review, no appeal, no seal, no erasure, no hold, no manifest taken back;
and the bytes must be those that left then. Whatever is in doubt is ``None``.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

from chopmark import errors
from chopmark.kit import ids

if TYPE_CHECKING:
    from PIL import Image

    from chopmark.audit import Record
    from chopmark.kit.types import ImageFormat
    from chopmark.pipeline.parts import Parts
    from chopmark.pipeline.request import GenerationRequest
    from chopmark.safety import Policy

__all__ = ["EarlierAnswer", "KeptPicture", "standing_answer"]

# The kinds of a request that was answered and that nothing has happened to since, but for previews,
# which were looks at the same pictures.
_UNTOUCHED: Final = ("request.received", "request.decided", "request.completed")


@dataclass(frozen=True, kw_only=True)
class KeptPicture:
    """One picture as it left."""

    output_id: str
    data: bytes
    format: ImageFormat
    picture: Image.Image
    seed: int
    batch: int
    manifest_id: str
    pdq: str


@dataclass(frozen=True, kw_only=True)
class EarlierAnswer:
    """The pictures of an earlier request; today's guards have not seen them yet."""

    record_id: str
    pictures: tuple[KeptPicture, ...]


def standing_answer(
    parts: Parts, record_id: str, request: GenerationRequest, policy: Policy
) -> EarlierAnswer | None:
    """Return what an earlier request led to, if it may be the answer to this one.

    Raises:
        ChopmarkError: The log or the store cannot be read, or does not agree with itself.
    """
    log, model = parts.request_log, parts.generator.info
    try:
        records = log.records(record_id)
    except errors.RecordNotFound:
        return None
    # Anything that has happened to it since is one more event, of whatever kind.
    records = [record for record in records if record.kind != "request.previewed"]
    if tuple(record.kind for record in records) != _UNTOUCHED:
        return None
    received, decided, completed = records
    allowed = (
        all(record.tenant == request.tenant for record in records)
        and not any(record.public.get("restricted") for record in records)
        and received.public.get("operation") == "generate"
        and decided.public.get("exception") is None
        and decided.public.get("policy") == policy.digest()
        and completed.public.get("policy") == policy.digest()
        and completed.public.get("model_digest") == model.digest
        and completed.public.get("action") == "allow"
        and completed.public.get("withheld") == []
        and completed.public.get("repeats") is None
    )
    if not allowed or not _same_request(parts, received, request):
        return None
    return _pictures(parts, completed, request)


def _same_request(parts: Parts, received: Record, request: GenerationRequest) -> bool:
    """Tell whether the prompt that the log holds asks for the same; an erased one does not."""
    from chopmark.generation.semantic import same_wish

    private = parts.request_log.private(received.index)
    if private is None:
        return False
    reworded = parts.settings.cached_answers == "reworded"
    return (
        same_wish(request.prompt, str(private.get("prompt")), reworded=reworded)
        and str(private.get("negative_prompt", "")) == request.negative_prompt
    )


def _pictures(parts: Parts, completed: Record, request: GenerationRequest) -> EarlierAnswer | None:
    """Return the pictures, byte for byte what left."""
    from chopmark.safety import decode_image

    log, settings = parts.request_log, parts.settings
    private: Any = log.private(completed.index) or {}
    files = log.custody.attachments.of(
        completed.index, younger_than=timedelta(hours=settings.cached_answers_hours)
    )
    booked: Any = completed.public.get("outputs")
    if files is None or not isinstance(booked, list) or len(booked) != request.n:
        return None
    pictures = []
    for number, one in enumerate(booked):
        name, data = one["output_id"], files.get(one["output_id"], b"")
        entry = parts.store.entry(one["manifest_id"])
        stands = (
            hashlib.sha256(data).hexdigest() == private.get("sha256", {}).get(name)
            and ids.record_of(name) == completed.record_id
            and entry is not None  # a manifest that was taken back takes its picture along
            and entry.output_id == name
            and request.seed in {None, one["seed"] - number}
        )
        if not stands:
            return None
        picture = decode_image(
            data, max_bytes=settings.max_image_bytes, max_pixels=settings.max_image_pixels
        )
        pictures.append(
            KeptPicture(
                output_id=name,
                data=data,
                format=one["format"],
                picture=picture,
                seed=one["seed"],
                batch=one["batch"],
                manifest_id=one["manifest_id"],
                pdq=str(private.get("pdq", {}).get(name, "")),
            )
        )
    return EarlierAnswer(record_id=completed.record_id, pictures=tuple(pictures))

"""One request for pictures on its way, with every choice made that it left open."""

from __future__ import annotations

import secrets
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from chopmark.kit import limits
from chopmark.pipeline.maker import Maker
from chopmark.pipeline.request import EditRequest, SealRequest, check_request, check_seal
from chopmark.pipeline.steps import Case

if TYPE_CHECKING:
    from chopmark.kit.types import ImageFormat, JsonValue, Progress
    from chopmark.pipeline.parts import Parts
    from chopmark.pipeline.preview import PreviewSink
    from chopmark.pipeline.released import KeepsEnding
    from chopmark.pipeline.request import GenerationRequest

__all__ = ["GenerationCase", "SealCase", "open_case"]


@dataclass(kw_only=True)
class _PictureCase(Case):
    """What every request for marked and signed pictures has, and what is found out on its way.

    Attributes:
        maker: What makes the pixels, or made them.
        format: File format of the outputs.
        ending: Keeps what the request is about to end in, or ``None``.
        previews_shown: How many left; each was booked before.
        showing: Held while one is booked and shown.
        pdq: Fingerprints of the outputs by output id.
        review_copies: Small copies of flagged outputs by output id, for the log alone.
        held: Outputs that were finished and wait for a person to let them out.
        unknown_input: A picture to edit is of a kind that the model never saw.
    """

    maker: Maker
    format: ImageFormat
    ending: KeepsEnding | None = None
    previews_shown: int = 0
    showing: threading.Lock = field(default_factory=threading.Lock)
    pdq: dict[str, str] = field(default_factory=dict)
    review_copies: dict[str, JsonValue] = field(default_factory=dict)
    held: list[str] = field(default_factory=list)
    unknown_input: bool = False


@dataclass(kw_only=True)
class GenerationCase(_PictureCase):
    """A request with every open choice made.

    Attributes:
        request: What was asked for.
        seed: The seed of the first output; n outputs take ``seed`` .. ``seed + n - 1``.
        size: Width and height in pixels; ``None``: an edit, in the proportions of its picture.
        preview: Takes previews, or ``None``.
        terms: Digest of what shapes the answer beside prompt and seed, where that was asked for.
    """

    request: GenerationRequest
    seed: int
    size: tuple[int, int] | None
    preview: PreviewSink | None = None
    terms: bytes | None = None


@dataclass(kw_only=True)
class SealCase(_PictureCase):
    """A picture that another generator made, on its way.

    Attributes:
        request: What was asked for.
    """

    request: SealRequest


def open_case(
    parts: Parts,
    request: GenerationRequest | SealRequest,
    progress: Progress | None,
    preview: PreviewSink | None,
) -> GenerationCase | SealCase:
    """Check a request and make every choice that it leaves open; nothing is booked yet.

    Raises:
        InvalidRequest: A value of it cannot be used.
        ChopmarkError: The generator cannot be opened; sealing needs none.
    """
    settings = parts.settings
    if isinstance(request, SealRequest):
        from chopmark.provenance._formats import own_format

        check_seal(request, settings)
        return SealCase(
            request=request,
            tenant=request.tenant,
            subject=request.subject,
            maker=Maker(id=request.model.strip(), claimed=True),
            format=request.format or own_format(request.image) or settings.output_format,
            progress=progress,
        )
    check_request(request, settings)
    model = parts.generator.info
    check_request(request, settings, model)
    return GenerationCase(
        request=request,
        tenant=request.tenant,
        subject=request.subject,
        maker=Maker.running(model),
        # n outputs take the seeds seed .. seed + n - 1, each of which can be asked for.
        seed=secrets.randbelow(limits.SEED.most - limits.N.most)
        if request.seed is None
        else request.seed,
        size=request.size or (None if isinstance(request, EditRequest) else model.default_size),
        format=request.format or settings.output_format,
        progress=progress,
        preview=preview,
    )

"""From a body of Gemini's shape to a request of ours: words, pictures, size, format and policy."""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, Any, Final

from chopmark.api.gemini.conversation import last_asked
from chopmark.api.gemini.safety_settings import tighten
from chopmark.api.pictures import from_base64, from_url
from chopmark.errors import InvalidRequest
from chopmark.pipeline.request import EditRequest, GenerationRequest
from chopmark.pipeline.sizes import size_for
from chopmark.pipeline.steps import in_thread

if TYPE_CHECKING:
    from fastapi import Request

    from chopmark.api.gemini.conversation import Shown
    from chopmark.api.gemini.schemas import GenerateContent, ImageConfig
    from chopmark.generation import ModelInfo
    from chopmark.kit.types import ImageFormat
    from chopmark.service.caller import Caller
    from chopmark.service.service import Service

__all__ = ["file_format", "order_of", "size_of"]

_FORMATS: Final[dict[str, ImageFormat]] = {
    "image/png": "png",
    "image/jpeg": "jpeg",
    "image/webp": "webp",
    "image/avif": "avif",
}
_PIXELS: Final = {"512": 512**2, "512PX": 512**2, "1K": 1024**2, "2K": 2048**2, "4K": 4096**2}


async def order_of(
    body: GenerateContent, info: ModelInfo, http: Request, service: Service, caller: Caller
) -> GenerationRequest:
    """Return what ``generateContent`` asks for.

    Raises:
        InvalidRequest: A value that cannot be used.
    """
    config = body.generation_config
    modalities = [name.upper() for name in config.response_modalities or ["IMAGE"]]
    if "IMAGE" not in modalities:
        raise InvalidRequest(
            "this server makes pictures, not texts",
            hint="responseModalities must hold IMAGE",
            param="generationConfig.responseModalities",
        )
    if body.cached_content:
        raise InvalidRequest(
            "cachedContent: what was kept under a name is not known here",
            hint="send it in contents",
            param="cachedContent",
        )
    asked = last_asked(body)
    own = await in_thread(lambda: service.policy_of(caller.tenant))
    image = config.image_config
    options: dict[str, Any] = {
        "prompt": asked.prompt,
        "n": config.candidate_count or 1,
        "seed": config.seed,
        "format": file_format(
            image.output_mime_type, param="generationConfig.imageConfig.outputMimeType"
        ),
        "quality": image.output_compression_quality,
        "policy": tighten(own, [(s.category, s.threshold) for s in body.safety_settings]),
    }
    where = "generationConfig.imageConfig"
    pictures = [await _picture(one, http, service, caller) for one in asked.pictures]
    if not pictures:
        return GenerationRequest(size=size_of(image, info, param=where), **options)
    shaped = image.aspect_ratio is not None
    return EditRequest(
        image=pictures[0],
        references=tuple(pictures[1:]),
        size=size_of(image, info, param=where) if shaped else None,
        pixels=_pixels(image, info, param=where),
        **options,
    )


async def _picture(shown: Shown, http: Request, service: Service, caller: Caller) -> bytes:
    if shown.data is not None:
        # Protobuf's JSON allows the other alphabet of base64 too.
        text = shown.data.replace("-", "+").replace("_", "/")
        return from_base64(text, service.pipeline.settings, param=shown.param)
    return await from_url(shown.uri or "", http, caller, service, param=shown.param)


def file_format(mime: str | None, *, param: str) -> ImageFormat | None:
    """Return the format of a media type.

    Raises:
        InvalidRequest: One that no picture of ours has.
    """
    if mime is None:
        return None
    if mime not in _FORMATS:
        raise InvalidRequest(
            f"{mime!r} cannot be made here", hint=f"one of {', '.join(_FORMATS)}", param=param
        )
    return _FORMATS[mime]


def size_of(config: ImageConfig, info: ModelInfo, *, param: str) -> tuple[int, int] | None:
    """Return width and height for proportions and a number of pixels; ``None``: neither is named.

    Args:
        config: Where they are named.
        info: Of the model.
        param: The field that holds ``config``.

    Raises:
        InvalidRequest: Not of the form ``16:9``, or no number of pixels that has a name.
    """
    if config.aspect_ratio is None and config.image_size is None:
        return None
    ratio = re.fullmatch(r"([1-9][0-9]{0,2}):([1-9][0-9]{0,2})", config.aspect_ratio or "1:1")
    if ratio is None:
        raise InvalidRequest(
            f"aspectRatio {config.aspect_ratio!r} is not like 16:9", param=f"{param}.aspectRatio"
        )
    return size_for(int(ratio[1]), int(ratio[2]), pixels=_pixels(config, info, param=param))


def _pixels(config: ImageConfig, info: ModelInfo, *, param: str) -> int:
    if config.image_size is None:
        return math.prod(info.default_size)
    if config.image_size.upper() not in _PIXELS:
        raise InvalidRequest(
            f"imageSize {config.image_size!r} is not one of {', '.join(_PIXELS)}",
            param=f"{param}.imageSize",
        )
    return _PIXELS[config.image_size.upper()]

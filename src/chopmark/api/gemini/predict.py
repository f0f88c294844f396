"""``:predict``, as clients of Imagen call it: ``generate_images``, and edits within a mask."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Annotated, Any

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse
from pydantic import ConfigDict, Field, model_validator
from pydantic.alias_generators import to_camel

from chopmark.api.gemini.orders import file_format, size_of
from chopmark.api.gemini.routes import VERTEX
from chopmark.api.gemini.schemas import ImageConfig
from chopmark.api.models import served_model
from chopmark.api.nullable import SentBody, one_or_several
from chopmark.api.pictures import from_base64
from chopmark.errors import InvalidRequest
from chopmark.kit import limits
from chopmark.pipeline.released import Refused
from chopmark.pipeline.request import EditRequest, GenerationRequest
from chopmark.service.cache_headers import released_headers
from chopmark.service.caller import Creator
from chopmark.service.deployment import TheService
from chopmark.service.problems import GOOGLE_RESPONSES

if TYPE_CHECKING:
    from chopmark.generation import ModelInfo
    from chopmark.pipeline.released import Output, Released
    from chopmark.settings import Settings

__all__ = ["router"]

router = APIRouter(responses=GOOGLE_RESPONSES, tags=["gemini"])
_RAW, _MASK = "REFERENCE_TYPE_RAW", "REFERENCE_TYPE_MASK"


class _Imagen(SentBody):
    model_config = ConfigDict(extra="ignore", alias_generator=to_camel, populate_by_name=True)


class PredictImage(_Imagen):
    """A picture."""

    bytes_base64_encoded: str | None = None


class ReferenceImage(_Imagen):
    """A picture to change, or a mask over it."""

    reference_type: str = _RAW
    reference_image: PredictImage = Field(default_factory=PredictImage)


class Instance(_Imagen):
    """What is asked for."""

    prompt: str = Field(min_length=1)
    reference_images: list[ReferenceImage] = Field(default_factory=list, max_length=16)


class OutputOptions(_Imagen):
    """The file."""

    mime_type: str | None = None
    compression_quality: (
        Annotated[int, Field(ge=limits.QUALITY.least, le=limits.QUALITY.most)] | None
    ) = None


class Parameters(_Imagen):
    """How it is made; `personGeneration` and safety settings are taken and ignored."""

    sample_count: Annotated[int, Field(ge=limits.N.least, le=limits.N.most)] = 1
    seed: Annotated[int, Field(ge=limits.SEED.least, le=limits.SEED.most)] | None = None
    aspect_ratio: Annotated[str, Field(max_length=40)] | None = None
    sample_image_size: Annotated[str, Field(max_length=40)] | None = None
    negative_prompt: str = ""
    output_options: OutputOptions = Field(default_factory=OutputOptions)
    include_rai_reason: bool = False
    include_safety_attributes: bool = False


class Predict(_Imagen):
    """Body of ``:predict``; some clients send the one instance without a list around it."""

    instances: list[Instance] = Field(min_length=1, max_length=1, json_schema_extra=one_or_several)
    parameters: Parameters = Field(default_factory=Parameters)

    @model_validator(mode="before")
    @classmethod
    def _one_instance(cls, data: Any) -> Any:
        if isinstance(data, dict) and isinstance(data.get("instances"), dict):
            return {**data, "instances": [data["instances"]]}
        return data


@router.post("/v1/models/{model}:predict")
@router.post("/v1beta/models/{model}:predict")
async def predict(
    model: str, body: Predict, request: Request, service: TheService, caller: Creator
) -> Response:
    """Make pictures from a prompt, or change one."""
    info = served_model(model, service)
    asked = _order(body, info, service.pipeline.settings)
    try:
        released = await service.make(request, caller, asked)
    except Refused as refused:
        # As Imagen does: 200, and a reason where a picture would stand.
        request.state.error = refused
        reason = ", ".join(refused.categories) or refused.verdict.action
        filtered = {"raiFilteredReason": f"refused by the policy: {reason}"}
        return JSONResponse(
            {
                "predictions": [filtered] if body.parameters.include_rai_reason else [],
                "provenance": {"record_id": refused.record_id, "decision_id": refused.record_id},
            },
            headers={"x-record-id": refused.record_id},
        )
    return JSONResponse(_predictions(released, body), headers=released_headers(released))


for _path in VERTEX:
    router.add_api_route(f"{_path}:predict", predict, methods=["POST"], include_in_schema=False)


def _order(body: Predict, info: ModelInfo, settings: Settings) -> GenerationRequest:
    instance, wanted = body.instances[0], body.parameters
    shape = ImageConfig(aspect_ratio=wanted.aspect_ratio, image_size=wanted.sample_image_size)
    options: dict[str, Any] = {
        "prompt": instance.prompt,
        "negative_prompt": wanted.negative_prompt,
        "n": wanted.sample_count,
        "seed": wanted.seed,
        "format": file_format(
            wanted.output_options.mime_type, param="parameters.outputOptions.mimeType"
        ),
        "quality": wanted.output_options.compression_quality,
    }
    found: dict[str, list[bytes]] = {_RAW: [], _MASK: []}
    for number, one in enumerate(instance.reference_images):
        where = f"instances[0].referenceImages[{number}]"
        text = one.reference_image.bytes_base64_encoded
        if one.reference_type not in found or text is None:
            raise InvalidRequest(
                f"{where}: {one.reference_type[:40]!r} is not understood here",
                hint=f"{_RAW} and {_MASK}, with bytesBase64Encoded",
                param=where,
            )
        found[one.reference_type].append(from_base64(text, settings, param=where))
    if not instance.reference_images:
        return GenerationRequest(size=size_of(shape, info, param="parameters"), **options)
    if not found[_RAW] or len(found[_MASK]) > 1:
        raise InvalidRequest(
            "an edit takes a picture and at most one mask", param="instances[0].referenceImages"
        )
    first, *others = found[_RAW]
    shaped = wanted.aspect_ratio is not None
    return EditRequest(
        image=first,
        references=tuple(others),
        mask=next(iter(found[_MASK]), None),
        size=size_of(shape, info, param="parameters") if shaped else None,
        **options,
    )


def _predictions(released: Released, body: Predict) -> dict[str, Any]:
    reasons = [
        {"raiFilteredReason": ", ".join(item.verdict.categories) or item.reason}
        for item in released.withheld
        if body.parameters.include_rai_reason
    ]
    return {
        "predictions": [*map(_prediction, released.outputs), *reasons],
        "provenance": {
            **released.about(),
            "receipt": released.receipt.to_dict(),
        },
    }


def _prediction(output: Output) -> dict[str, Any]:
    return {
        "mimeType": output.mime,
        "bytesBase64Encoded": base64.b64encode(output.data).decode(),
        "provenance": output.to_dict(),
    }

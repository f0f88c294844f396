"""What OpenAI's clients send, field by field (openai 3.54).

Fields that we do not act on are taken and ignored: a client must not break over `style`. A field
that asks for something which we would have to do and cannot (an animation) is refused.
"""

from __future__ import annotations

import hashlib
import math
import re
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema

from chopmark.api.nullable import SentBody
from chopmark.errors import InvalidRequest
from chopmark.kit import limits
from chopmark.kit.types import ImageFormat
from chopmark.pipeline.sizes import size_for

if TYPE_CHECKING:
    from chopmark.generation import ModelInfo

__all__ = [
    "ImageOptions",
    "ImagesEdits",
    "ImagesGenerations",
    "ImagesVariations",
    "Moderations",
    "Quality",
]

Quality = Literal["low", "medium", "high", "xhigh", "max", "auto", "standard", "hd"]

# Denoising steps as a multiple of the model's own number.
_EFFORT: dict[Quality, float] = {
    "low": 0.5,
    "medium": 1.0,
    "standard": 1.0,
    "auto": 1.0,
    "high": 1.5,
    "hd": 1.5,
    "xhigh": 2.0,
    "max": 2.0,
}


# A longer name of a person stands in the log as its digest.
_LONGEST_SUBJECT: Final = 180
_SIZE: Final = re.compile(r"\s*([0-9]{1,5})\s*([xX*\u00d7:])\s*([0-9]{1,5})\s*")


def _other_spelling(value: Any) -> Any:
    """Return a format as it is called here: clients write ``JPG`` and ``jpg`` too."""
    if not isinstance(value, str):
        return value
    return {"jpg": "jpeg"}.get(value.lower(), value.lower())


class ImageOptions(SentBody):
    """What all three image routes take; clients send options that are empty as well."""

    empty_is_unset = True
    kept = ("prompt",)

    model: Annotated[str, Field(max_length=200)] | None = None
    n: Annotated[int, Field(ge=limits.N.least, le=limits.N.most)] | None = 1
    size: Annotated[str, Field(max_length=40)] | None = Field(
        default=None,
        description="`WIDTHxHEIGHT`, `auto`, or proportions such as `16:9` in as many pixels as "
        "the model's own size has",
    )
    response_format: Literal["b64_json", "url"] | None = Field(
        default=None,
        description="`url` gives an address that is good for an hour, or a `data:` URL where the "
        "server does not know its own (`CHOPMARK_PUBLIC_URL`)",
    )
    user: str | None = None
    safety_identifier: str | None = None
    seed: Annotated[int, Field(ge=limits.SEED.least, le=limits.SEED.most)] | None = Field(
        default=None, description="An extra of ours: the same seed gives the same picture"
    )
    steps: Annotated[int, Field(ge=limits.STEPS.least, le=limits.STEPS.most)] | None = Field(
        default=None, description="An extra of ours: denoising steps, wins over `quality`"
    )

    def subject(self) -> str | None:
        """Return whom the request is for; a non-empty ``safety_identifier`` wins.

        A name that is longer than the log takes is its digest.
        """
        name = self.safety_identifier or self.user or ""
        if len(name) > _LONGEST_SUBJECT:
            return f"sha256:{hashlib.sha256(name.encode('utf-8', 'replace')).hexdigest()}"
        return name or None

    def pixels(self, model: ModelInfo) -> tuple[int, int] | None:
        """Return width and height, or ``None`` for the model's own.

        Args:
            model: For which proportions become a size.

        Raises:
            InvalidRequest: Neither ``WIDTHxHEIGHT`` nor ``auto`` nor proportions.
        """
        if self.size is None or self.size.strip().lower() == "auto":
            return None
        match = _SIZE.fullmatch(self.size)
        if match is None or not (int(match[1]) and int(match[3])):
            raise InvalidRequest(
                f"size {self.size!r} is not WIDTHxHEIGHT or auto",
                hint="for example 1024x1024",
                param="size",
            )
        width, height = int(match[1]), int(match[3])
        if match[2] == ":":
            return size_for(width, height, pixels=math.prod(model.default_size))
        return width, height


class _Rendering(ImageOptions):
    """What ``generations`` and ``edits`` take."""

    quality: Quality | None = "auto"
    background: Literal["transparent", "opaque", "auto"] | None = "auto"
    output_format: (
        Annotated[
            Literal["png", "webp", "jpeg", "avif", "gif", "svg"], BeforeValidator(_other_spelling)
        ]
        | None
    ) = None
    output_compression: Annotated[int, Field(ge=0, le=limits.QUALITY.most)] | None = None
    moderation: Literal["low", "auto"] | None = Field(
        default=None, description="Taken and ignored: the policy decides, not the caller"
    )
    partial_images: (
        Annotated[int, Field(ge=limits.STREAMED_PREVIEWS.least, le=limits.STREAMED_PREVIEWS.most)]
        | None
    ) = None
    stream: bool | None = False
    negative_prompt: str = Field(default="", description="An extra of ours; judged as well")

    def file_format(self) -> ImageFormat | None:
        """Return the format of the outputs.

        Raises:
            InvalidRequest: A format that no still raster picture of ours can have.
        """
        if self.output_format in {"gif", "svg"}:
            raise InvalidRequest(
                f"output_format {self.output_format} cannot be made here",
                hint="png, webp, jpeg and avif can",
                param="output_format",
            )
        return self.output_format  # type: ignore[return-value]

    def ground(self) -> Literal["opaque", "transparent"]:
        """Return whether the ground is left out."""
        return "transparent" if self.background == "transparent" else "opaque"

    def preview_count(self) -> int:
        """Return how many previews of each picture are wanted; only a stream can show any."""
        return self.partial_images or 0 if self.stream else 0

    def file_quality(self) -> int | None:
        """Return the encoder's quality, 1..100; OpenAI's 0 is our 1."""
        return (
            None
            if self.output_compression is None
            else max(self.output_compression, limits.QUALITY.least)
        )

    def denoising(self, default_steps: int) -> int | None:
        """Return the steps that ``steps`` or ``quality`` ask for; ``None`` is the model's own."""
        if self.steps is not None:
            return self.steps
        factor = _EFFORT[self.quality or "auto"]
        if factor == 1.0:
            return None
        return max(limits.STEPS.least, min(limits.STEPS.most, round(default_steps * factor)))


class ImagesGenerations(_Rendering):
    """Body of ``POST /v1/images/generations``."""

    # In JSON a number is a number and a truth a truth; in a form all are texts.
    model_config = ConfigDict(extra="ignore", strict=True)

    prompt: str = Field(min_length=1)


class ImagesEdits(_Rendering):
    """The fields beside the pictures of ``POST /v1/images/edits``."""

    prompt: str = Field(min_length=1)
    input_fidelity: Literal["low", "high"] | None = Field(
        default=None, description="`high` keeps more of the picture: strength 0.4, else 0.75"
    )
    strength: Annotated[float, Field(ge=limits.STRENGTH.least, le=limits.STRENGTH.most)] | None = (
        Field(default=None, description="An extra of ours; wins over `input_fidelity`")
    )
    consent: str | None = Field(
        default=None,
        max_length=200,
        description="An extra of ours: where the consent of whoever is in the picture is recorded",
    )

    def how_far(self) -> float | None:
        """Return how far from the input the result may go, or ``None`` for the model's own."""
        if self.strength is not None or self.input_fidelity is None:
            return self.strength
        return 0.4 if self.input_fidelity == "high" else 0.75


class ImagesVariations(ImageOptions):
    """The fields beside the picture of ``POST /v1/images/variations``."""


def _one_or_each(kind: dict[str, Any]) -> dict[str, Any]:
    """Return the schema of a member that is said of all rows of an input, or of each."""
    each = {"type": "array", "items": {"anyOf": [kind, {"type": "null"}]}}
    return {"anyOf": [kind, each, {"type": "null"}]}


_INPUT: Final[dict[str, Any]] = {
    "description": "A text; texts, judged one by one; or parts, judged as one input",
    "anyOf": [
        {"type": "string"},
        {
            "type": "array",
            "minItems": limits.MODERATED.least,
            "maxItems": limits.MODERATED.most,
            "items": {"type": "string"},
        },
        {
            "type": "array",
            "minItems": limits.MODERATED.least,
            "maxItems": limits.MODERATED.most,
            "items": {
                "anyOf": [
                    {
                        "type": "object",
                        "required": ["type", "text"],
                        "properties": {
                            "type": {"const": "text"},
                            "text": {"type": "string"},
                            "edit": {"type": ["boolean", "null"]},
                            "language": {"type": ["string", "null"], "description": "BCP 47"},
                        },
                    },
                    {
                        "type": "object",
                        "required": ["type", "image_url"],
                        "properties": {
                            "type": {"const": "image_url"},
                            "image_url": {
                                "type": "object",
                                "required": ["url"],
                                "properties": {
                                    "url": {
                                        "type": "string",
                                        "pattern": "^data:image/",
                                        "description": "A `data:` URL with base64",
                                    }
                                },
                            },
                        },
                    },
                ]
            },
        },
    ],
}


class Moderations(BaseModel):
    """Body of ``POST /v1/moderations``; :mod:`.moderation_input` reads the input."""

    model_config = ConfigDict(extra="ignore")

    input: Annotated[Any, WithJsonSchema(_INPUT)]
    edit: Annotated[Any, WithJsonSchema(_one_or_each({"type": "boolean"}))] = Field(
        default=None,
        description="An extra of ours: the texts say what to change in a picture that is there",
    )
    language: Annotated[Any, WithJsonSchema(_one_or_each({"type": "string"}))] = Field(
        default=None, description="An extra of ours: the language of the texts (BCP 47)"
    )
    model: str | None = None

"""What OpenAI's clients send, field by field (openai 3.54).

Fields that we do not act on are taken and ignored: a client must not break over `style`. A field
that asks for something which we would have to do and cannot (a transparent background) is refused.
"""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from chopmark.errors import InvalidRequest
from chopmark.kit import limits
from chopmark.kit.types import ImageFormat

__all__ = [
    "ImageOptions",
    "ImagePart",
    "ImagesEdits",
    "ImagesGenerations",
    "ImagesVariations",
    "Moderations",
    "Quality",
    "TextPart",
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


class ImageOptions(BaseModel):
    """What all three image routes take."""

    model_config = ConfigDict(extra="ignore")

    model: Annotated[str, Field(max_length=200)] | None = None
    n: Annotated[int, Field(ge=limits.N.least, le=limits.N.most)] | None = 1
    size: Annotated[str, Field(max_length=11)] | None = Field(
        default=None, description="`WIDTHxHEIGHT` or `auto`"
    )
    response_format: Literal["b64_json", "url"] | None = Field(
        default=None, description="`url` gives a `data:` URL: this server hosts no pictures"
    )
    user: str | None = Field(default=None, max_length=180)
    safety_identifier: str | None = Field(default=None, max_length=180)
    seed: Annotated[int, Field(ge=limits.SEED.least, le=limits.SEED.most)] | None = Field(
        default=None, description="An extra of ours: the same seed gives the same picture"
    )
    steps: Annotated[int, Field(ge=limits.STEPS.least, le=limits.STEPS.most)] | None = Field(
        default=None, description="An extra of ours: denoising steps, wins over `quality`"
    )

    def subject(self) -> str | None:
        """Return whom the request is for; a non-empty ``safety_identifier`` wins."""
        return self.safety_identifier or self.user or None

    def pixels(self) -> tuple[int, int] | None:
        """Return width and height, or ``None`` for the model's own.

        Raises:
            InvalidRequest: Neither ``WIDTHxHEIGHT`` nor ``auto``.
        """
        if self.size in {None, "", "auto"}:
            return None
        match = re.fullmatch(r"([0-9]{1,5})x([0-9]{1,5})", self.size or "")
        if match is None:
            raise InvalidRequest(
                f"size {self.size!r} is not WIDTHxHEIGHT or auto",
                hint="for example 1024x1024",
                param="size",
            )
        return int(match[1]), int(match[2])


class _Rendering(ImageOptions):
    """What ``generations`` and ``edits`` take."""

    quality: Quality | None = "auto"
    background: Literal["transparent", "opaque", "auto"] | None = "auto"
    output_format: Literal["png", "webp", "jpeg", "avif", "gif", "svg"] | None = None
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
        if self.background == "transparent":
            raise InvalidRequest(
                "background transparent cannot be made here",
                hint="pictures are opaque; ask for background auto or opaque",
                param="background",
            )
        if self.output_format in {"gif", "svg"}:
            raise InvalidRequest(
                f"output_format {self.output_format} cannot be made here",
                hint="png, webp, jpeg and avif can",
                param="output_format",
            )
        return self.output_format  # type: ignore[return-value]

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


class TextPart(BaseModel):
    """A text of a moderation input."""

    type: Literal["text"]
    text: str


class ImageUrl(BaseModel):
    """Where a picture is: in the URL itself."""

    url: str = Field(pattern="^data:image/", description="A `data:` URL with base64")


class ImagePart(BaseModel):
    """A picture of a moderation input."""

    type: Literal["image_url"]
    image_url: ImageUrl


_Several = Field(min_length=limits.MODERATED.least, max_length=limits.MODERATED.most)


class Moderations(BaseModel):
    """Body of ``POST /v1/moderations``."""

    model_config = ConfigDict(extra="ignore")

    input: (
        str | Annotated[list[str], _Several] | Annotated[list[TextPart | ImagePart], _Several]
    ) = Field(description="A text; texts, judged one by one; or parts, judged as one input")
    model: str | None = None

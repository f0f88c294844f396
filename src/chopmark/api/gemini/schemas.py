"""What Gemini's clients send, field by field (google-genai 3.4)."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import ConfigDict, Field, model_validator
from pydantic.alias_generators import to_camel

from chopmark.api.gemini.safety_settings import Threshold
from chopmark.api.nullable import SentBody, one_or_several
from chopmark.kit import limits

__all__ = [
    "Content",
    "FileData",
    "GenerateContent",
    "GenerationConfig",
    "ImageConfig",
    "InlineData",
    "Part",
]

# What an error message repeats must be short.
_Word = Annotated[str, Field(max_length=40)]
_MOST_PARTS = 256


class _Gemini(SentBody):
    # Google's clients mix camelCase and snake_case in one body; both are taken.
    model_config = ConfigDict(
        extra="ignore", strict=True, alias_generator=to_camel, populate_by_name=True
    )


class InlineData(_Gemini):
    """A picture in a part."""

    mime_type: str = ""
    data: str


class FileData(_Gemini):
    """A picture that is named by its address."""

    mime_type: str = ""
    file_uri: str


class Part(_Gemini):
    """A text, a picture, or something that is not understood here.

    Attributes:
        thought: It was shown on the way, and says nothing of what is wanted.
        thought_signature: Comes from us and comes back; nothing is read from it.
    """

    model_config = ConfigDict(
        extra="allow", strict=True, alias_generator=to_camel, populate_by_name=True
    )

    text: str | None = None
    inline_data: InlineData | None = None
    file_data: FileData | None = None
    thought: bool = False
    thought_signature: str | None = None


class Content(_Gemini):
    """One turn."""

    role: str | None = None
    parts: list[Part] = Field(
        default_factory=list, max_length=_MOST_PARTS, json_schema_extra=one_or_several
    )

    @model_validator(mode="before")
    @classmethod
    def _one_part(cls, data: Any) -> Any:
        """Take one part for a list of one."""
        if isinstance(data, dict) and isinstance(data.get("parts"), dict):
            return {**data, "parts": [data["parts"]]}
        return data


class ImageConfig(_Gemini):
    """Shape and format of the pictures."""

    aspect_ratio: _Word | None = Field(default=None, description="`16:9` and the like")
    image_size: _Word | None = Field(default=None, description="`512`, `1K`, `2K` or `4K`")
    output_mime_type: _Word | None = None
    output_compression_quality: (
        Annotated[int, Field(ge=limits.QUALITY.least, le=limits.QUALITY.most)] | None
    ) = None
    person_generation: _Word | None = Field(
        default=None, description="Taken and ignored: the policy decides, not the caller"
    )


class ThinkingConfig(_Gemini):
    """Whether previews of unfinished pictures come along, as Gemini's "thought" parts."""

    include_thoughts: bool | None = None


class GenerationConfig(_Gemini):
    """How to generate; what speaks of texts is ignored."""

    response_modalities: list[str] | None = None
    image_config: ImageConfig = Field(default_factory=ImageConfig)
    seed: Annotated[int, Field(ge=limits.SEED.least, le=limits.SEED.most)] | None = None
    candidate_count: Annotated[int, Field(ge=limits.N.least, le=limits.N.most)] | None = None
    thinking_config: ThinkingConfig = Field(default_factory=ThinkingConfig)


class SafetySetting(_Gemini):
    """One category's threshold."""

    category: str
    threshold: Threshold


class GenerateContent(_Gemini):
    """Body of ``generateContent``."""

    contents: list[Content] = Field(
        min_length=1, max_length=_MOST_PARTS, json_schema_extra=one_or_several
    )
    system_instruction: Content | None = None
    generation_config: GenerationConfig = Field(default_factory=GenerationConfig)
    safety_settings: list[SafetySetting] = Field(default_factory=list, max_length=32)
    cached_content: Annotated[str, Field(max_length=400)] | None = Field(
        default=None, description="Not known here: 400"
    )

    @model_validator(mode="before")
    @classmethod
    def _one_turn(cls, data: Any) -> Any:
        """Take one turn for a list of one."""
        if isinstance(data, dict) and isinstance(data.get("contents"), dict):
            return {**data, "contents": [data["contents"]]}
        return data

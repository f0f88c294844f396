"""What an answer says was used: pictures, pixels, steps and characters, in the words of tokens.

Clients ask for tokens, and nothing here counts any. What is told is measured all the same: an image
token is 1,024 pixels begun of one picture, a text token four characters begun of the prompts.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Self

from chopmark.kit.picture_structure import declared_size
from chopmark.pipeline.request import EditRequest

if TYPE_CHECKING:
    from collections.abc import Sequence

    from chopmark.generation import ModelInfo
    from chopmark.kit.types import JsonValue
    from chopmark.pipeline.released import Output, Released
    from chopmark.pipeline.request import GenerationRequest

__all__ = ["Usage"]

_PIXELS: Final = 1024
_CHARACTERS: Final = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """What one request took.

    Attributes:
        text: Text tokens that came in.
        shown: Image tokens that came in; 0 for a file whose head does not say its size.
        made: Image tokens that leave.
        pictures: That leave.
        pixels: Of them, together.
        steps: Denoising steps that made them; 0 for pictures of an earlier request.
    """

    text: int = 0
    shown: int = 0
    made: int = 0
    pictures: int = 0
    pixels: int = 0
    steps: int = 0

    @classmethod
    def of(cls, asked: GenerationRequest, released: Released, info: ModelInfo) -> Self:
        """Return what a request took that was granted."""
        return cls.of_outputs(asked, released, released.outputs, info)

    @classmethod
    def of_outputs(
        cls,
        asked: GenerationRequest,
        released: Released,
        outputs: Sequence[Output],
        info: ModelInfo,
        *,
        inputs: bool = True,
    ) -> Self:
        """Return what some of a request's pictures took, with or without what came in."""
        each = (asked.steps or info.default_steps) if released.repeats is None else 0
        pixels = [output.width * output.height for output in outputs]
        came = cls.refused(asked) if inputs else cls()
        return cls(
            text=came.text,
            shown=came.shown,
            made=sum(map(_tokens, pixels)),
            pictures=len(outputs),
            pixels=sum(pixels),
            steps=each * len(outputs),
        )

    @classmethod
    def refused(cls, asked: GenerationRequest) -> Self:
        """Return what a request took of which nothing leaves."""
        pictures = asked.pictures if isinstance(asked, EditRequest) else ()
        sizes = [declared_size(data) for data in pictures]
        characters = len(asked.prompt) + len(asked.negative_prompt)
        return cls(
            text=math.ceil(characters / _CHARACTERS),
            shown=sum(_tokens(size.pixels) for size in sizes if size is not None),
        )

    def openai(self) -> dict[str, JsonValue]:
        """Return OpenAI's object, with what was really counted beside it."""
        came = self.text + self.shown
        return {
            "input_tokens": came,
            "output_tokens": self.made,
            "total_tokens": came + self.made,
            "input_tokens_details": {"image_tokens": self.shown, "text_tokens": self.text},
            "output_tokens_details": {"image_tokens": self.made, "text_tokens": 0},
            **self._counted(),
        }

    def gemini(self) -> dict[str, JsonValue]:
        """Return Gemini's object, likewise."""
        came = self.text + self.shown
        usage: dict[str, JsonValue] = {
            "promptTokenCount": came,
            "candidatesTokenCount": self.made,
            "totalTokenCount": came + self.made,
            "promptTokensDetails": [
                {"modality": kind, "tokenCount": count}
                for kind, count in (("TEXT", self.text), ("IMAGE", self.shown))
                if count
            ],
            **self._counted(),
        }
        if self.made:
            usage["candidatesTokensDetails"] = [{"modality": "IMAGE", "tokenCount": self.made}]
        return usage

    def chat(self) -> dict[str, JsonValue]:
        """Return the object of chat completions, likewise."""
        came = self.text + self.shown
        return {
            "prompt_tokens": came,
            "completion_tokens": self.made,
            "total_tokens": came + self.made,
            **self._counted(),
        }

    def _counted(self) -> dict[str, JsonValue]:
        return {"pictures": self.pictures, "pixels": self.pixels, "steps": self.steps}


def _tokens(pixels: int) -> int:
    return math.ceil(pixels / _PIXELS)

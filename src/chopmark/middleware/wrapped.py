"""``pipe = governed(pipe)``: a diffusers pipeline of which nothing leaves that was not sealed."""

from __future__ import annotations

import io
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self

from PIL import Image

from chopmark.errors import InvalidRequest
from chopmark.middleware.sealing import as_png, check_prompts, seal, wait_for
from chopmark.pipeline.released import Refused

if TYPE_CHECKING:
    from chopmark.pipeline import Pipeline
    from chopmark.pipeline.released import Released

__all__ = ["GovernedResult", "governed"]


@dataclass(frozen=True, slots=True, kw_only=True)
class GovernedResult:
    """What a governed pipeline gives out, in the order in which it was made.

    Attributes:
        images: The pictures that may leave, with their marks; what a program shows. Saved anew
            they keep the mark and lose the manifest.
        released: Of each, the record, the receipt and the signed file.
        refused: Why others may not leave.
    """

    images: list[Image.Image] = field(repr=False)
    released: list[Released]
    refused: list[Refused]

    @property
    def files(self) -> list[bytes]:
        """The signed file of each picture."""
        return [one.outputs[0].data for one in self.released]


def governed(
    pipe: Any, pipeline: Pipeline, *, model: str | None = None, tenant: str = "default"
) -> Governed:
    """Wrap a text-to-image or image-to-image pipeline of diffusers.

    Args:
        pipe: The pipeline; called with the same arguments as before.
        pipeline: Judges, marks, signs and books.
        model: What the manifest names; unset: where the pipeline was loaded from, or its class.
        tenant: Whose policy and log namespace apply.
    """
    config = getattr(pipe, "config", None) or {}
    named = config.get("_name_or_path") if hasattr(config, "get") else None
    return Governed(pipe, pipeline, str(model or named or type(pipe).__name__)[-100:], tenant)


class Governed:
    """A wrapped pipeline: what is called is judged and sealed, all else is the pipeline's own."""

    def __init__(self, pipe: Any, pipeline: Pipeline, model: str, tenant: str) -> None:
        self._pipe = pipe
        self._pipeline = pipeline
        self._model = model
        self._tenant = tenant

    def __getattr__(self, name: str) -> Any:
        return getattr(self._pipe, name)

    def to(self, *arguments: Any, **named: Any) -> Self:
        """Move the pipeline to a device; it stays wrapped."""
        self._pipe.to(*arguments, **named)
        return self

    def __call__(
        self, prompt: str | list[str] | None = None, *arguments: Any, **named: Any
    ) -> GovernedResult:
        """Judge the prompt, run the pipeline, and seal what it made.

        Raises:
            Refused: The prompt may not be drawn, or no picture may leave.
            InvalidRequest: ``output_type`` asks for something that is no finished picture.
            ChopmarkError: Something could not be judged, marked, signed or booked.
        """
        if named.pop("output_type", "pil") != "pil":
            raise InvalidRequest(
                "what is no finished picture cannot be sealed",
                hint="leave output_type away: pictures come as PIL",
                param="output_type",
            )
        named.pop("return_dict", None)
        prompts = [prompt] if isinstance(prompt, str) else list(prompt or [])
        against = named.get("negative_prompt")
        words = [*prompts, *([against] if isinstance(against, str) else against or [])]
        wait_for(check_prompts(self._pipeline, words, tenant=self._tenant))
        if prompt is not None:
            named["prompt"] = prompt
        pictures = self._pipe(*arguments, **named, output_type="pil").images
        # Several pictures of one prompt stand together (diffusers, num_images_per_prompt).
        each = max(1, len(pictures) // max(1, len(prompts)))
        released: list[Released] = []
        refused: list[Refused] = []
        for number, picture in enumerate(pictures):
            text = prompts[min(number // each, len(prompts) - 1)] if prompts else ""
            sealed = wait_for(
                seal(
                    self._pipeline, as_png(picture),
                    prompt=text, model=self._model, tenant=self._tenant,
                )
            )  # fmt: skip
            if isinstance(sealed, Refused):
                refused.append(sealed)
            else:
                released.append(sealed)
        if not released:
            raise refused[0]
        return GovernedResult(
            images=[_opened(one.outputs[0].data) for one in released],
            released=released,
            refused=refused,
        )


def _opened(data: bytes) -> Image.Image:
    with Image.open(io.BytesIO(data)) as picture:
        picture.load()
        return picture.copy()

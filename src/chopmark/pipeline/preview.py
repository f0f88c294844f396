"""What may be seen of a picture before it is finished: judged, small, and labelled as a preview.

A preview carries neither watermark nor manifest, since the picture that it foretells may yet be
refused; so it says what it is in letters that cannot be overlooked, and it is too small to be taken
for an output.
"""

from __future__ import annotations

import io
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from chopmark.kit.limits import PREVIEW_SIDE

if TYPE_CHECKING:
    from chopmark.generation import Draft
    from chopmark.kit.types import JsonValue
    from chopmark.safety import Verdict

__all__ = ["Preview", "PreviewSink", "make_preview"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Preview:
    """A look at an unfinished picture that was judged and may be shown.

    Attributes:
        index: 1..n, the picture's place in the request.
        step: Denoising steps that were done.
        steps: Denoising steps of this picture in all.
        width: Pixels, at most 256.
        height: Pixels, at most 256.
        data: A PNG file with "AI preview" and the step written across its foot.
        verdict: What the picture guards said.
    """

    index: int
    step: int
    steps: int
    width: int
    height: int
    data: bytes = field(repr=False)
    verdict: Verdict

    @property
    def mime(self) -> str:
        """Media type of ``data``."""
        return "image/png"

    def to_dict(self) -> dict[str, JsonValue]:
        """Return everything but the bytes, for machines."""
        return {
            "index": self.index,
            "step": self.step,
            "steps": self.steps,
            "width": self.width,
            "height": self.height,
            "verdict": self.verdict.to_dict(),
        }


class PreviewSink(Protocol):
    """Takes previews, in the order in which they were made."""

    def __call__(self, preview: Preview, /) -> None:
        """Take one; called from a worker thread, must return quickly and never raise."""


def make_preview(draft: Draft, verdict: Verdict) -> Preview:
    """Return the preview of a draft that ``verdict`` let through."""
    from PIL import Image

    from chopmark.provenance import LabelStyle, draw_label

    picture = draft.picture.convert("RGB")
    picture.thumbnail((PREVIEW_SIDE.most, PREVIEW_SIDE.most))
    # The label needs this much room; what is narrower stands on black.
    width, height = (max(PREVIEW_SIDE.least, side) for side in picture.size)
    if (width, height) != picture.size:
        canvas = Image.new("RGB", (width, height))
        canvas.paste(picture, ((width - picture.width) // 2, (height - picture.height) // 2))
        picture = canvas
    label = f"AI preview {draft.step}/{draft.steps}"
    shown = draw_label(picture, LabelStyle(text=label, position="bottom_bar", size=0.07))
    out = io.BytesIO()
    shown.save(out, "PNG", compress_level=1)
    return Preview(
        index=draft.index,
        step=draft.step,
        steps=draft.steps,
        width=width,
        height=height,
        data=out.getvalue(),
        verdict=verdict,
    )

"""What may be seen of a picture before it is finished: judged, small, and labelled as a preview.

A preview carries neither watermark nor manifest, since the picture that it foretells may yet be
refused. So it must be of no use in place of one: no side has more than 96 pixels, lines and letters
lie over all of it, not over an edge that could be cut off, and it is booked before it is shown.
"""

from __future__ import annotations

import io
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Protocol

from chopmark.kit.limits import PREVIEW_SIDE

if TYPE_CHECKING:
    from PIL import Image

    from chopmark.generation import Draft
    from chopmark.kit.types import JsonValue
    from chopmark.safety import Verdict

__all__ = ["Preview", "PreviewSink", "make_preview"]

_LINES_APART: Final = 16
_LIGHT: Final = (255, 255, 255, 130)
_DARK: Final = (0, 0, 0, 130)


@dataclass(frozen=True, slots=True, kw_only=True)
class Preview:
    """A look at an unfinished picture that was judged and may be shown.

    Attributes:
        index: 1..n, the picture's place in the request.
        step: Denoising steps that were done.
        steps: Denoising steps of this picture in all.
        width: Pixels, at most 96.
        height: Pixels, at most 96.
        data: A PNG file with lines and "AI" over all of it, and the step written across its foot.
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


def _overlaid(picture: Image.Image) -> Image.Image:
    """Return the picture under crossing lines and letters that no crop of it is free of."""
    from PIL import Image, ImageDraw, ImageFont

    width, height = picture.size
    layer = Image.new("RGBA", picture.size, (0, 0, 0, 0))
    pen = ImageDraw.Draw(layer)
    for start in range(-height, width + height, _LINES_APART):
        # A dark line beside a light one shows on any ground.
        for shift, ink in ((0, _LIGHT), (1, _DARK)):
            pen.line([(start + shift, 0), (start + shift + height, height)], fill=ink)
            pen.line([(start + shift, 0), (start + shift - height, height)], fill=ink)
    font = ImageFont.load_default(min(width, height) / 2)
    pen.text(
        (width / 2, height / 2), "AI", anchor="mm", font=font, fill=_LIGHT, stroke_width=1,
        stroke_fill=_DARK,
    )  # fmt: skip
    return Image.alpha_composite(picture.convert("RGBA"), layer).convert("RGB")


def make_preview(draft: Draft, verdict: Verdict) -> Preview:
    """Return the preview of a draft that ``verdict`` let through."""
    from PIL import Image

    from chopmark.provenance import LabelStyle, draw_label

    picture = draft.picture.convert("RGB")
    picture.thumbnail((PREVIEW_SIDE.most, PREVIEW_SIDE.most))
    # The words across the foot need the whole width; what is narrower stands on black.
    width, height = PREVIEW_SIDE.most, max(PREVIEW_SIDE.least, picture.height)
    if (width, height) != picture.size:
        canvas = Image.new("RGB", (width, height))
        canvas.paste(picture, ((width - picture.width) // 2, (height - picture.height) // 2))
        picture = canvas
    # Two digits each are what fits; the step stands beside the file as well.
    where = f" {draft.step}/{draft.steps}" if draft.steps < 100 else ""
    label = f"AI preview{where}"
    shown = draw_label(_overlaid(picture), LabelStyle(text=label, position="bottom_bar", size=0.07))
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

"""Ten files, one for each verdict of ``verify``: for the pictures of ``docs/verify.md``.

The signers are those of the tests, with certificates of their own; one of them is put on a list
that the installation at hand believes.
"""

from __future__ import annotations

import io
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PIL import Image, ImageDraw, ImageFilter

from chopmark.provenance import XmpFields, write_xmp
from chopmark.provenance.reattachment import remove
from chopmark.provenance.xmp import Aigc

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["verdict_files"]

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "unit" / "provenance"))


def verdict_files(made: bytes, anchors: Path) -> Iterator[tuple[str, bytes]]:
    """Yield each verdict's name and a file that has it.

    Args:
        made: A picture that was made here, as it left.
        anchors: Folder of the trust lists; the list of a camera maker is put in.
    """
    import provenance_attacks as attacks  # type: ignore[import-not-found]

    camera = attacks.Outsider(organisation="Camera Works Ltd", name="Camera 1")
    stranger = attacks.Outsider(organisation="Photo Editor GmbH", name="Editor")
    (anchors / "manifest").mkdir(parents=True, exist_ok=True)
    (anchors / "manifest" / "camera-list.pem").write_text(f"# date: 2026-11-01\n{camera.root_pem}")
    photo = _landscape()
    with Image.open(io.BytesIO(made)) as opened:
        picture = opened.convert("RGB")
    yield "made_here", made
    yield "marked_but_altered", _jpeg(picture.crop((24, 24, 500, 500)))
    yield "edited_after_signing", attacks.changed_pixels(made)
    yield "contradictory", camera.sign(remove(made))
    yield "resembles_ours", _jpeg(_without_mark(picture))
    yield "made_by_ai_elsewhere", stranger.sign(photo, source_type="trainedAlgorithmicMedia")
    yield (
        "edited_by_ai_elsewhere",
        camera.sign(
            photo, source_type="compositeWithTrainedAlgorithmicMedia", parent=camera.sign(photo)
        ),
    )
    yield "maybe_ai_elsewhere", _labelled(photo)
    yield "authentic_other", camera.sign(photo)
    yield "no_signal", photo


def _landscape() -> bytes:
    """Draw hills at dusk: a picture that looks like nothing that was made here."""
    image = Image.new("RGB", (640, 480))
    draw = ImageDraw.Draw(image)
    for y in range(480):
        draw.line((0, y, 640, y), (70 + y // 4, 90 + y // 5, 150 - y // 6))
    draw.ellipse((430, 90, 510, 170), (250, 220, 160))
    for step, shade in enumerate(((66, 84, 92), (48, 66, 70), (30, 46, 48))):
        top = 250 + 60 * step
        points = [(x, top + (x * (7 + step) // 9 * 13) % 61) for x in range(0, 700, 35)]
        draw.polygon([(0, 480), *points, (680, 480)], shade)
    return _jpeg(image.filter(ImageFilter.GaussianBlur(0.8)))


def _without_mark(picture: Image.Image) -> Image.Image:
    """Return a picture that went through a thumbnail, in which no mark survives."""
    small = picture.resize((72, 72), Image.Resampling.BICUBIC)
    return small.resize(picture.size, Image.Resampling.BICUBIC)


def _labelled(photo: bytes) -> bytes:
    fields: dict[str, Any] = {"system": "", "system_version": "", "source_type": "unknown"}
    return write_xmp(photo, "jpeg", XmpFields(**fields, aigc=Aigc(label="2")))


def _jpeg(image: Image.Image) -> bytes:
    out = io.BytesIO()
    image.save(out, "JPEG", quality=88)
    return out.getvalue()

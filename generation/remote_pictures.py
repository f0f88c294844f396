"""Pictures that go to a remote generator and come from one, which are bytes of a stranger."""

from __future__ import annotations

import base64
import binascii
import io
from typing import TYPE_CHECKING, Final

from PIL import Image, ImageOps

from chopmark.errors import GenerationFailed
from chopmark.generation.drafts import small

if TYPE_CHECKING:
    from chopmark.generation.interface import GenerationJob

_FORMATS: Final = ("PNG", "JPEG", "WEBP")
#: How far the proportions of an answer may be off before it is refused.
_OFF: Final = 0.05


def form_files(job: GenerationJob) -> list[tuple[str, tuple[str, bytes, str]]]:
    """Return the parts of an edit's form: the pictures, and the mask in OpenAI's form."""
    name = "image" if len(job.images) == 1 else "image[]"
    files = [
        (name, (f"{i}.png", _png(one.convert("RGB")), "image/png"))
        for i, one in enumerate(job.images)
    ]
    if job.mask is not None:
        # Where OpenAI's mask is transparent the picture is repainted; where ours is white.
        keep = ImageOps.invert(job.mask.convert("L").resize(job.images[0].size))
        mask = Image.new("RGBA", keep.size)
        mask.putalpha(keep)
        files.append(("mask", ("mask.png", _png(mask), "image/png")))
    return files


def from_base64(text: str) -> bytes:
    """Return what ``text`` encodes.

    Raises:
        GenerationFailed: It is no base64.
    """
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise GenerationFailed("the remote generator sent no base64") from error


def fitted(data: bytes, job: GenerationJob, *, max_pixels: int) -> Image.Image:
    """Decode an answer and bring it to the asked size; outside a mask the input stays.

    Raises:
        GenerationFailed: It is no picture, too large, or of other proportions.
    """
    size = (job.width, job.height)
    picture = _decoded(data, max_pixels=max_pixels)
    if abs(picture.width / picture.height / (size[0] / size[1]) - 1.0) > _OFF:
        raise GenerationFailed(
            f"the remote generator made {picture.width}x{picture.height} where {size[0]}x{size[1]}"
            " was asked",
            hint="ask for a size that its model can make",
        )
    if picture.size != size:
        picture = picture.resize(size, Image.Resampling.LANCZOS)
    if job.mask is None:
        return picture
    original = ImageOps.fit(job.images[0].convert("RGB"), size, Image.Resampling.LANCZOS)
    mask = ImageOps.fit(job.mask.convert("L"), size, Image.Resampling.BILINEAR)
    return Image.composite(picture, original, mask)


def look(data: bytes, job: GenerationJob, *, max_pixels: int) -> Image.Image:
    """Decode an unfinished picture to the size of a draft, in whatever proportions it came.

    Raises:
        GenerationFailed: It is no picture, or too large.
    """
    picture = _decoded(data, max_pixels=max_pixels)
    picture.thumbnail((max(small(job.width, job.height)),) * 2)
    return picture


def _decoded(data: bytes, *, max_pixels: int) -> Image.Image:
    try:
        with Image.open(io.BytesIO(data), formats=_FORMATS) as opened:
            if opened.width * opened.height > max_pixels:
                raise GenerationFailed(f"the picture has {opened.width}x{opened.height} pixels")
            return opened.convert("RGB")
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise GenerationFailed(
            "what the remote generator sent is no PNG, JPEG or WebP", hint="see its own log"
        ) from error


def _png(picture: Image.Image) -> bytes:
    out = io.BytesIO()
    picture.save(out, "PNG")
    return out.getvalue()

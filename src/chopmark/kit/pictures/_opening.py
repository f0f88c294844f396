"""One file on its way to a `PictureFile`: what is wrong with it is mended where that can be."""

from __future__ import annotations

import contextlib
import io
from typing import TYPE_CHECKING, Final

from chopmark.errors import ImageTooLarge, OverMemory, UnreadableImage
from chopmark.kit.pictures import _heic
from chopmark.kit.pictures._colour import PLAIN, Colour
from chopmark.kit.pictures._cut_off import filled_up
from chopmark.kit.pictures._decoding import decoding, rows_there
from chopmark.kit.pictures._jpeg import clean_jpeg, further_pictures
from chopmark.kit.pictures._png import clean_png, mended_png
from chopmark.kit.pictures._still import from_numbers
from chopmark.kit.pictures.picture_file import PictureFile

if TYPE_CHECKING:
    from PIL import Image

__all__ = ["Opening", "check_pixels"]

# Pixels of all frames after the first: each is looked at like a picture of its own.
_MOST_FURTHER: Final = 32_000_000
_FORMATS: Final = {
    "png": "PNG", "jpeg": "JPEG", "webp": "WEBP", "avif": "AVIF", "gif": "GIF", "bmp": "BMP",
    "tiff": "TIFF",
}  # fmt: skip
_ORIENTATION: Final = 0x0112
_BITS: Final = 258
# What programs fill files up with.
_FILL: Final = b"\0\xff\r\n "
# What turns a picture upright, by EXIF's number (Exif 3.0, 4.6.4.1.6), as Pillow counts turns.
_TURNS: Final = {2: 0, 3: 3, 4: 1, 5: 5, 6: 4, 7: 6, 8: 2}


def check_pixels(width: int, height: int, most: int) -> None:
    """Refuse a picture of too many pixels.

    Raises:
        ImageTooLarge: It has more than ``most``.
    """
    if width * height > most:
        raise ImageTooLarge(
            f"the picture is {width} x {height} pixels, the limit is {most} in all",
            hint="scale it down first",
        )


class Opening:
    """One file on its way to a `PictureFile`."""

    def __init__(
        self, data: bytes, kind: str, max_pixels: int, most_frames: int, *, upright: bool
    ) -> None:
        self._data, self._kind, self._upright = data, kind, upright
        self._max_pixels, self._most_frames = max_pixels, most_frames
        self._left = _MOST_FURTHER
        self._frames: list[Image.Image] = []
        self._missed: dict[str, None] = {}
        self._damage: list[str] = []
        self._share = 1.0
        self._exif = b""
        self._colour = PLAIN
        self._dpi: tuple[float, float] | None = None
        self._deep = False

    def file(self) -> PictureFile:
        """Return what was found, once the first frame is there."""
        data, further, indexed = self._data, list[tuple[int, int]](), 0
        end = len(data)
        if self._kind == "png":
            clean = clean_png(data)
            data, self._colour, self._exif, end = clean.data, clean.colour, clean.exif, clean.end
            self._damage += clean.damage
        elif self._kind == "jpeg":
            cleaned = clean_jpeg(data)
            data, self._colour, self._exif = cleaned.data, cleaned.colour, cleaned.exif
            self._damage += cleaned.damage
            self._share = 1.0 if cleaned.whole else 0.999
            further, indexed = further_pictures(self._data)
            end = max([cleaned.end, *(last for _, last in further)])
        elif self._kind == "webp":
            end = 8 + int.from_bytes(data[4:8], "little")
        in_file, default_alone = self._decode(data)
        for first, last in further[: self._most_frames - 1]:
            self._further(self._data[first:last])
        in_file += indexed
        if indexed > len(further):
            self._missed["further pictures of the file are not where its index says"] = None
        if len(self._frames) < in_file:
            self._missed.setdefault(
                f"only {len(self._frames)} of its {in_file} frames or pictures were looked at", None
            )
        if self._share < 1:
            self._missed["a part of its pixels is not there"] = None
        shown = [True] * len(self._frames)
        if default_alone or indexed:
            shown = [number == 0 for number in range(len(shown))]
            shown = [not one for one in shown] if default_alone else shown
        return PictureFile(
            kind=self._kind, frames=tuple(self._frames), shown=tuple(shown), in_file=in_file,
            colour=self._colour, damage=tuple(self._damage), share=self._share,
            missed=tuple(self._missed), exif=self._exif, dpi=self._dpi, deep=self._deep,
            behind=len(self._data) - end if self._data[end:].strip(_FILL) else 0,
        )  # fmt: skip

    def _decode(self, data: bytes) -> tuple[int, bool]:
        """Decode what one decoder sees; return how many frames there are, and APNG's default."""
        try:
            return self._with_pillow(data)
        except (ImageTooLarge, OverMemory):
            raise
        except UnreadableImage:
            if self._kind == "png":
                return self._mended(data), False
            if filled_up(data, self._kind) is not None:
                return self._filled(data), False
            if self._kind == "tiff":
                return self._with_opencv(data), False
            raise

    def _with_pillow(self, data: bytes) -> tuple[int, bool]:
        from PIL import Image

        with decoding(self._kind):
            image = (
                _heic.opened(data)
                if self._kind == "heic"
                else Image.open(io.BytesIO(data), formats=[_FORMATS[self._kind]])
            )
            check_pixels(*image.size, self._max_pixels)
            image.load()
            self._said_beside(image)
            count = max(1, int(getattr(image, "n_frames", 1)))
            default_alone = bool(image.info.get("default_image")) and count > 1
            self._take(image, alone=count == 1)
            if self._kind == "jpeg" and self._damage:
                self._share = min(self._share, rows_there(self._frames[0]))
            if count > 1:
                self._rest(image, count)
                image.close()
            return count, default_alone

    def _said_beside(self, image: Image.Image) -> None:
        # What is read has 8 bits a channel: whether these are all is known of two kinds.
        if self._kind == "png":
            self._deep = self._data[24:25] == b"\x10"
        elif self._kind == "tiff":
            self._deep = max(getattr(image, "tag_v2", {}).get(_BITS, (8,))) > 8
        if self._kind not in {"png", "jpeg"}:
            profile = image.info.get("icc_profile")
            self._colour = Colour(profile=profile) if profile else PLAIN
            with contextlib.suppress(Exception):  # EXIF of strangers raises whatever it likes
                self._exif = image.getexif().tobytes().removeprefix(b"Exif\0\0")
        with contextlib.suppress(TypeError, ValueError, KeyError):
            across, down = image.info["dpi"]
            self._dpi = float(across), float(down)

    def _rest(self, image: Image.Image, count: int) -> None:
        for number in range(1, min(count, self._most_frames)):
            try:
                image.seek(number)
                if image.width * image.height > min(self._left, self._max_pixels):
                    break
                with decoding(self._kind):
                    image.load()
            except Exception as error:
                if isinstance(error, OverMemory):
                    raise
                self._damage.append(f"its frame {number + 1} cannot be decoded")
                break
            self._left -= image.width * image.height
            self._take(image)

    def _take(self, image: Image.Image, *, alone: bool = False) -> None:
        """Keep a frame; one that is alone is kept itself, as each copy of the largest is 192 MB."""
        from PIL import Image as Pillow

        turn = _TURNS.get(self._orientation(image)) if self._upright else None
        frame = image if alone else image.copy()
        frame.info = {k: v for k, v in image.info.items() if k == "transparency"}
        self._frames.append(frame if turn is None else frame.transpose(Pillow.Transpose(turn)))

    def _orientation(self, image: Image.Image) -> int:
        from PIL import Image as Pillow

        with contextlib.suppress(Exception):  # EXIF of strangers raises whatever it likes
            if self._kind not in {"png", "jpeg"}:
                return int(image.getexif().get(_ORIENTATION, 1))
            exif = Pillow.Exif()
            exif.load(b"Exif\0\0" + self._exif if self._exif else b"")
            return int(exif.get(_ORIENTATION, 1))
        return 1

    def _further(self, data: bytes) -> None:
        """Decode a further picture of a camera's file, which is a JPEG of its own."""
        from PIL import Image

        cleaned = clean_jpeg(data)
        if cleaned.damage:
            self._missed["a further picture of the file is cut off"] = None
        with (
            contextlib.suppress(UnreadableImage),
            decoding(self._kind),
            Image.open(io.BytesIO(cleaned.data), formats=["JPEG"]) as image,
        ):
            if image.width * image.height <= min(self._left, self._max_pixels):
                image.load()
                self._left -= image.width * image.height
                self._take(image)

    def _mended(self, data: bytes) -> int:
        mended = mended_png(data, most=8 * self._max_pixels + (1 << 20))
        if mended is None:
            raise UnreadableImage(
                "the PNG file is damaged: next to nothing of its picture is left",
                hint="send the whole, intact file",
            )
        whole, share = mended
        count, _ = self._with_pillow(whole)
        self._share = min(self._share, share)
        self._damage.append("its pixels break off")
        return count

    def _filled(self, data: bytes) -> int:
        """Decode a file whose end is missing, up to where it breaks off."""
        filled = filled_up(data, self._kind)
        assert filled is not None  # noqa: S101  asked before
        whole, share = filled
        count, _ = self._with_pillow(whole)
        if self._kind == "gif":
            share = min(0.999, rows_there(self._frames[0]))
        self._share = min(self._share, share)
        self._damage.append("it is cut off")
        return count

    def _with_opencv(self, data: bytes) -> int:
        """Decode a TIFF that Pillow has no mode for: several channels of float or 16 bits."""
        self._deep = True
        import cv2
        import numpy as np

        with decoding(self._kind):
            # What is wrong with a stranger's file is said once, by us.
            cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
            pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
            if (
                pixels is None
                or pixels.ndim not in {2, 3}
                or (pixels.ndim == 3 and pixels.shape[2] not in {3, 4})
            ):
                raise UnreadableImage(
                    "the TIFF picture is damaged or cut off, or of a sort that is not decoded here",
                    hint="send the whole, intact file, with 8 bits a channel",
                )
            self._take(from_numbers(pixels))
        return 1

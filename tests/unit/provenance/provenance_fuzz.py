"""Mutated files for the reader, the same ones for the same seed.

Half of the mutations hit the manifest, since a random place in a picture is nearly always in its
compressed pixels, where nothing but a hash changes. PNG checksums are made right half of the time,
or a reader that looks at them would see none of the rest.
"""

from __future__ import annotations

import io
import random
from typing import TYPE_CHECKING, Any

from PIL import Image, ImageCms

from chopmark.provenance._boxes import png_chunk
from chopmark.provenance._formats import sniff

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

__all__ = ["Mutant", "mutants"]

Mutant = tuple[int, bytes]
_CBOR = (
    b"\x9f",
    b"\xbf",
    b"\x5f",
    b"\x9b\x7f" + b"\xff" * 7,
    b"\x81" * 600,
    b"\xa1" * 600,
    b"\xc0" * 600,
    b"\xfb\x7f\xf8\0\0\0\0\0\0",
)
_NUMBERS = (0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0xFFFFFFFF, 0xFFFFFFFFFFFFFFFF)


def mutants(seeds: Sequence[bytes], count: int, *, start: int = 0) -> Iterator[Mutant]:
    """Yield ``count`` mutated files with the number that makes each again."""
    for number in range(start, start + count):
        rng = random.Random(number)  # noqa: S311 - repeatable, not secret
        data = bytearray(rng.choice(seeds))
        for _ in range(rng.choice((1, 1, 2, 4, 16))):
            _mutate(data, rng, seeds)
        if sniff(bytes(data[:64])) == "png" and rng.random() < 0.5:
            data = bytearray(_with_checksums(bytes(data)))
        yield number, bytes(data)


def plain_seeds() -> list[bytes]:
    """Return small unsigned pictures of every format that is told apart."""
    picture = Image.effect_mandelbrot((24, 24), (-2, -1.5, 1, 1.5), 40).convert("RGB")
    other = picture.transpose(Image.Transpose.ROTATE_180)
    kinds = ("PNG", "JPEG", "WEBP", "AVIF", "GIF", "TIFF", "BMP")
    found = [_saved(picture, fmt) for fmt in kinds]
    # More than one picture, colours of their own, other modes, and texts that name a generator.
    moving = {"save_all": True, "append_images": [other]}
    found += [_saved(picture, fmt, **moving) for fmt in ("PNG", "WEBP", "GIF", "TIFF", "MPO")]
    found.append(_saved(picture.convert("CMYK"), "JPEG"))
    found.append(_saved(picture.convert("LA"), "PNG"))
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    found += [_saved(picture, fmt, icc_profile=profile) for fmt in ("PNG", "JPEG", "WEBP")]
    packet = (
        b'<rdf:RDF><rdf:Description e:DigitalSourceType="x/trainedAlgorithmicMedia"/></rdf:RDF>'
    )
    found += [_saved(picture, fmt, xmp=packet) for fmt in ("JPEG", "WEBP", "AVIF")]
    plain = found[0]
    text = png_chunk(b"tEXt", b"parameters\0a sea\nSteps: 20, Sampler: Euler a, Seed: 1")
    found.append(plain[:33] + text + plain[33:])
    return found


def _saved(picture: Image.Image, fmt: str, **options: Any) -> bytes:
    out = io.BytesIO()
    picture.save(out, fmt, **options)
    return out.getvalue()


def _place(data: bytearray, rng: random.Random) -> int:
    start = data.find(b"jumb")
    if start > 0 and rng.random() < 0.5:
        return min(len(data) - 1, start - 8 + rng.randrange(6000))
    if rng.random() < 0.3:
        return rng.randrange(min(len(data), 256))
    return rng.randrange(len(data))


def _mutate(data: bytearray, rng: random.Random, seeds: Sequence[bytes]) -> None:
    if not data:
        return
    at = _place(data, rng)
    match rng.randrange(9):
        case 0:
            data[at] ^= 1 << rng.randrange(8)
        case 1:
            data[at] = rng.randrange(256)
        case 2:
            width = rng.choice((1, 2, 4, 8))
            value = rng.choice(_NUMBERS) & ((1 << 8 * width) - 1)
            order = rng.choice(("big", "little"))
            data[at : at + width] = value.to_bytes(width, order)  # type: ignore[arg-type]
        case 3:
            del data[at : at + rng.choice((1, 4, 8, 64, 1024))]
        case 4:
            data[at:at] = rng.randbytes(rng.choice((1, 4, 8, 64, 1024)))
        case 5:
            length = rng.choice((8, 64, 512, 4096))
            data[at:at] = data[at : at + length] * rng.choice((1, 2, 8))
        case 6:
            other = rng.choice(seeds)
            begin = rng.randrange(len(other))
            data[at:] = other[begin:]
        case 7:
            del data[at:]
        case _:
            # CBOR heads that promise more than there is, deep nests, and indefinite lengths.
            head = rng.choice(_CBOR)
            data[at : at + len(head)] = head


def _with_checksums(data: bytes) -> bytes:
    out = bytearray(data[:8])
    at = 8
    while at + 12 <= len(data):
        length = int.from_bytes(data[at : at + 4], "big")
        if at + 12 + length > len(data):
            break
        out += png_chunk(data[at + 4 : at + 8], data[at + 8 : at + 8 + length])
        at += 12 + length
    return bytes(out) + data[at:]

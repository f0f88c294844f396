"""``chopmark mark embed|detect``: the watermark alone, outside the pipeline."""

from __future__ import annotations

import io
import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from chopmark.cli._say import EXIT_NOT_AUTHENTIC, emit, show_p
from chopmark.cli.create import _format, read
from chopmark.errors import InvalidRequest

if TYPE_CHECKING:
    from chopmark.provenance.watermark import MarkKeys
    from chopmark.settings import Settings

__all__ = ["app"]

app = typer.Typer(help="Strike or read the watermark of a picture.", no_args_is_help=True)
Method = Annotated[
    str | None,
    typer.Option("--method", help="lattice, dwtDct, dwtDctSvd, rivaGan, or of a plugin."),
]


@app.command()
def embed(
    image: Annotated[Path, typer.Argument(help="The picture to mark.")],
    output: Annotated[Path, typer.Option("-o", "--output", help="Where the marked copy goes.")],
    payload: Annotated[str, typer.Option("--payload", help="64 bits as 16 hex digits.")],
    method: Method = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
) -> None:
    """Write a marked copy of a picture. Says nothing about where the picture came from."""
    if not re.fullmatch(r"[0-9a-fA-F]{16}", payload):
        raise InvalidRequest(f"--payload {payload!r} is not 16 hex digits")
    from chopmark.provenance import embed_mark, encode_image
    from chopmark.safety import decode_image
    from chopmark.settings import load_settings

    settings = load_settings(mark_method=method)
    fmt = _format(None, output)
    assert fmt is not None  # noqa: S101  _format refuses a name without a known suffix
    picture = decode_image(
        read(image), max_bytes=settings.max_image_bytes, max_pixels=settings.max_image_pixels
    )
    marked = embed_mark(
        picture,
        bytes.fromhex(payload),
        key=_keys(settings).active,
        method=settings.mark_method,
    )
    output.write_bytes(encode_image(marked, fmt))
    if as_json:
        emit({"file": str(output), "payload": payload.lower(), "method": settings.mark_method})
    else:
        typer.echo(f"{output}: marked with {payload.lower()} ({settings.mark_method})")


@app.command()
def detect(
    image: Annotated[Path, typer.Argument(help="The picture to look at.")],
    method: Method = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
) -> None:
    """Look for a watermark of ours. Exit code 0 when there is one, 4 when there is none."""
    from PIL import Image, UnidentifiedImageError

    from chopmark.provenance import detect_mark
    from chopmark.settings import load_settings

    settings = load_settings(mark_method=method)
    try:
        with Image.open(io.BytesIO(read(image))) as picture:
            picture.load()
            found = detect_mark(
                picture,
                keys=_keys(settings).all,
                methods=(settings.mark_method,),
            )
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError) as error:
        raise InvalidRequest(f"{image} is not a picture that can be read: {error}") from error
    if as_json:
        emit(found.to_dict())
    elif found.detected and found.payload is not None:
        typer.echo(f"{image}: mark {found.payload.hex()}, {show_p(found.p_value)} ({found.method})")
    else:
        typer.echo(f"{image}: no mark of ours ({show_p(found.p_value)})")
    if not found.detected:
        raise typer.Exit(EXIT_NOT_AUTHENTIC)


def _keys(settings: Settings) -> MarkKeys:
    """Return the keys, after the plugins had their chance to bring watermark methods."""
    from chopmark.rooms import Rooms

    rooms = Rooms(settings)
    _ = rooms.plugins
    return rooms.mark_keys

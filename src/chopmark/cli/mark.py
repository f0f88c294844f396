"""``chopmark mark embed|detect``: the watermark alone, outside the pipeline."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from chopmark.cli.generate import _format, read
from chopmark.cli.output import EXIT_NOT_AUTHENTIC, emit, show_p
from chopmark.errors import InvalidRequest

if TYPE_CHECKING:
    from PIL import Image

    from chopmark.kit.pictures import PictureFile
    from chopmark.pipeline.parts import Parts
    from chopmark.provenance import MarkResult
    from chopmark.settings import Settings

__all__ = ["app"]

app = typer.Typer(help="Strike or read the watermark of a picture.", no_args_is_help=True)
Method = Annotated[
    str | None,
    typer.Option(
        "--method", help="lattice, dwtDct, dwtDctSvd, rivaGan, trustMark, or of a plugin."
    ),
]
_ID = re.compile(r"[0-9a-fA-F]{16}")


@app.command()
def embed(
    image: Annotated[Path, typer.Argument(help="The picture to mark.")],
    output: Annotated[Path, typer.Option("-o", "--output", help="Where the marked copy goes.")],
    payload: Annotated[str, typer.Option("--payload", help="64 bits as 16 hex digits.")],
    method: Method = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
) -> None:
    """Write a marked copy of a picture. Says nothing about where the picture came from.

    Mode, depth, alpha, colour profile, EXIF and size in print stay as they are, as far as the
    format that is written can hold them.
    """
    if not _ID.fullmatch(payload):
        raise InvalidRequest(f"--payload {payload!r} is not 16 hex digits")
    from chopmark.provenance import detect_mark, embed_mark
    from chopmark.provenance.copies import encode_like, picture_to_change

    parts = _parts()
    settings = parts.settings
    method = method or settings.mark_method
    fmt = _format(None, output)
    assert fmt is not None  # noqa: S101  _format refuses a name without a known suffix
    file = _opened(read(image), settings, upright=False)
    picture = picture_to_change(file)
    key = parts.mark_keys.active
    word = bytes.fromhex(payload)
    encoded = encode_like(embed_mark(picture, word, key=key, method=method), fmt, file)
    # A lossy file may have lost what embed_mark had read in the pixels.
    written = next(_opened(encoded, settings).plain())
    found = detect_mark(written, keys=[key], methods=[method], candidates=[word])
    if not found.detected:
        raise InvalidRequest(
            f"the {method} mark does not survive in {output.name} ({show_p(found.p_value)})",
            hint="a lossless format (.png) or a larger picture carries it; nothing was written",
        )
    output.write_bytes(encoded)
    if as_json:
        emit({"file": str(output), "payload": payload.lower(), "method": method})
    else:
        typer.echo(f"{output}: marked with {payload.lower()} ({method})")


@app.command()
def detect(
    image: Annotated[Path, typer.Argument(help="The picture to look at.")],
    method: Method = None,
    known: Annotated[
        bool,
        typer.Option("--known", help="Only ids of this deployment's manifest store count."),
    ] = False,
    candidates: Annotated[
        Path | None,
        typer.Option("--candidates", help="Only the ids in this file count, one a line."),
    ] = None,
    original: Annotated[
        Path | None,
        typer.Option(
            "--original", help="The unmarked picture, or a folder: the one in it that fits best."
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
) -> None:
    """Look for a watermark of ours. Exit code 0 when there is one, 4 when there is none.

    Fewer possible ids, or the original, let a mark be read in a picture that is badly damaged.
    """
    from chopmark.provenance import detect_mark

    if known and candidates is not None:
        raise InvalidRequest("--known and --candidates exclude one another")
    parts = _parts()
    file = _opened(read(image), parts.settings)
    frames = list(file.plain())
    chosen = None if original is None else _original(frames[0], original)
    beside = None if chosen is None else next(_opened(read(chosen), parts.settings).plain())
    ids = _known_ids(parts) if known else _listed(candidates)
    for picture in frames:
        found = detect_mark(
            picture,
            keys=parts.mark_keys.all,
            methods=(method or parts.settings.mark_method,),
            candidates=ids,
            original=beside,
        )
        if found.detected:
            break
    _tell(image, found, chosen, missed="; ".join(file.missed), as_json=as_json)


def _tell(
    image: Path, found: MarkResult, original: Path | None, *, missed: str, as_json: bool
) -> None:
    if as_json:
        progress = {} if original is None else {"original": str(original)}
        emit({**found.to_dict(), **progress, "missed": missed})
    elif found.detected and found.payload is not None:
        with_it = "" if original is None else f", against {original}"
        typer.echo(
            f"{image}: mark {found.payload.hex()}, {show_p(found.p_value)} "
            f"({found.method}, key {found.key_id}{with_it}){_where(found)}"
        )
    else:
        typer.echo(f"{image}: no mark of ours ({show_p(found.p_value)})")
        if missed:
            typer.echo(f"not looked at: {missed}", err=True)
    if not found.detected:
        raise typer.Exit(EXIT_NOT_AUTHENTIC)


def _where(found: MarkResult) -> str:
    box = found.details.get("box")
    if not isinstance(box, list):
        return ""
    left, top, width, height = box
    return f", in the part of {width}x{height} pixels at {left},{top}"


def _opened(data: bytes, settings: Settings, *, upright: bool = True) -> PictureFile:
    from chopmark.errors import ImageTooLarge
    from chopmark.kit.pictures import read_picture

    if len(data) > settings.max_image_bytes:
        raise ImageTooLarge(
            f"the file has {len(data)} bytes, the limit is {settings.max_image_bytes}",
            hint="CHOPMARK_MAX_IMAGE_BYTES allows more",
        )
    return read_picture(data, max_pixels=settings.max_image_pixels, upright=upright)


def _parts() -> Parts:
    """The rooms of this deployment, after plugins had their chance to bring methods."""
    from chopmark.pipeline.parts import Parts
    from chopmark.settings import load_settings

    parts = Parts(load_settings())
    _ = parts.plugins
    return parts


def _known_ids(parts: Parts) -> list[bytes]:
    ids = parts.store.output_ids()
    if not ids:
        raise InvalidRequest(
            "--known: the manifest store names no output yet",
            hint="is CHOPMARK_HOME the folder of the deployment that made the picture?",
        )
    return [bytes.fromhex(each) for each in ids]


def _listed(path: Path | None) -> list[bytes] | None:
    if path is None:
        return None
    lines = read(path).decode("utf-8", "replace").split()
    wrong = next((line for line in lines if not _ID.fullmatch(line)), None)
    if wrong is not None or not lines:
        raise InvalidRequest(
            f"{path}: {wrong!r} is not 16 hex digits" if wrong else f"{path} has no ids in it"
        )
    return [bytes.fromhex(line) for line in lines]


def _original(picture: Image.Image, path: Path) -> Path:
    """The file itself, or the picture of a folder whose fingerprint is nearest."""
    from chopmark.provenance.watermark import nearest_original

    if not path.is_dir():
        return path
    found = nearest_original(picture, sorted(one for one in path.rglob("*") if one.is_file()))
    if found is None:
        raise InvalidRequest(f"no picture in {path} looks like the one to look at")
    return found

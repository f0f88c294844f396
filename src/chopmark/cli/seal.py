"""``chopmark seal``: govern pictures that another generator made."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from chopmark.cli.generate import Fmt, Quiet, _format, read
from chopmark.cli.output import EXIT_REFUSED, emit, progress_bar, refuse
from chopmark.errors import ChopmarkError, InvalidRequest
from chopmark.pipeline.released import Refused

if TYPE_CHECKING:
    from chopmark.kit.types import ImageFormat, JsonValue
    from chopmark.pipeline import Pipeline
    from chopmark.pipeline.released import Released

__all__ = ["seal"]

_MEMBERS = ("image", "model", "output", "prompt")


@dataclass(frozen=True, kw_only=True)
class _Row:
    """One picture to seal, and where it goes: a file, or a name of its own in a folder."""

    image: Path
    model: str
    prompt: str
    output: Path | None
    folder: Path | None


def seal(
    images: Annotated[
        list[Path] | None, typer.Argument(help="The pictures.", metavar="[IMAGE]...")
    ] = None,
    model: Annotated[str, typer.Option("--model", help="What made them, as you claim.")] = "",
    prompt: Annotated[str, typer.Option("--prompt", help="What they were made from.")] = "",
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", help="File; for several pictures a folder that is there."),
    ] = None,
    jsonl: Annotated[
        Path | None,
        typer.Option(
            "--jsonl",
            help="File of JSON objects: `image`, and `prompt`, `model`, `output` of its own.",
        ),
    ] = None,
    fmt: Fmt = None,
    quality: Annotated[
        int | None, typer.Option("--quality", help="Of lossy formats, 1 to 100.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a picture.")] = False,
    quiet: Quiet = False,
) -> None:
    """Judge, watermark, sign and log pictures that another generator made.

    Of several pictures each is for itself: one that is refused or unreadable stops none of the
    others, and the exit code says so at the end.
    """
    from chopmark import Pipeline
    from chopmark.settings import load_settings

    rows = _rows(images or [], jsonl, model=model, prompt=prompt, output=output)
    worst = 0
    with (
        progress_bar(quiet=quiet or as_json) as progress,
        Pipeline.from_settings(load_settings()) as pipeline,
    ):
        for done, row in enumerate(rows):
            if progress is not None:
                progress(done, len(rows), f"sealing {row.image.name}")
            try:
                released = asyncio.run(_sealed(pipeline, row, fmt, quality))
                file = _save(released, row)
            except ChopmarkError as error:
                if len(rows) == 1:
                    raise
                worst = max(worst, EXIT_REFUSED if isinstance(error, Refused) else 1)
                _say_failure(row.image, error, as_json=as_json)
            else:
                _say(row.image, file, released, as_json=as_json)
    if worst:
        raise typer.Exit(worst)


def _rows(
    images: list[Path], jsonl: Path | None, *, model: str, prompt: str, output: Path | None
) -> list[_Row]:
    """Return what is to be sealed; whatever cannot work is said before anything is done."""
    if bool(images) == (jsonl is not None):
        raise InvalidRequest("give pictures, or --jsonl FILE, and only one of them")
    given = [{"image": str(image)} for image in images] if jsonl is None else _objects(jsonl)
    folder = output if output is not None and output.is_dir() else None
    if len(given) > 1 and output is not None and folder is None:
        raise InvalidRequest(
            f"{output} is no folder", hint="make it first: several pictures need one"
        )
    rows = []
    for one in given:
        own = one.get("output")
        named = Path(own) if own else (output if folder is None else None)
        if named is not None and not named.parent.is_dir():
            raise InvalidRequest(f"{named.parent} is no folder", hint="make it first")
        row = _Row(
            image=Path(one["image"]),
            model=one.get("model", model),
            prompt=one.get("prompt", prompt),
            output=named,
            folder=folder,
        )
        if not row.model:
            raise InvalidRequest(f"{row.image}: nobody says what made it", hint="give --model")
        rows.append(row)
    return rows


def _objects(path: Path) -> list[dict[str, str]]:
    rows = []
    for number, line in enumerate(read(path).splitlines(), 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except ValueError as error:
            raise InvalidRequest(f"{path}, line {number}: not JSON ({error})") from error
        members = row if isinstance(row, dict) else {}
        texts = all(isinstance(members[name], str) for name in _MEMBERS if name in members)
        if not members.get("image") or not texts:
            raise InvalidRequest(
                f"{path}, line {number}: no `image` member that is a path",
                hint="members are image, prompt, model and output, all of them strings",
            )
        rows.append(members)
    if not rows:
        raise InvalidRequest(f"{path} has no rows")
    return rows


async def _sealed(
    pipeline: Pipeline, row: _Row, fmt: ImageFormat | None, quality: int | None
) -> Released:
    from chopmark import SealRequest

    return await pipeline.seal(
        SealRequest(
            image=read(row.image),
            prompt=row.prompt,
            model=row.model,
            format=_format(fmt, row.output),
            quality=quality,
        )
    )


def _save(released: Released, row: _Row) -> Path:
    picture = released.outputs[0]
    suffix = ".jpg" if picture.format == "jpeg" else f".{picture.format}"
    path = row.output
    if path is None:
        # Never over a picture that is there.
        path = (row.folder or row.image.parent) / f"{row.image.stem}-sealed{suffix}"
        if path.exists():
            path = path.with_name(f"{row.image.stem}-{picture.output_id}{suffix}")
    try:
        picture.save(path)
    except OSError as error:
        raise InvalidRequest(
            f"{path} cannot be written: {error.strerror}",
            hint=f"the picture was sealed and logged as {picture.output_id}",
        ) from error
    return path


def _say(source: Path, file: Path, released: Released, *, as_json: bool) -> None:
    picture = released.outputs[0]
    if as_json:
        row: dict[str, JsonValue] = {"image": str(source), "file": str(file)}
        emit({**row, **released.to_dict()})
        return
    typer.echo(
        f"{file}  {picture.width}x{picture.height}  id {picture.output_id}"
        f"  record {released.record_id}"
    )


def _say_failure(source: Path, error: ChopmarkError, *, as_json: bool) -> None:
    if as_json:
        row: dict[str, JsonValue] = {
            "image": str(source),
            "error": {"code": error.code, "message": error.message, "hint": error.hint},
        }
        if isinstance(error, Refused):
            row |= {"refused": True, "record_id": error.record_id, "stage": error.stage}
            row["categories"] = list(error.verdict.categories)
        emit(row)
        return
    typer.echo(f"{source}:", err=True)
    if isinstance(error, Refused):
        refuse(error, as_json=False)
    else:
        typer.echo(f"error ({error.code}): {error.message}", err=True)

"""``chopmark generate`` and ``chopmark edit``."""

from __future__ import annotations

import asyncio
import contextlib
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, cast

import typer

from chopmark.cli.output import emit, progress_bar
from chopmark.errors import InvalidRequest
from chopmark.kit import limits

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator, Mapping

    from chopmark.generation.interface import Option
    from chopmark.kit.types import ImageFormat, Progress
    from chopmark.pipeline import Pipeline
    from chopmark.pipeline.preview import Preview, PreviewSink
    from chopmark.pipeline.released import Released
    from chopmark.pipeline.request import GenerationRequest

__all__ = ["edit", "generate", "parse_size"]

Format = Literal["png", "jpeg", "webp", "avif"]
_OPTIONS: dict[Option, str] = {
    "negative_prompt": "--negative",
    "guidance": "--guidance",
    "strength": "--strength",
}
_SUFFIXES = {".png": "png", ".jpg": "jpeg", ".jpeg": "jpeg", ".webp": "webp", ".avif": "avif"}

Prompt = Annotated[str, typer.Argument(help="What the picture shows.")]
Out = Annotated[
    Path | None,
    typer.Option("-o", "--output", help="File (several pictures: a number is put before the dot)."),
]
Count = Annotated[int, typer.Option("-n", help=f"How many variations, at most {limits.N.most}.")]
Seed = Annotated[
    int | None, typer.Option("--seed", help=f"Same seed, same picture; up to {limits.SEED.most}.")
]
Size = Annotated[str | None, typer.Option("--size", help="WIDTHxHEIGHT in pixels.")]
Steps = Annotated[
    int | None, typer.Option("--steps", help=f"Denoising steps, at most {limits.STEPS.most}.")
]
Guidance = Annotated[
    float | None,
    typer.Option(
        "--guidance",
        help=f"How strictly the prompt is followed, at most {limits.GUIDANCE.most:g}.",
    ),
]
Negative = Annotated[str, typer.Option("--negative", help="What it must not show.")]
Fmt = Annotated[Format | None, typer.Option("--format", help="File format.")]
Model = Annotated[
    str | None, typer.Option("--model", help="`embedded`, a folder, hf:org/name or remote:URL.")
]
Previews = Annotated[
    int,
    typer.Option(
        "--previews",
        help=f"So many previews of each picture, at most {limits.PREVIEWS.most}, as files.",
    ),
]
Fresh = Annotated[
    bool, typer.Option("--fresh", help="New pictures, also if the same was asked before.")
]
Json = Annotated[bool, typer.Option("--json", help="One JSON object on stdout.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="No progress on stderr.")]


def generate(
    prompt: Prompt,
    output: Out = None,
    n: Count = 1,
    seed: Seed = None,
    size: Size = None,
    steps: Steps = None,
    guidance: Guidance = None,
    negative: Negative = "",
    fmt: Fmt = None,
    model: Model = None,
    previews: Previews = 0,
    fresh: Fresh = False,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Make pictures from a prompt: judged, watermarked, signed and logged."""
    from chopmark import GenerationRequest

    request = GenerationRequest(
        prompt=prompt,
        n=n,
        seed=seed,
        size=parse_size(size),
        steps=steps,
        guidance=guidance,
        negative_prompt=negative,
        format=_format(fmt, output),
        previews=previews,
        fresh=fresh,
    )

    def make(
        pipeline: Pipeline, progress: Progress | None, show: PreviewSink
    ) -> Awaitable[Released]:
        return pipeline.generate(request, progress=progress, preview=show)

    given = {"negative_prompt": bool(negative), "guidance": guidance is not None}
    _run(request, make, model, output, as_json, quiet, given)


def edit(
    image: Annotated[Path, typer.Argument(help="The picture to change.")],
    prompt: Prompt,
    references: Annotated[
        list[Path] | None,
        typer.Option("--with", help="A further picture to draw on; again for more."),
    ] = None,
    mask: Annotated[Path | None, typer.Option("--mask", help="White is repainted.")] = None,
    strength: Annotated[
        float | None,
        typer.Option(help=f"{limits.STRENGTH.least} changes next to nothing, 1 everything."),
    ] = None,
    consent: Annotated[
        str | None,
        typer.Option(help="Where the consent of whoever is in the picture is recorded; logged."),
    ] = None,
    output: Out = None,
    n: Count = 1,
    seed: Seed = None,
    size: Size = None,
    steps: Steps = None,
    guidance: Guidance = None,
    negative: Negative = "",
    fmt: Fmt = None,
    model: Model = None,
    previews: Previews = 0,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Change a picture by a prompt, or join several; their history goes into the new manifest."""
    from chopmark import EditRequest

    request = EditRequest(
        prompt=prompt,
        image=read(image),
        references=tuple(map(read, references or ())),
        mask=read(mask) if mask else None,
        strength=strength,
        consent=consent,
        n=n,
        seed=seed,
        size=parse_size(size),
        steps=steps,
        guidance=guidance,
        negative_prompt=negative,
        format=_format(fmt, output),
        previews=previews,
    )

    def make(
        pipeline: Pipeline, progress: Progress | None, show: PreviewSink
    ) -> Awaitable[Released]:
        return pipeline.edit(request, progress=progress, preview=show)

    given = {"negative_prompt": bool(negative), "guidance": guidance is not None}
    # Within a mask how far to go is the blending's affair, whatever the model makes of it.
    given["strength"] = strength is not None and mask is None
    _run(request, make, model, output, as_json, quiet, given)


def read(path: Path) -> bytes:
    """Return a file's bytes.

    Raises:
        InvalidRequest: It cannot be read.
    """
    try:
        return path.read_bytes()
    except OSError as error:
        raise InvalidRequest(f"{path}: {error.strerror or error}") from error


def _run(
    request: GenerationRequest,
    make: Callable[[Pipeline, Progress | None, PreviewSink], Awaitable[Released]],
    model: str | None,
    output: Path | None,
    as_json: bool,
    quiet: bool,
    given: Mapping[str, bool],
) -> None:
    _check_writable(output)
    previews_written: list[Path] = []

    def show(preview: Preview) -> None:
        stem = output.with_suffix("") if output else Path("chopmark")
        path = Path(f"{stem}-preview-{preview.index}-{preview.step}of{preview.steps}.png")
        # A preview that cannot be written is no reason to lose the picture.
        with contextlib.suppress(OSError):
            path.write_bytes(preview.data)
            previews_written.append(path)

    with (
        progress_bar(quiet=quiet or as_json) as progress,
        _pipeline(request, model, progress) as pipeline,
    ):

        async def go() -> Released:
            return await make(pipeline, progress, show)

        released = asyncio.run(go())
        files = _save(released, output)
        ignored = sorted(pipeline.parts.generator.info.ignores)
    _say_unknown(released)
    for name in ignored:
        if given.get(name):
            typer.echo(f"note: this model does not use {_OPTIONS[name]}", err=True)
    if as_json:
        emit(
            {
                **released.to_dict(),
                "files": [str(file) for file in files],
                "previews": [str(file) for file in previews_written],
            }
        )
        return
    for file in previews_written:
        typer.echo(f"{file}  preview, unmarked")
    for file, picture in zip(files, released.outputs, strict=True):
        typer.echo(f"{file}  {picture.width}x{picture.height}  id {picture.output_id}")
    for item in released.withheld:
        why = ", ".join(item.verdict.categories) if item.reason == "policy" else item.reason
        typer.echo(f"picture {item.index} withheld: {why}", err=True)
    if released.repeats is not None:
        typer.echo(
            f"again  the pictures of {released.repeats}, judged anew; --fresh makes new ones"
        )
    typer.echo(f"record {released.record_id}  log entry {released.receipt.record.index}")
    typer.echo("time   " + "  ".join(f"{k} {v:.0f} ms" for k, v in released.timings_ms.items()))
    typer.echo(f"check  chopmark verify {files[0]}")


@contextlib.contextmanager
def _pipeline(
    request: GenerationRequest, model: str | None, progress: Progress | None
) -> Iterator[Pipeline]:
    """Open what a request takes; the model is loaded last, once nothing speaks against it."""
    if progress is not None:
        progress(0, 0, "starting")  # what follows is imported for seconds
    from chopmark import Pipeline
    from chopmark.pipeline.late_model import late_generator
    from chopmark.pipeline.request import check_request
    from chopmark.settings import load_settings

    settings = load_settings(model=model)
    check_request(request, settings)
    with Pipeline.from_settings(settings, progress=progress) as pipeline:
        if not settings.workers:
            pipeline.parts.use(generator=late_generator(pipeline.parts, progress))
        yield pipeline


def _say_unknown(released: Released) -> None:
    """Say on stderr what the model could not know: a blot says nothing of itself."""
    if released.unknown_words:
        words = ", ".join(released.unknown_words)
        typer.echo(f"note: this small model does not know: {words} (docs/models.md)", err=True)
    if released.unknown_language is not None:
        typer.echo(
            f"note: the prompt reads as {released.unknown_language}; this model was taught English"
            " alone (docs/models.md)",
            err=True,
        )
    if released.unknown_input:
        typer.echo(
            "note: this small model edits drawings on a plain ground; of another picture it"
            " keeps next to nothing. With --mask all outside the mask stays (docs/models.md)",
            err=True,
        )


def _save(released: Released, output: Path | None) -> list[Path]:
    files = []
    for picture in released.outputs:
        suffix = ".jpg" if picture.format == "jpeg" else f".{picture.format}"
        path = output or Path(f"chopmark-{picture.output_id}{suffix}")
        if output is not None and len(released.outputs) + len(released.withheld) > 1:
            path = output.with_name(f"{output.stem}-{picture.index}{output.suffix}")
        try:
            picture.save(path)
        except OSError as error:
            raise InvalidRequest(
                f"{path} cannot be written: {error.strerror}",
                hint=f"the picture was made and logged as {picture.output_id}",
            ) from error
        files.append(path)
    return files


def _check_writable(output: Path | None) -> None:
    # Before any work: a picture that was made and booked and cannot be saved is lost.
    folder = output.parent if output else Path()
    if not folder.is_dir():
        raise InvalidRequest(f"{folder} is no folder", hint="make it first, or change -o")


def parse_size(text: str | None) -> tuple[int, int] | None:
    """Return the width and height of ``WIDTHxHEIGHT``.

    Raises:
        InvalidRequest: It is not of that form.
    """
    if text is None:
        return None
    width, _, height = text.lower().partition("x")
    if not (width.isdecimal() and height.isdecimal()):
        raise InvalidRequest(f"--size {text!r} is not WIDTHxHEIGHT", hint="for example 512x512")
    return int(width), int(height)


def _format(given: Format | None, output: Path | None) -> ImageFormat | None:
    """The file name's suffix decides when no format is given; the two must not disagree."""
    if output is None:
        return given
    suffix = cast("ImageFormat | None", _SUFFIXES.get(output.suffix.lower()))
    if suffix is None and given is None:
        raise InvalidRequest(
            f"{output.name}: no picture format of ours", hint="end it in .png, .jpg, .webp or .avif"
        )
    if given and suffix and given != suffix:
        raise InvalidRequest(f"--format {given} and {output.name} do not agree")
    return given or suffix

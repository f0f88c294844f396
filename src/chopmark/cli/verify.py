"""``chopmark verify``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from chopmark.cli.generate import read
from chopmark.cli.output import EXIT_NOT_AUTHENTIC, emit, fail, show_p
from chopmark.errors import ChopmarkError, InvalidRequest

if TYPE_CHECKING:
    from chopmark.provenance import Report

__all__ = ["verify"]

# What a script that only looks at the exit code may build on: the picture is what it says it is.
_AUTHENTIC = {"made_here", "made_by_ai_elsewhere", "authentic_other"}
_AXES = ("manifest", "credential", "time", "ai_signal", "identity", "watermark")
_DETAILS = (
    "anchor", "anchor_date", "issuer", "name", "system",
    "payload", "p_value", "method", "signed_at",
)  # fmt: skip


def verify(
    files: Annotated[list[Path], typer.Argument(help="Pictures: PNG, JPEG, WebP or AVIF.")],
    reattach: Annotated[
        Path | None,
        typer.Option("--reattach", help="Write the one file here, with the manifest it lost."),
    ] = None,
    public: Annotated[
        bool, typer.Option("--public", help="Leave out whatever may name a person.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a file.")] = False,
) -> None:
    """Tell what a picture is: made by a machine, by which, when, and whether that can be shown.

    Exit code 0 when each file's manifest is intact and its signer is one that is trusted here, 4
    when that is not so for one of them, 1 when one cannot be read.
    """
    from chopmark import Pipeline
    from chopmark.pipeline.inspect import examine
    from chopmark.pipeline.inspect import reattach as with_manifest
    from chopmark.settings import load_settings

    if reattach is not None and len(files) != 1:
        raise InvalidRequest("--reattach takes one file", hint="call it once for each")
    code = 0
    with Pipeline.from_settings(load_settings()) as pipeline:
        for file in files:
            try:
                report = examine(pipeline.parts, read(file), public=public)
            except ChopmarkError as error:
                if not as_json:
                    typer.echo(f"{file}", err=True)
                fail(error, as_json=as_json)
                code = 1
                continue
            examined = report.watermark.state not in {"conflict", "not_examined"}
            trusted = report.credential.state == "trusted"
            holds = report.verdict in _AUTHENTIC and trusted and examined
            if not holds and code == 0:
                code = EXIT_NOT_AUTHENTIC
            if as_json:
                emit({"file": str(file), **report.to_dict()})
            else:
                _print(file, report)
        if reattach is not None and code != 1:
            restored = with_manifest(pipeline.parts, read(files[0]))
            reattach.write_bytes(restored)
            typer.echo(f"{reattach}: the manifest is back in place", err=True)
    raise typer.Exit(code)


def _print(file: Path, report: Report) -> None:
    typer.echo(f"{file}: {report.summary}")
    members = report.to_dict()
    rows: list[tuple[str, str]] = [("verdict", report.verdict)]
    for axis in _AXES:
        value = members[axis]
        assert isinstance(value, dict)  # noqa: S101  the shape that architecture.md fixes
        detail = "  ".join(
            show_p(float(value[name])) if name == "p_value" else f"{name} {value[name]}"  # type: ignore[arg-type]
            for name in _DETAILS
            if value.get(name) is not None
        )
        rows.append((axis.replace("_", " "), f"{value['state']}  {detail}".rstrip()))
    for axis in ("record", "recovered"):
        value = members[axis]
        if isinstance(value, dict):
            rows.append(
                (axis, "  ".join(f"{k} {v}" for k, v in value.items() if isinstance(v, str | int)))
            )
        else:
            rows.append((axis, "none"))
    for item in report.ingredients:
        words = [item.relationship or "ingredient", item.manifest, item.credential]
        words += ["made by AI"] if item.ai else []
        words += [f"({', '.join(item.problems)})"] if item.problems else []
        name = repr(item.title) if item.title else item.id or ""
        rows.append(("  " * (item.depth - 1) + "input", f"{'  '.join(words)}  {name}".rstrip()))
    rows += [("note", note) for note in report.notes]
    for name, text in rows:
        typer.echo(f"  {name:<12} {text}")

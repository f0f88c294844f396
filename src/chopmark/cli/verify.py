"""``chopmark verify``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from chopmark.cli.generate import read
from chopmark.cli.output import EXIT_NOT_AUTHENTIC, emit, fail, show_p
from chopmark.errors import ChopmarkError, InvalidRequest

if TYPE_CHECKING:
    from chopmark.pipeline.parts import Parts
    from chopmark.pipeline.signed_report import CheckedReport
    from chopmark.provenance import Report

__all__ = ["given_key", "verify"]

_AXES = ("manifest", "credential", "time", "ai_signal", "identity", "watermark")
_DETAILS = (
    "kind", "anchor", "anchor_date", "issuer", "name", "assurance_level", "system",
    "payload", "p_value", "method", "signed_at", "address", "reason",
)  # fmt: skip

_ORIGINALS = {
    "released": "a small copy of what left here",
    "signed": "a small copy of what was signed, within the credentials",
    "input": "a small copy of its input, within the credentials",
}


def verify(
    files: Annotated[
        list[Path] | None, typer.Argument(help="Pictures; of other files the manifest is reported.")
    ] = None,
    reattach: Annotated[
        Path | None,
        typer.Option("--reattach", help="Write the one file here, with the manifest it lost."),
    ] = None,
    manifest: Annotated[
        Path | None,
        typer.Option("--manifest", help="Check the one file against this sidecar (.c2pa)."),
    ] = None,
    report: Annotated[
        Path | None,
        typer.Option("--report", help="Write what was found in the one file here, signed."),
    ] = None,
    check_report: Annotated[
        Path | None,
        typer.Option("--check-report", help="Check such a report offline, and FILE against it."),
    ] = None,
    public_key: Annotated[
        str | None,
        typer.Option(
            "--public-key", help="For --check-report: the log's key that you trust, or its file."
        ),
    ] = None,
    public: Annotated[
        bool, typer.Option("--public", help="Leave out whatever may name a person.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a file.")] = False,
) -> None:
    """Report what a picture is: made by a machine, by which, when, and whether that can be shown.

    Exit code 0 when each file's manifest is intact, its signer is one that is trusted here, and
    the pixels were looked at and carry no mark that contradicts it; 4 when that is not so for one
    of them, 1 when one cannot be read. With --check-report: 0 when the report holds, 4 when not.
    """
    from chopmark import Pipeline
    from chopmark.settings import load_settings

    given = files or []
    if check_report is not None:
        _check(check_report, given, public_key, as_json=as_json)
        return
    if not given:
        raise typer.BadParameter("name a file to look at", param_hint="FILE")
    for name, option in (("reattach", reattach), ("manifest", manifest), ("report", report)):
        if option is not None and len(given) != 1:
            raise InvalidRequest(f"--{name} takes one file", hint="call it once for each")
    sidecar = None if manifest is None else read(manifest)
    code = 0
    with Pipeline.from_settings(load_settings()) as pipeline:
        for file in given:
            found = _one(pipeline.parts, file, sidecar, public=public, as_json=as_json)
            if found is None:
                code = 1
                continue
            if not found.holds and code == 0:
                code = EXIT_NOT_AUTHENTIC
            if report is not None:
                _write_report(pipeline.parts, file, found, report)
        if reattach is not None and code != 1:
            _write_restored(pipeline.parts, given[0], reattach)
    raise typer.Exit(code)


def _one(
    parts: Parts, file: Path, sidecar: bytes | None, *, public: bool, as_json: bool
) -> Report | None:
    """Look at one file and say what was found; None where it cannot be looked at."""
    from chopmark.pipeline.inspect import examine

    try:
        report = examine(parts, read(file), public=public, sidecar=sidecar)
    except ChopmarkError as error:
        if not as_json:
            typer.echo(f"{file}", err=True)
        fail(error, as_json=as_json)
        return None
    if as_json:
        emit({"file": str(file), **report.to_dict()})
    else:
        _print(file, report)
    return report


def _write_report(parts: Parts, file: Path, found: Report, output: Path) -> None:
    from chopmark.pipeline.signed_report import sign_report

    output.write_text(sign_report(parts, read(file), found), encoding="utf-8")
    typer.echo(f"{output}: signed with the key of {parts.log.public_key}", err=True)


def _write_restored(parts: Parts, file: Path, output: Path) -> None:
    from chopmark.pipeline.inspect import reattach

    output.write_bytes(reattach(parts, read(file)))
    typer.echo(f"{output}: the manifest is back in place", err=True)


def _check(path: Path, files: list[Path], public_key: str | None, *, as_json: bool) -> None:
    """Check a signed report, and whether it is of this file; ends the command."""
    from chopmark.pipeline.signed_report import check_report

    if len(files) > 1:
        raise InvalidRequest("a report is of one file", hint="call it once for each")
    data = read(files[0]) if files else None
    checked = check_report(
        read(path), data=data, public_key=given_key(public_key), known=_own_keys()
    )
    if as_json:
        emit(checked.to_dict())
    else:
        _print_check(path, checked)
    if not checked.ok:
        raise typer.Exit(EXIT_NOT_AUTHENTIC)


def given_key(given: str | None) -> str | None:
    """Return verifier keys that were given as text or as a file."""
    if given is None or "+" in given:
        return given
    return read(Path(given)).decode("utf-8", "replace").strip()


def _own_keys() -> str:
    """Return the keys of this home's own log; nothing is made for it."""
    from chopmark.audit.log.paths import Paths
    from chopmark.settings import load_settings

    kept = Paths(load_settings().home.expanduser()).public_key
    return kept.read_text(encoding="utf-8") if kept.is_file() else ""


def _print_check(path: Path, checked: CheckedReport) -> None:
    claims = checked.signed.claims
    typer.echo(f"{path}: {'ok' if checked.ok else 'NOT OK'}  by {claims.get('iss')}")
    for problem in checked.problems:
        typer.echo(f"  {problem}")
    if checked.of_file is not None:
        typer.echo(f"  the file is {'' if checked.of_file else 'NOT '}the one that it speaks of")
    told = claims.get("report")
    if isinstance(told, dict):
        typer.echo(f"  on {claims.get('time')}: {told.get('summary')}")
    if not checked.known_key:
        typer.echo(
            "  the signature is by the key inside the report: compare it with the key that the log"
            " publishes, or give that one with --public-key"
        )


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
    if report.original is not None:
        rows.append(("original", f"{_ORIGINALS[report.original.source]}; --json has it"))
    for item in report.ingredients:
        words = [item.relationship or "ingredient", item.manifest, item.credential]
        words += ["made by AI"] if item.ai else []
        words += [f"({', '.join(item.problems)})"] if item.problems else []
        words.append(repr(item.title) if item.title else item.id or "")
        words += [f"by {item.signer!r}"] if item.signer else []
        words += [item.signed_at] if item.signed_at else []
        rows.append(("  " * (item.depth - 1) + "input", "  ".join(words).rstrip()))
    rows += [
        ("by " + one.name, f"{one.outcome.replace('_', ' ')}: {one.detail}")
        for one in report.techniques
    ]
    rows += [("note", note) for note in report.notes]
    for name, text in rows:
        typer.echo(f"  {name:<14} {text}")

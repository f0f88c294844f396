"""``chopmark compliance``: what is done here for the rules of one jurisdiction, in writing."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from chopmark.cli.generate import read
from chopmark.cli.output import EXIT_NOT_AUTHENTIC, emit
from chopmark.errors import InvalidRequest

__all__ = ["app"]

app = typer.Typer(
    help="Reports on what is done here for the rules of a jurisdiction.", no_args_is_help=True
)
Json = Annotated[bool, typer.Option("--json", help="JSON on stdout.")]


@app.command()
def report(
    profile: Annotated[
        str | None,
        typer.Option(
            "--profile", help="eu, california, china, india or korea; else CHOPMARK_PROFILE."
        ),
    ] = None,
    folder: Annotated[
        Path | None,
        typer.Option("-o", "--output", help="Write NAME.json (signed) and NAME.html here."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Say what is configured, what tests and figures bear on it, and which duties are open.

    It never says that a rule is kept. With -o the report is signed with the log's key.
    """
    from chopmark import Pipeline
    from chopmark.compliance import claims_of, page_of, sign
    from chopmark.settings import load_settings
    from chopmark.settings.profiles import PROFILES

    settings = load_settings()
    named = profile or settings.profile
    chosen = next((one for one in PROFILES if one == named), None)
    if chosen is None:
        raise InvalidRequest(
            f"there is no profile {named!r}" if named else "for which jurisdiction?",
            hint=f"--profile is one of {', '.join(PROFILES)}",
        )
    with Pipeline.from_settings(settings) as pipeline:
        claims = claims_of(pipeline.parts, chosen)
        page = page_of(claims)
        if folder is not None:
            folder.mkdir(parents=True, exist_ok=True)
            signed = sign(pipeline.parts, claims, page)
            for suffix, text in (("html", page), ("json", signed)):
                path = folder / f"compliance-{chosen}.{suffix}"
                path.write_text(text, encoding="utf-8")
                typer.echo(f"{path}: written", err=True)
    if as_json:
        emit(claims)
        return
    for row in claims["rows"]:  # type: ignore[union-attr]
        assert isinstance(row, dict)  # noqa: S101  as claims_of makes it
        here = f"{row['setting']}={row['configured']}" if row["setting"] else ""
        typer.echo(f"{row['state']:<11} {row['asks']}  [{row['rule']}]  {here}".rstrip())
    typer.echo(str(claims["note"]), err=True)


@app.command()
def check(
    file: Annotated[Path, typer.Argument(help="A report: compliance-NAME.json.")],
    html: Annotated[
        Path | None, typer.Option("--html", help="The page that was written with it.")
    ] = None,
    public_key: Annotated[
        str | None,
        typer.Option("--public-key", help="The log's key that you trust, or its file."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Check a report's signature offline, and that a page is its own; exit code 4 if not."""
    from chopmark import compliance
    from chopmark.cli.verify import given_key

    checked = compliance.check(
        read(file), page=None if html is None else read(html), public_key=given_key(public_key)
    )
    claims = checked.claims
    if as_json:
        emit(
            {
                "ok": checked.ok,
                "problems": [str(problem) for problem in checked.problems],
                "of_page": checked.of_page,
                "known_key": public_key is not None,
                "iss": claims.get("iss"),
                "time": claims.get("time"),
                "profile": claims.get("profile"),
            }
        )
    else:
        typer.echo(f"{file}: {'ok' if checked.ok else 'NOT OK'}  by {claims.get('iss')}")
        for problem in checked.problems:
            typer.echo(f"  {problem}")
        if checked.of_page is False:
            typer.echo("  the page is NOT the one that was written with it")
        if public_key is None:
            typer.echo("  checked with the key inside: compare it, or give --public-key")
    if not checked.ok:
        raise typer.Exit(EXIT_NOT_AUTHENTIC)

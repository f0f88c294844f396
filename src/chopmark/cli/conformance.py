"""``chopmark conformance``: what C2PA's conformance programme asks of a validator."""

from __future__ import annotations

import datetime as dt
import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from chopmark.cli.generate import read
from chopmark.errors import InvalidRequest

if TYPE_CHECKING:
    from chopmark.provenance.trust_lists import TrustList

__all__ = ["app"]

app = typer.Typer(help="For C2PA's conformance programme.", no_args_is_help=True)


@app.callback()
def _group() -> None:
    """Keep the command's name: typer would drop that of an only one."""


@app.command()
def crjson(
    file: Annotated[Path, typer.Argument(help="A file with a C2PA manifest.")],
    trust: Annotated[
        Path | None, typer.Option("--trust", help="Trust list of claim signers, JSON or PEM.")
    ] = None,
    tsa: Annotated[
        Path | None, typer.Option("--tsa", help="Trust list of time-stamping authorities.")
    ] = None,
    time: Annotated[
        str | None, typer.Option("--time", help="Time of the validation, RFC 3339; else now.")
    ] = None,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="File; without one, stdout.")
    ] = None,
) -> None:
    """Print a file's manifests as crJSON, validated with these lists at this time only."""
    from chopmark.provenance.conformance import crjson as as_crjson

    found = as_crjson(read(file), trust=_list(trust), tsa=_list(tsa), time=_moment(time))
    text = json.dumps(found, ensure_ascii=False, indent=2) + "\n"
    if output is None:
        typer.echo(text, nl=False)
    else:
        output.write_text(text, encoding="utf-8")


def _list(path: Path | None) -> TrustList | None:
    from chopmark.provenance.trust_lists import parse_trust_list

    return None if path is None else parse_trust_list(read(path))


def _moment(text: str | None) -> dt.datetime | None:
    if text is None:
        return None
    try:
        found = dt.datetime.fromisoformat(text)
    except ValueError:
        raise InvalidRequest(
            f"{text!r} is no time", hint="RFC 3339: 2026-11-30T00:00:00Z"
        ) from None
    return found if found.tzinfo else found.replace(tzinfo=dt.UTC)

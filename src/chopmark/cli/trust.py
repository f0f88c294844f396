"""``chopmark trust``: whom this installation believes."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, cast

import typer

from chopmark.cli.generate import read
from chopmark.cli.output import emit
from chopmark.errors import InvalidRequest

if TYPE_CHECKING:
    from chopmark.provenance import TrustAnchors

__all__ = ["app"]

app = typer.Typer(
    help="Trust lists: whose signatures and time stamps are believed.", no_args_is_help=True
)
_KINDS = ("manifest", "tsa", "identity")


@app.command()
def update(
    file: Annotated[Path, typer.Argument(help="A trust list: C2PA's JSON (LoTE), or PEM.")],
    name: Annotated[
        str, typer.Option("--name", help="What to call it; C2PA's own lists say so themselves.")
    ] = "",
    kind: Annotated[
        str | None,
        typer.Option("--kind", help="manifest, tsa or identity; C2PA's own say so themselves."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
) -> None:
    """Put a newer trust list in place; one with a lower number is refused."""
    from chopmark.provenance.trust_lists import update_trust_list
    from chopmark.settings import load_settings

    if kind is not None and kind not in _KINDS:
        raise InvalidRequest(f"there is no kind {kind!r}", hint=f"one of {', '.join(_KINDS)}")
    settings = load_settings()
    path, new, old = update_trust_list(
        settings.trust_anchors or settings.open_home() / "anchors",
        read(file),
        name=name or ("" if read(file).lstrip().startswith(b"{") else file.stem.lower()),
        kind=cast("Literal['manifest', 'tsa', 'identity'] | None", kind),
    )
    before = old.sequence if old is not None else None
    if as_json:
        emit(
            {
                "path": str(path), "sequence": new.sequence, "before": before,
                "issued": new.issued, "next_update": new.next_update,
                "certificates": new.certificates, "left_out": new.left_out,
            }
        )  # fmt: skip
        return
    number = f"number {new.sequence}" if new.sequence is not None else "no number"
    until = f", to be renewed by {new.next_update[:10]}" if new.next_update else ""
    typer.echo(f"{path}: {number}, {new.certificates} certificates{until}")
    if new.left_out:
        typer.echo(f"  {new.left_out} services are listed and not trusted (any more, or yet)")
    if before is not None:
        typer.echo(f"  in place of number {before}")


@app.command("list")
def show(
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a list.")] = False,
) -> None:
    """Show which lists are in use, of which day they are, and which should have been renewed."""
    for one in _anchors().lists:
        count = one.pem.count("BEGIN CERTIFICATE")
        if as_json:
            emit(
                {
                    "name": one.name, "kind": one.kind, "date": one.date, "sequence": one.sequence,
                    "next_update": one.next_update, "stale": one.is_stale(), "certificates": count,
                }
            )  # fmt: skip
            continue
        number = f"  number {one.sequence}" if one.sequence is not None else ""
        dated = f"  of {one.date}" if one.date else ""
        stale = f"  STALE since {one.next_update[:10]}" if one.is_stale() else ""
        typer.echo(f"{one.kind:<9} {one.name}{number}{dated}  {count} certificates{stale}")


def _anchors() -> TrustAnchors:
    from chopmark.provenance import load_anchors
    from chopmark.settings import load_settings

    settings = load_settings()
    return load_anchors(
        settings.home.expanduser(), cert=settings.signing_cert, lists=settings.trust_anchors
    )

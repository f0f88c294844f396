"""``chopmark settings``: what holds here, and where each value comes from."""

from __future__ import annotations

from typing import Annotated

import typer

from chopmark.cli.output import emit

__all__ = ["app"]

app = typer.Typer(help="Settings of this installation.", no_args_is_help=True)


@app.command("show")
def show(
    names: Annotated[list[str] | None, typer.Argument(help="Only these settings.")] = None,
    changed: Annotated[
        bool, typer.Option("--changed", help="Only what is not as it comes.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object on stdout.")] = False,
) -> None:
    """Show each setting, its value and its source; of secrets only whether they are set."""
    from chopmark.errors import ConfigurationError
    from chopmark.settings import load_settings, settings_file, settings_origins

    origins = settings_origins(load_settings())
    file = settings_file()
    if names:
        wanted = {name.lower().removeprefix("chopmark_") for name in names}
        unknown = sorted(wanted.difference(one.name for one in origins))
        if unknown:
            raise ConfigurationError(
                f"there is no setting {unknown[0]}", hint="`chopmark settings show` lists them"
            )
        origins = [one for one in origins if one.name in wanted]
    if changed:
        origins = [one for one in origins if one.source != "default"]
    if as_json:
        emit(
            {
                "file": None if file is None else str(file.path),
                "settings": {
                    one.name: {"value": one.value, "source": one.source, "place": one.place or None}
                    for one in origins
                },
            }
        )
        return
    typer.echo(f"# settings file: {'none' if file is None else file.path}", err=True)
    width = max((len(one.name) for one in origins), default=0)
    for one in origins:
        source = f"{one.source} {one.place}".strip()
        typer.echo(f"{one.name:<{width}}  {one.value:<28}  {source}")

"""``chopmark models``: which generators there are, what one can do, and fetching one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from chopmark.cli.generate import parse_size
from chopmark.cli.output import emit, progress_bar
from chopmark.errors import InvalidRequest

if TYPE_CHECKING:
    from chopmark.kit.types import JsonValue

__all__ = ["app"]

app = typer.Typer(help="Generators that can be used here.", no_args_is_help=True)
Json = Annotated[bool, typer.Option("--json", help="JSON on stdout.")]


@app.command("list")
def list_models(as_json: Json = False) -> None:
    """List the models on this disk; ``*`` is the one that is set."""
    from chopmark.generation.catalogue import list_models
    from chopmark.settings import load_settings

    settings = load_settings()
    found = list_models(settings.open_home())
    if as_json:
        rows: list[JsonValue] = [
            {
                "id": entry.id,
                "pipeline": entry.kind,
                "size_mb": entry.size_mb,
                "path": str(entry.path),
                "set": entry.id == settings.model,
            }
            for entry in found
        ]
        emit(rows)
        return
    for entry in found:
        star = "*" if entry.id == settings.model else " "
        typer.echo(f"{star} {entry.id:<44} {entry.kind:<28} {entry.size_mb:>7,} MiB")
    if settings.model not in {entry.id for entry in found}:
        typer.echo(f"* {settings.model}  (not on this disk)")


@app.command()
def info(
    model: Annotated[
        str | None, typer.Argument(help="`embedded`, a folder, hf:org/name or remote:URL.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Load a generator and say what it can do; without a name, the one that is set."""
    from chopmark.pipeline.parts import Parts
    from chopmark.settings import load_settings

    with progress_bar(quiet=as_json) as progress:
        loaded = Parts(load_settings(model=model), progress=progress).generator.info
    facts: dict[str, JsonValue] = {
        "id": loaded.id,
        "version": loaded.version,
        "digest": loaded.digest,
        "licence": loaded.licence,
        "native_size": loaded.native_size,
        "default_size": list(loaded.default_size),
        "max_size": loaded.max_size,
        "max_ratio": loaded.max_ratio,
        "extends": loaded.extends,
        "default_steps": loaded.default_steps,
        "quantization": loaded.quantization,
        "supports": [str(name) for name in sorted(loaded.supports)],
        "max_images": loaded.max_images,
        "ignores": [str(name) for name in sorted(loaded.ignores)],
    }
    if as_json:
        emit(facts)
        return
    for name, value in facts.items():
        shown = ", ".join(map(str, value)) or "-" if isinstance(value, list) else value
        typer.echo(f"{name:<14} {shown}")


@app.command()
def pull(model: Annotated[str, typer.Argument(help="hf:org/name")], as_json: Json = False) -> None:
    """Fetch a model from the Hugging Face hub into its cache, so that it loads without a network.

    Only safetensors are fetched, never pickles; progress is the hub client's own, on stderr.
    """
    from chopmark.generation.folders import find_folder

    if not model.startswith("hf:"):
        raise InvalidRequest(
            f"{model} is nothing to fetch", hint="hf:org/name; folders are used where they lie"
        )
    folder = find_folder(model)
    size = sum(file.stat().st_size for file in folder.path.rglob("*") if file.is_file())
    if as_json:
        emit({"id": model, "path": str(folder.path), "size_mb": round(size / 2**20)})
        return
    typer.echo(f"{model}  {size / 2**20:,.0f} MiB  {folder.path}")
    typer.echo(f'use it  chopmark generate "a red apple" --model {model}')


@app.command()
def fit(
    model: Annotated[
        str | None, typer.Argument(help="`embedded`, a folder, or hf:org/name that lies here.")
    ] = None,
    memory: Annotated[
        float | None, typer.Option("--memory", help="Plan for a card with so many free GB.")
    ] = None,
    size: Annotated[
        str | None, typer.Option("--size", help="WIDTHxHEIGHT; the model's own otherwise.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Say what of a model fits here and how, from its configuration and headers; nothing is loaded.

    Weights are exact to a per cent or two; memory for values in between and seconds are estimates.
    """
    from chopmark.cli.fit_table import fit_facts, print_fit
    from chopmark.settings import load_settings

    if memory is not None and not 0.1 <= memory <= 10_000:
        raise InvalidRequest("--memory is not from 0.1 to 10000 GB", hint="for example --memory 12")
    settings = load_settings(model=model)
    facts = fit_facts(settings, memory=memory, size=parse_size(size))
    if as_json:
        emit(facts)
        return
    print_fit(facts)

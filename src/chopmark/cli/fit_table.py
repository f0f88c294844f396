"""What ``chopmark models fit`` says, as facts and as a table."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import typer

from chopmark.errors import InvalidRequest

if TYPE_CHECKING:
    from chopmark.settings import Settings

__all__ = ["fit_facts", "print_fit"]

_GB: Final = 1e9


def fit_facts(
    settings: Settings, *, memory: float | None, size: tuple[int, int] | None
) -> dict[str, Any]:
    """Return what of the model that is set fits.

    Args:
        settings: with model, device and dtype.
        memory: free GB of a card to plan for; ``None``: what is here.
        size: width and height in pixels; ``None``: the model's own.

    Raises:
        InvalidRequest: the model runs on another server.
        ChopmarkError: it is not here, or cannot be read.
    """
    from chopmark.generation.embedded import materialize
    from chopmark.generation.fit import fit, measured_speed, seconds
    from chopmark.generation.folders import find_folder
    from chopmark.generation.options import LoadOptions
    from chopmark.generation.remote_wire import PREFIX

    if settings.model.startswith(PREFIX):
        raise InvalidRequest(
            "a remote model lies on another server", hint="ask there, or name a folder"
        )
    folder = find_folder(
        materialize(settings.open_home()) if settings.model == "embedded" else settings.model
    )
    options = LoadOptions(device=settings.device, dtype=settings.dtype)
    here, dtype = options.torch_device, options.torch_dtype
    planned = "a card" if memory is not None else here
    if memory is not None and here == "cpu":
        dtype = "bfloat16" if settings.dtype == "auto" else settings.dtype
    found = fit(
        folder,
        device="cuda" if memory is not None else here,
        dtype=dtype,
        free=None if memory is None else int(memory * _GB),
        size=size,
    )
    # The speed of a card that is not here is nobody's guess.
    speed = measured_speed(here, dtype) if memory is None else None
    return {
        "model": settings.model,
        "device": planned,
        "dtype": dtype,
        "free_gb": _gb(found.free),
        "size": list(found.size),
        "steps": found.steps,
        "parts": [
            {
                "name": part.name,
                "class": part.kind,
                "parameters": part.numbers,
                "gb": _gb(part.bytes("none", dtype)),
                "gb_int8": _gb(part.bytes("int8", dtype)),
            }
            for part in found.parts
        ],
        "ways": [
            {
                "quantization": one.quantization,
                "offload": one.offload,
                "tiling": "on" if one.tiled else "off",
                "weights_gb": _gb(one.weights),
                "total_gb": _gb(one.total),
                "fits": one is found.picked or one.total <= 0.92 * found.free,
                "picked": one is found.picked,
                "seconds": None
                if speed is None
                else round(seconds(found, one, products_a_second=speed), 1),
            }
            for one in found.ways
        ],
    }


def _gb(count: int) -> float:
    return round(count / _GB, 3)


def print_fit(facts: dict[str, Any]) -> None:
    """Print the facts for people."""
    wide, high = facts["size"]
    typer.echo(
        f"{facts['model']}  {wide}x{high}, {facts['steps']} steps, {facts['dtype']},"
        f" {facts['free_gb']:.1f} GB free on {facts['device']}\n"
    )
    typer.echo(f"{'part':<16} {'class':<36} {'parameters':>12} {'GB':>7} {'int8':>7}")
    for part in facts["parts"]:
        typer.echo(
            f"{part['name']:<16} {part['class']:<36} {part['parameters'] / 1e6:>10,.0f} M"
            f" {part['gb']:>7.2f} {part['gb_int8']:>7.2f}"
        )
    head = f"\n  {'weights':<10} {'offload':<11} {'tiling':<7} {'held GB':>8} {'in all GB':>10} "
    typer.echo(head + f"{'fits':<5} {'seconds':>8}")
    for way in facts["ways"]:
        bits = way["quantization"] if way["quantization"] != "none" else facts["dtype"]
        fits = "yes" if way["fits"] else "no"
        took = "-" if way["seconds"] is None else f"~{way['seconds']:g}"
        typer.echo(
            f"{'*' if way['picked'] else ' '} {bits:<10} {way['offload']:<11} {way['tiling']:<7}"
            f" {way['weights_gb']:>8.2f} {way['total_gb']:>10.2f} {fits:<5}"
            f" {took:>8}"
        )
    picked = next((way for way in facts["ways"] if way["picked"]), None)
    if picked is None:
        typer.echo("\nnothing fits that `auto` would take: a smaller model, or a larger card")
        return
    typer.echo(
        f"\n* is what `auto` takes: CHOPMARK_QUANTIZATION={picked['quantization']}"
        f" CHOPMARK_OFFLOAD={picked['offload']} CHOPMARK_TILING={picked['tiling']}"
    )
    typer.echo("memory in use and seconds are estimates; a picture's first call takes longer")

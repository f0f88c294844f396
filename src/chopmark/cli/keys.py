"""``chopmark keys``: the signing credential, the watermark's keys, and time stamps that wait."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from chopmark.cli.output import emit
from chopmark.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from chopmark.kit.types import JsonValue
    from chopmark.pipeline.parts import Parts

__all__ = ["app"]

app = typer.Typer(help="Signing and watermark keys, and time stamps.", no_args_is_help=True)
Json = Annotated[bool, typer.Option("--json", help="One JSON object on stdout.")]


@contextmanager
def _parts() -> Iterator[Parts]:
    from chopmark.pipeline.parts import Parts
    from chopmark.settings import load_settings

    parts = Parts(load_settings())
    try:
        yield parts
    finally:
        parts.close()


@app.command()
def init(as_json: Json = False) -> None:
    """Make what is missing: signing credential, watermark key, log key. Changes nothing else."""
    with _parts() as parts:
        parts.credential.check()
        _tell(_described(parts), as_json=as_json)


@app.command()
def show(as_json: Json = False) -> None:
    """Show which keys are in use and how many pictures wait for a time stamp; no secret."""
    with _parts() as parts:
        if not (parts.exists("request_log") and parts.exists("mark_keys")):
            raise ConfigurationError(
                f"there are no keys in {parts.home} yet", hint="`chopmark keys init` makes them"
            )
        _tell(_described(parts), as_json=as_json)


@app.command()
def rotate(
    what: Annotated[
        Literal["signing", "watermark", "all"], typer.Argument(help="signing, watermark or all.")
    ] = "all",
    as_json: Json = False,
) -> None:
    """Make new keys and log it; a server that runs takes them up by itself.

    What the old ones signed and marked stays known as ours. A certificate of your own is rotated
    by putting new files in the place of the old ones; `rotate signing` then checks and logs them.
    """
    with _parts() as parts:
        summary: dict[str, JsonValue] = {}
        parts.announce_keys()
        if what in {"signing", "all"}:
            summary["signing"] = _rotate_signing(parts)
        if what in {"watermark", "all"}:
            summary["watermark"] = parts.mark_keys.rotate(parts.home).active.key_id
        parts.announce_keys()
        _tell(summary, as_json=as_json)


@app.command()
def stamp(
    limit: Annotated[int, typer.Option(min=1, help="Most pictures in this run.")] = 1000,
    as_json: Json = False,
) -> None:
    """Ask the time-stamping authority for what waits. `chopmark serve` does it by itself."""
    from chopmark.service.timestamps import stamp as run_queue

    with _parts() as parts:
        done = run_queue(parts, limit=limit)
    if done is None:
        raise ConfigurationError(
            "no time-stamping authority is set", hint="set CHOPMARK_TSA_URL to its address"
        )
    summary: dict[str, JsonValue] = {
        "stamped": done.stamped,
        "failed": done.failed,
        "waiting": done.left,
        "reason": done.reason or None,
    }
    _tell(summary, as_json=as_json)
    if done.failed:
        raise typer.Exit(1)


def _rotate_signing(parts: Parts) -> dict[str, JsonValue]:
    from chopmark.provenance import rotate_credential

    if parts.credential.is_development:
        rotate_credential(parts.home, kind=parts.settings.development_key)
    new = parts.credential
    new.check()
    return {**new.describe()}


def _described(parts: Parts) -> dict[str, JsonValue]:
    keys = parts.mark_keys
    return {
        "signing": {**parts.credential.describe(), "signer": parts.settings.signer},
        "watermark": keys.active.key_id,
        "watermark_before": [key.key_id for key in keys.all[1:]],
        "log": parts.log.public_key,
        "time_stamps": {
            "authority": parts.authority.url if parts.authority is not None else None,
            "waiting": parts.stamps.waiting(),
        },
    }


def _tell(summary: dict[str, JsonValue], *, as_json: bool) -> None:
    if as_json:
        emit(summary)
        return
    for name, value in summary.items():
        rows = value.items() if isinstance(value, dict) else [("", value)]
        for member, text in rows:
            label = f"{name} {member}".replace("_", " ").strip()
            shown = ", ".join(map(str, text)) if isinstance(text, list) else text
            typer.echo(f"{label:<22} {'-' if shown in (None, '') else shown}")

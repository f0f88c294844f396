"""How the command line talks: results to stdout, everything else to stderr."""

from __future__ import annotations

import json
import logging
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

import typer

from chopmark.cli import debug_log

if TYPE_CHECKING:
    from collections.abc import Iterator

    from chopmark.errors import ChopmarkError
    from chopmark.kit.types import JsonValue, Progress
    from chopmark.pipeline.released import Refused

__all__ = [
    "EXIT_NOT_AUTHENTIC",
    "EXIT_REFUSED",
    "emit",
    "fail",
    "progress_bar",
    "refuse",
    "show_p",
    "warn",
]

_LOG = logging.getLogger(__name__)
EXIT_REFUSED = 3
EXIT_NOT_AUTHENTIC = 4


def emit(value: JsonValue) -> None:
    """Print one JSON value on one line."""
    typer.echo(json.dumps(value, ensure_ascii=False, sort_keys=True))


def fail(error: ChopmarkError, *, as_json: bool) -> None:
    """Say an error: on stderr for people, as one JSON object on stdout for machines."""
    hint = error.hint
    if debug_log.is_shown():
        _LOG.debug("%s was the end of:", error.code, exc_info=error)
    elif error.status >= 500 and error.__cause__ is not None:
        again = "`chopmark --debug ...` shows the cause"
        hint = f"{hint}; {again}" if hint else again
    if as_json:
        emit({"error": {"code": error.code, "message": error.message, "hint": hint}})
    else:
        typer.echo(f"error ({error.code}): {error.message}", err=True)
        if hint:
            typer.echo(f"  hint: {hint}", err=True)


def refuse(error: Refused, *, as_json: bool) -> None:
    """Say a refusal: categories, what in the prompt led to it, and the decision id."""
    if as_json:
        emit(
            {
                "refused": True,
                "code": error.code,
                "stage": error.stage,
                "categories": list(error.verdict.categories),
                "decision_id": error.record_id,
                "record_id": error.record_id,
                "verdict": error.verdict.to_dict(),
            }
        )
        return
    typer.echo(f"refused: {error.message}", err=True)
    for item in error.verdict.evidence:
        where = f' at "{item.text}"' if item.text else ""
        typer.echo(f"  {item.category}: {item.detail or item.kind}{where}", err=True)
    typer.echo(f"  decision {error.record_id} (chopmark audit show {error.record_id})", err=True)


def warn(message: Warning | str, category: type[Warning], *_: object, **__: object) -> None:
    """Say a warning of ours as one line; takes the place of ``warnings.showwarning``.

    What libraries warn of concerns those who program with them, not those who run us.
    """
    if category.__module__.startswith("chopmark"):
        typer.echo(f"warning: {message}", err=True)


def show_p(value: float) -> str:
    """Return a p-value as text; under the smallest double there is no digit left to show."""
    return f"p = {value:.1e}" if value > 1e-300 else "p < 1e-300"


@contextmanager
def progress_bar(*, quiet: bool) -> Iterator[Progress | None]:
    """Show what is being done on stderr; nothing when ``quiet``.

    Where stderr is no terminal, each new stage is one line: a log stays readable.
    """
    if quiet:
        yield None
        return
    if not sys.stderr.isatty() or debug_log.is_shown():  # a bar would be torn by other lines
        last = ""

        def line(_done: int, _total: int, what: str) -> None:
            nonlocal last
            if what != last:
                last = what
                typer.echo(f"  {what} ...", err=True)

        yield line
        return

    from rich.console import Console
    from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    with Progress(
        SpinnerColumn(),
        TextColumn("{task.description:<24}"),
        BarColumn(bar_width=30),
        TimeElapsedColumn(),
        console=Console(stderr=True),
        transient=True,
    ) as bar:
        task = bar.add_task("starting", total=None)

        def move(done: int, total: int, what: str) -> None:
            bar.update(task, description=what, completed=done, total=total or None)

        yield move

"""``chopmark moderate``."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from chopmark.cli.generate import read
from chopmark.cli.output import emit, progress_bar
from chopmark.errors import InvalidRequest

if TYPE_CHECKING:
    from chopmark.safety import Verdict

__all__ = ["moderate"]

_BATCH = 64


def moderate(
    text: Annotated[str | None, typer.Argument(help="A text to judge.")] = None,
    jsonl: Annotated[
        Path | None, typer.Option("--jsonl", help="File of JSON objects with a `text` member.")
    ] = None,
    image: Annotated[Path | None, typer.Option("--image", help="A picture to judge.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a row.")] = False,
) -> None:
    """Judge a text, a file of texts or a picture by the policy, without generating anything."""
    if sum(value is not None for value in (text, jsonl, image)) != 1:
        raise InvalidRequest("give a text, --jsonl FILE or --image FILE, and only one of them")
    from chopmark import Pipeline
    from chopmark.settings import load_settings

    with Pipeline.from_settings(load_settings()) as pipeline:
        if image is not None:
            data = read(image)
            _show(asyncio.run(pipeline.moderate(image=data)).verdicts[0], as_json=as_json)
            return
        rows = [text] if text is not None else _rows(jsonl)
        with progress_bar(quiet=as_json or len(rows) <= _BATCH) as progress:

            async def go() -> None:
                for start in range(0, len(rows), _BATCH):
                    moderated = await pipeline.moderate(rows[start : start + _BATCH])
                    for verdict in moderated.verdicts:
                        _show(verdict, as_json=as_json)
                    if progress is not None:
                        progress(min(start + _BATCH, len(rows)), len(rows), "judging")

            asyncio.run(go())


def _show(verdict: Verdict, *, as_json: bool) -> None:
    if as_json:
        members = verdict.to_dict()
        names = ("flagged", "action", "scores", "evidence", "not_evaluated", "record_id")
        emit({name: members[name] for name in names if name in members})
        return
    top = sorted(verdict.scores.items(), key=lambda item: -item[1])[:3]
    scores = "  ".join(f"{name} {score:.2f}" for name, score in top)
    typer.echo(f"{verdict.action:<6} {', '.join(verdict.categories):<24} {scores}")
    for item in verdict.evidence:
        typer.echo(f'  {item.category}: {item.detail or item.kind} "{item.text}"')


def _rows(path: Path | None) -> list[str]:
    assert path is not None  # noqa: S101  the caller counted the arguments
    rows = []
    for number, line in enumerate(read(path).splitlines(), 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except ValueError as error:
            raise InvalidRequest(f"{path}, line {number}: not JSON ({error})") from error
        text = row.get("text") if isinstance(row, dict) else None
        if not isinstance(text, str):
            raise InvalidRequest(f"{path}, line {number}: no `text` member that is a string")
        rows.append(text)
    return rows

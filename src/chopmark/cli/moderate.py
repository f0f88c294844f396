"""``chopmark moderate``."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from chopmark.cli.generate import read
from chopmark.cli.moderation_rows import Row, read_rows, unjudged
from chopmark.cli.output import emit, progress_bar
from chopmark.errors import ChopmarkError, InvalidRequest

if TYPE_CHECKING:
    from collections.abc import Sequence

    from chopmark import Pipeline
    from chopmark.kit.types import JsonValue
    from chopmark.safety import Verdict

__all__ = ["moderate"]

_BATCH = 64


def moderate(
    text: Annotated[str | None, typer.Argument(help="A text to judge.")] = None,
    edit: Annotated[
        str | None, typer.Option("--edit", help="What is asked of an edit; with --image of which.")
    ] = None,
    jsonl: Annotated[
        Path | None,
        typer.Option("--jsonl", help="File of JSON objects with `text`, `edit` or `image`."),
    ] = None,
    image: Annotated[Path | None, typer.Option("--image", help="A picture to judge.")] = None,
    lang: Annotated[
        str | None, typer.Option("--lang", help="Language of the text, BCP 47; else it is guessed.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a row.")] = False,
) -> None:
    """Judge a text, an edit's words, a picture or a file of them by the policy, making nothing."""
    given = [name for name, value in (("text", text), ("jsonl", jsonl)) if value is not None]
    if len(given) + bool(edit is not None or image is not None) != 1:
        raise InvalidRequest(
            "give a text, --jsonl FILE, --image FILE, or --edit TEXT (with --image or alone)"
        )
    from chopmark import Pipeline
    from chopmark.safety.text.language import is_tag
    from chopmark.settings import load_settings

    if lang is not None and not is_tag(lang):
        raise InvalidRequest(f"--lang {lang[:40]}: no BCP 47 tag", hint="de, zh-Hant, pt-BR")
    with Pipeline.from_settings(load_settings()) as pipeline:
        if jsonl is None:
            row = Row(text=text, edit=edit, image=image, lang=lang)
            verdicts = asyncio.run(_judge(pipeline, [row]))
            for verdict in verdicts:
                _show(verdict.to_dict(), as_json=as_json)
            return
        asyncio.run(_judge_file(pipeline, read_rows(jsonl), as_json=as_json))


async def _judge_file(pipeline: Pipeline, rows: list[Row], *, as_json: bool) -> None:
    """Judge all rows in their order; one that cannot be judged goes to a person."""
    with progress_bar(quiet=as_json or len(rows) <= _BATCH) as progress:
        done = 0
        while done < len(rows):
            batch = _batch(rows[done : done + _BATCH])
            for members in await _answers(pipeline, batch):
                _show(members, as_json=as_json)
            done += len(batch)
            if progress is not None:
                progress(done, len(rows), "judging")


def _batch(rows: Sequence[Row]) -> list[Row]:
    """Return the first rows that are judged in one call: one alone, or words without a picture."""
    words = 0
    while words < len(rows) and rows[words].error is None and rows[words].image is None:
        words += 1
    return list(rows[: max(1, words)])


async def _answers(pipeline: Pipeline, rows: list[Row]) -> list[dict[str, JsonValue]]:
    """Return an answer for each row; a failure of several together is one of some of them."""
    error = rows[0].error
    if error is None:
        try:
            verdicts = await _judge(pipeline, rows)
        except ChopmarkError as failed:
            if len(rows) > 1:
                return [(await _answers(pipeline, [row]))[0] for row in rows]
            error = failed
        else:
            return [
                {**row.name, **verdict.to_dict()}
                for row, verdict in zip(rows, verdicts, strict=True)
            ]
    return [{**rows[0].name, **unjudged(error)}]


async def _judge(pipeline: Pipeline, rows: Sequence[Row]) -> list[Verdict]:
    """Return a verdict for each row, in their order; all words of a call stand in one record."""
    from chopmark.safety.guards import join_verdicts

    order = sorted(range(len(rows)), key=lambda at: rows[at].text is None)
    words = [at for at in order if rows[at].text is not None or rows[at].edit is not None]
    picture = rows[0].image
    moderated = await pipeline.moderate(
        [text for at in words if (text := rows[at].text) is not None],
        edits=[edit for at in words if (edit := rows[at].edit) is not None],
        languages=[rows[at].lang for at in words],
        image=None if picture is None else read(picture),
    )
    if picture is not None:
        return [join_verdicts(moderated.verdicts)]
    found = dict(zip(words, moderated.verdicts, strict=True))
    return [found[at] for at in range(len(rows))]


def _show(members: dict[str, JsonValue], *, as_json: bool) -> None:
    if as_json:
        names = (
            "id", "flagged", "action", "categories", "scores", "evidence", "language",
            "people", "not_evaluated", "error",
        )  # fmt: skip
        emit({name: members[name] for name in names if name in members})
        return
    scores: dict[str, float] = members["scores"]  # type: ignore[assignment]
    categories: list[str] = members["categories"]  # type: ignore[assignment]
    evidence: list[dict[str, str]] = members["evidence"]  # type: ignore[assignment]
    top = sorted(scores.items(), key=lambda item: -item[1])[:3]
    shown = "  ".join(f"{name} {score:.2f}" for name, score in top)
    typer.echo(f"{members['action']:<6} {', '.join(categories):<24} {shown}")
    for item in evidence:
        typer.echo(f'  {item["category"]}: {item["detail"] or item["kind"]} "{item["text"]}"')

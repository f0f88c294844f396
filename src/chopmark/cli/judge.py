"""``chopmark moderate`` and ``chopmark policy``."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from chopmark.cli._say import emit, progress_bar
from chopmark.cli.create import read
from chopmark.errors import InvalidRequest

if TYPE_CHECKING:
    from chopmark.kit.types import JsonValue
    from chopmark.safety import Verdict

__all__ = ["moderate", "policy_app"]

_BATCH = 64
policy_app = typer.Typer(help="Read and check safety policies.", no_args_is_help=True)


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
        with progress_bar(quiet=as_json or len(rows) <= _BATCH) as told:

            async def go() -> None:
                for start in range(0, len(rows), _BATCH):
                    said = await pipeline.moderate(rows[start : start + _BATCH])
                    for verdict in said.verdicts:
                        _show(verdict, as_json=as_json)
                    if told is not None:
                        told(min(start + _BATCH, len(rows)), len(rows), "judging")

            asyncio.run(go())


def _show(verdict: Verdict, *, as_json: bool) -> None:
    said = verdict.to_dict()
    if as_json:
        names = ("flagged", "action", "scores", "evidence", "not_evaluated", "record_id")
        emit({name: said[name] for name in names if name in said})
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


@policy_app.command("show")
def policy_show(
    name: Annotated[str, typer.Argument(help="`default`, `strict` or a YAML file.")] = "default",
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
) -> None:
    """Print a policy: its categories and thresholds."""
    from chopmark.safety import load_policy

    policy = load_policy(name)
    said: JsonValue = policy.model_dump(mode="json")
    if as_json:
        emit({"digest": policy.digest(), "policy": said})
        return
    import yaml

    typer.echo(f"# digest {policy.digest()}")
    typer.echo(yaml.safe_dump(said, sort_keys=False, allow_unicode=True), nl=False)


@policy_app.command("check")
def policy_check(
    file: Annotated[Path, typer.Argument(help="A policy file, or with --base an override.")],
    base: Annotated[
        str | None,
        typer.Option("--base", help="FILE is a tenant's override of this policy."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
) -> None:
    """Say whether a policy file can be used, and if not, where it is wrong."""
    from chopmark.safety import load_policy
    from chopmark.safety.policy.override import apply_override, load_override

    if base is None:
        policy = load_policy(file)
    else:
        policy = apply_override(load_policy(base), load_override(file))
    if as_json:
        emit({"ok": True, "digest": policy.digest()})
    else:
        typer.echo(f"{file}: ok, digest {policy.digest()}")

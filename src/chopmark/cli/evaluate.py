"""``chopmark eval``: how good the guards are on a labelled set of your own."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from chopmark.cli.output import emit, progress_bar

if TYPE_CHECKING:
    from chopmark.safety import ImageGuards, PromptGuards

__all__ = ["evaluate", "prompt_guards"]


def evaluate(
    file: Annotated[Path, typer.Argument(help="JSONL: text or image, and categories.")],
    policy: Annotated[str, typer.Option("--policy", help="`default`, `strict` or a file.")] = (
        "default"
    ),
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
) -> None:
    """Judge a labelled set of your own and print numbers only; nothing of it is kept or shown."""
    from chopmark.safety import load_policy
    from chopmark.safety.evaluation import evaluate as run

    with progress_bar(quiet=as_json) as progress:
        report = run(
            file,
            load_policy(policy),
            prompt_guard=prompt_guards(),
            image_guard=_picture_guards(),
            progress=progress,
        )
    if as_json:
        emit(report)
        return
    import yaml

    typer.echo(yaml.safe_dump(report, sort_keys=False), nl=False)


# The guards that the pipeline would ask, without a home folder.
def prompt_guards() -> PromptGuards:
    """Return the prompt guards that the pipeline would ask."""
    from chopmark.plugins.builtin import all_plugins
    from chopmark.safety import PromptGuards
    from chopmark.settings import load_settings

    settings = load_settings()
    return PromptGuards(all_plugins(others=settings.plugins).prompt_guards(settings))


def _picture_guards() -> ImageGuards:
    from chopmark.plugins.builtin import all_plugins
    from chopmark.safety import ImageGuards
    from chopmark.settings import load_settings

    settings = load_settings()
    return ImageGuards(all_plugins(others=settings.plugins).image_guards(settings))

"""``chopmark policy diff|test`` and ``chopmark eval``: a safety desk's work."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from chopmark.cli._say import emit, progress_bar
from chopmark.cli.judge import policy_app

if TYPE_CHECKING:
    from chopmark.kit.types import JsonValue
    from chopmark.safety import ImageGuards, PromptGuards

__all__ = ["evaluate"]

Json = Annotated[bool, typer.Option("--json", help="One JSON object.")]


@policy_app.command("diff")
def policy_diff(
    before: Annotated[str, typer.Argument(help="`default`, `strict` or a YAML file.")],
    after: Annotated[str, typer.Argument(help="`default`, `strict` or a YAML file.")],
    as_json: Json = False,
) -> None:
    """Say what differs between two policies, and whether it is stricter or laxer."""
    from chopmark.safety import load_policy
    from chopmark.safety.policy_tools import diff

    changes = diff(load_policy(before), load_policy(after))
    if as_json:
        rows: JsonValue = [
            {"field": c.field, "before": c.before, "after": c.after, "effect": c.effect}
            for c in changes
        ]
        emit({"changes": rows})
        return
    for change in changes:
        was, now = change.before or "(none)", change.after or "(none)"
        typer.echo(f"{change.effect:<9} {change.field}: {was} -> {now}")
    if not changes:
        typer.echo("no difference")


@policy_app.command("test")
def policy_test(
    name: Annotated[str, typer.Argument(help="`default`, `strict` or a YAML file.")] = "default",
    golden: Annotated[
        Path | None, typer.Option("--golden", help="Golden cases; else NAME.golden.yaml beside it.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Judge a policy's golden cases; exit code 1 when one comes out otherwise."""
    from chopmark.safety import load_policy
    from chopmark.safety.policy_tools import golden_path, load_golden, run_golden

    policy = load_policy(name)
    report = run_golden(policy, load_golden(golden or golden_path(name)), _prompt_guards())
    if as_json:
        emit(report.to_dict())
    else:
        for one in report.failures:
            wanted = " or ".join(one.case.actions)
            if one.case.categories:
                wanted += f" ({', '.join(one.case.categories)})"
            got = f"{one.action} ({', '.join(one.categories)})"
            typer.echo(f'"{one.case.text}": wanted {wanted}, got {got}')
        typer.echo(f"{report.total - len(report.failures)} of {report.total} cases as they must be")
    if not report.ok:
        raise typer.Exit(1)


def evaluate(
    file: Annotated[Path, typer.Argument(help="JSONL: text or image, and categories.")],
    policy: Annotated[str, typer.Option("--policy", help="`default`, `strict` or a file.")] = (
        "default"
    ),
    as_json: Json = False,
) -> None:
    """Judge a labelled set of your own and print numbers only; nothing of it is kept or shown."""
    from chopmark.safety import load_policy
    from chopmark.safety.evaluation import evaluate as run

    with progress_bar(quiet=as_json) as told:
        said = run(
            file,
            load_policy(policy),
            prompt_guard=_prompt_guards(),
            image_guard=_picture_guards(),
            progress=told,
        )
    if as_json:
        emit(said)
        return
    import yaml

    typer.echo(yaml.safe_dump(said, sort_keys=False), nl=False)


# The guards that the pipeline would ask, without a home folder.
def _prompt_guards() -> PromptGuards:
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

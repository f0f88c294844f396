"""``chopmark policy``: show, check, compare and test safety policies."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from chopmark.cli.evaluate import prompt_guards
from chopmark.cli.output import emit

if TYPE_CHECKING:
    from chopmark.kit.types import JsonValue

__all__ = ["app"]

app = typer.Typer(help="Read and check safety policies.", no_args_is_help=True)

Json = Annotated[bool, typer.Option("--json", help="One JSON object.")]


@app.command("show")
def policy_show(
    name: Annotated[str, typer.Argument(help="`default`, `strict` or a YAML file.")] = "default",
    as_json: Json = False,
) -> None:
    """Print a policy: its categories and thresholds."""
    from chopmark.safety import load_policy

    policy = load_policy(name)
    document: JsonValue = policy.model_dump(mode="json")
    if as_json:
        emit({"digest": policy.digest(), "policy": document})
        return
    import yaml

    typer.echo(f"# digest {policy.digest()}")
    typer.echo(yaml.safe_dump(document, sort_keys=False, allow_unicode=True), nl=False)


@app.command("check")
def policy_check(
    file: Annotated[Path, typer.Argument(help="A policy file, or with --base an override.")],
    base: Annotated[
        str | None,
        typer.Option("--base", help="FILE is a tenant's override of this policy."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Say whether a policy file can be used, and if not, where it is wrong."""
    from chopmark.safety import load_policy
    from chopmark.safety.policy.override import apply_override, load_override
    from chopmark.safety.policy_tools import doubts

    if base is None:
        policy = load_policy(file)
    else:
        policy = apply_override(load_policy(base), load_override(file))
    warnings = doubts(policy)
    if as_json:
        emit({"ok": True, "digest": policy.digest(), "warnings": list(warnings)})
        return
    for warning in warnings:
        typer.echo(f"{file}: warning: {warning}", err=True)
    typer.echo(f"{file}: ok, digest {policy.digest()}")


@app.command("diff")
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


@app.command("test")
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
    report = run_golden(policy, load_golden(golden or golden_path(name)), prompt_guards())
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

"""``chopmark policy diff|test``, ``chopmark hashes``, ``chopmark eval``: a safety desk's work."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from chopmark.cli._say import emit, progress_bar
from chopmark.cli.create import read
from chopmark.cli.judge import policy_app
from chopmark.errors import ConfigurationError, HashListError, InvalidRequest

if TYPE_CHECKING:
    from chopmark.types import JsonValue

__all__ = ["evaluate", "hashes_app"]

hashes_app = typer.Typer(help="Hash lists that pictures are matched with.", no_args_is_help=True)
Json = Annotated[bool, typer.Option("--json", help="One JSON object.")]
Lists = Annotated[
    Path | None, typer.Option("--lists", help="Folder of the lists; else CHOPMARK_HASH_LISTS.")
]


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
    from chopmark.safety import PromptGuard, load_policy
    from chopmark.safety.policy_tools import golden_path, load_golden, run_golden

    policy = load_policy(name)
    report = run_golden(policy, load_golden(golden or golden_path(name)), PromptGuard.load())
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


def _folder(lists: Path | None) -> Path:
    from chopmark.settings import load_settings

    folder = lists or load_settings().hash_lists
    if folder is None:
        raise ConfigurationError(
            "no folder for hash lists is set", hint="--lists FOLDER or CHOPMARK_HASH_LISTS"
        )
    return folder


@hashes_app.command("import")
def hashes_import(
    file: Annotated[Path, typer.Argument(help="CSV, ThreatExchange, NCMEC v2 or StopNCII.")],
    lists: Lists = None,
    name: Annotated[str | None, typer.Option("--name", help="Name of the list.")] = None,
    category: Annotated[
        str | None, typer.Option("--category", help="Category of every entry.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Add a file to a list: new entries come in, retracted ones go out."""
    from dataclasses import replace

    from chopmark.safety.hashes.bank import HashBank, read_csv
    from chopmark.safety.hashes.formats import import_list, write_csv

    folder = _folder(lists)
    folder.mkdir(parents=True, exist_ok=True)
    got = import_list(file, category=category)
    called = name or file.stem
    if not called.replace("-", "").replace("_", "").replace(".", "").isalnum():
        raise InvalidRequest(f"{called!r} is no name of a list", hint="--name with letters, digits")
    path = folder / f"{called}.csv"
    old = read_csv(path) if path.exists() else HashBank(name=called, entries=())
    new = replace(got.applied_to(old), source=file.name)
    write_csv(new, path)
    said: dict[str, JsonValue] = {
        "list": called,
        "entries": len(new.entries),
        "read": len(got.bank.entries),
        "retracted": len(got.retracted),
        "skipped": dict(got.skipped or {}),
        "next_page": got.next_page,
    }
    if as_json:
        emit(said)
        return
    typer.echo(f"{called}: {len(new.entries)} entries ({len(got.bank.entries)} read)")
    for kind, count in (got.skipped or {}).items():
        typer.echo(f"  {count} of the kind {kind} cannot be looked up here")
    if got.next_page:
        typer.echo(f"  the list goes on: {got.next_page}")


@hashes_app.command("list")
def hashes_list(lists: Lists = None, as_json: Json = False) -> None:
    """Show the lists: names, sizes, categories; never an entry."""
    from collections import Counter

    from chopmark.safety.hashes.bank import read_csv, test_bank

    banks = [test_bank()]
    banks += [read_csv(path) for path in sorted(_folder(lists).glob("*.csv"))]
    rows: list[JsonValue] = []
    for bank in banks:
        counts: dict[str, JsonValue] = dict(Counter(entry.category for entry in bank.entries))
        rows.append({"list": bank.name, "entries": len(bank.entries), "categories": counts})
        if not as_json:
            shown = ", ".join(f"{name}: {count}" for name, count in counts.items())
            typer.echo(f"{bank.name:<24} {len(bank.entries):>9}  {shown}")
    if as_json:
        emit({"lists": rows})


@hashes_app.command("match")
def hashes_match(
    file: Annotated[Path, typer.Argument(help="A picture.")],
    lists: Lists = None,
    as_json: Json = False,
) -> None:
    """Look a picture up in every list; exit code 3 when it is on one."""
    from chopmark.cli._say import EXIT_REFUSED
    from chopmark.safety import decode_image
    from chopmark.safety.hashes.bank import read_csv, test_bank
    from chopmark.safety.hashes.perceptual import hash_picture
    from chopmark.settings import load_settings

    folder = lists or load_settings().hash_lists
    if lists is not None and not lists.is_dir():
        raise HashListError(f"{lists} is no folder")
    banks = [test_bank()]
    banks += [read_csv(path) for path in sorted(folder.glob("*.csv"))] if folder else []
    hashes = hash_picture(decode_image(read(file)))
    matches = [match for bank in banks for match in bank.match(hashes)]
    if as_json:
        found: JsonValue = [
            {
                "list": match.bank,
                "kind": match.entry.kind,
                "distance": match.distance,
                "category": match.entry.category,
                "reference": match.entry.reference,
            }
            for match in matches
        ]
        emit({"matches": found, "quality": hashes.quality})
    else:
        for match in matches:
            entry = match.entry
            typer.echo(
                f"{match.bank}: {entry.category}, {entry.kind} distance {match.distance} "
                f"{entry.reference}"
            )
        if not matches:
            typer.echo("on no list")
    if matches:
        raise typer.Exit(EXIT_REFUSED)


def evaluate(
    file: Annotated[Path, typer.Argument(help="JSONL: text or image, and categories.")],
    policy: Annotated[str, typer.Option("--policy", help="`default`, `strict` or a file.")] = (
        "default"
    ),
    as_json: Json = False,
) -> None:
    """Judge a labelled set of your own and print numbers only; nothing of it is kept or shown."""
    from chopmark.safety import ImageGuard, PromptGuard, load_policy
    from chopmark.safety.evaluation import evaluate as run
    from chopmark.settings import load_settings

    with progress_bar(quiet=as_json) as told:
        said = run(
            file,
            load_policy(policy),
            prompt_guard=PromptGuard.load(),
            image_guard=ImageGuard.load(hash_lists=load_settings().hash_lists),
            progress=told,
        )
    if as_json:
        emit(said)
        return
    import yaml

    typer.echo(yaml.safe_dump(said, sort_keys=False), nl=False)

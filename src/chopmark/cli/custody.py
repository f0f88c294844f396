"""``chopmark audit`` erase, hold, retain, seal, export, report: what takes content away or out."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from chopmark.cli.desk_session import (
    As,
    Json,
    Purpose,
    Reason,
    Roles,
    Second,
    Tenant,
    actor,
    desk_of,
    open_log,
    second,
)
from chopmark.cli.generate import read
from chopmark.cli.output import EXIT_NOT_AUTHENTIC, emit, progress_bar
from chopmark.cli.query_options import Found, query_of
from chopmark.errors import InvalidRequest

if TYPE_CHECKING:
    from chopmark.audit import Record

__all__ = ["add_commands"]

Subject = Annotated[
    str, typer.Option("--subject", help="The person, as the log knows them (TENANT:IDENTIFIER).")
]


def _done(record: Record, sentence: str, *, as_json: bool) -> None:
    if as_json:
        emit(record.to_dict())
    else:
        typer.echo(f"{sentence} (entry {record.index})")


def erase(
    subject: Subject,
    other: Second,
    reason: Reason,
    purpose: Annotated[str, typer.Option("--purpose", help="Why; else the reason.")] = "",
    tenant: Tenant = None,
    name: As = None,
    role: Roles = None,
    as_json: Json = False,
) -> None:
    """Forget a person: keys destroyed, content and index rows gone, every proof still valid."""
    from chopmark.pipeline.erase_prompts import forget_person
    from chopmark.service.forgetting import forget_beside_the_log
    from chopmark.settings import load_settings

    settings = load_settings()
    who, home = actor(name, role, tenant), settings.open_home()
    with desk_of(who, purpose or reason) as desk:
        record = desk.erase(subject, second=second(other, who), reason=reason)
    forget_person(home, subject)
    with open_log() as log:
        forget_beside_the_log(home, log, settings=settings)
    _done(record, f"erased {record.public['count']} contents", as_json=as_json)


def hold(
    subject: Subject,
    basis: Annotated[str, typer.Option("--basis", help="The legal ground, or the case.")],
    until: Annotated[
        str | None, typer.Option("--until", help="When it ends by itself (RFC 3339).")
    ] = None,
    tenant: Tenant = None,
    name: As = None,
    role: Roles = None,
    as_json: Json = False,
) -> None:
    """Forbid erasing and expiring what is stored about a person."""
    with desk_of(actor(name, role, tenant), basis) as desk:
        record = desk.place_hold(subject, basis=basis, until=until)
    _done(record, f"held until {until or 'it is released'}", as_json=as_json)


def holds(
    tenant: Tenant = None, name: As = None, role: Roles = None, as_json: Json = False
) -> None:
    """List the holds that stand."""
    with desk_of(actor(name, role, tenant), "list of holds") as desk:
        standing = desk.holds()
    for item in standing:
        if as_json:
            emit(item.to_dict())
        else:
            until = item.until or "released"
            typer.echo(f"{item.index:>7}  {item.subject}  until {until}  {item.basis} ({item.by})")


def release(
    index: Annotated[int, typer.Argument(help="The hold's entry, as `audit holds` shows it.")],
    reason: Reason,
    tenant: Tenant = None,
    name: As = None,
    role: Roles = None,
    as_json: Json = False,
) -> None:
    """End a hold."""
    with desk_of(actor(name, role, tenant), reason) as desk:
        record = desk.release_hold(index, reason=reason)
    _done(record, f"hold {index} released", as_json=as_json)


def retain(
    standard: Annotated[int, typer.Option(help="Days that content is kept.")] = 183,
    blocked: Annotated[int, typer.Option(help="Days for what was refused.")] = 365,
    report: Annotated[int, typer.Option(help="Days for what was reported.")] = 365,
    name: As = None,
    role: Roles = None,
    as_json: Json = False,
) -> None:
    """End retention: take away content older than its class is kept; what is held stays.

    Tenants with days of their own are left out.
    """
    if min(standard, blocked, report) < 0:
        raise InvalidRequest("a number of days is not negative")
    from chopmark.service.forgetting import forget_beside_the_log
    from chopmark.settings import load_settings
    from chopmark.tenancy import AccessStore

    settings = load_settings()
    home = settings.open_home()
    with AccessStore.open(home, database=settings.database) as store:
        # A server ends these by their own days.
        others = frozenset(tenant.name for tenant in store.tenants() if tenant.retention_days)
    with desk_of(actor(name, role, None), "end of retention") as desk:
        booked = desk.expire(
            {
                "standard": timedelta(days=standard),
                "blocked": timedelta(days=blocked),
                "report": timedelta(days=report),
            },
            but=others,
        )
    with open_log() as log:
        forget_beside_the_log(home, log, settings=settings)
        log.custody.attachments.drop_older(timedelta(hours=settings.cached_answers_hours))
    for record in booked:
        sentence = f"{record.public['class']}: {record.public['count']} contents are gone"
        _done(record, sentence, as_json=as_json)
    if not booked and not as_json:
        typer.echo("nothing was due")


def seal(
    record_id: Annotated[str, typer.Argument(help="A record id.")],
    reason: Reason,
    tenant: Tenant = None,
    name: As = None,
    role: Roles = None,
    as_json: Json = False,
) -> None:
    """Close a record's content to everybody, until two investigators open it."""
    with desk_of(actor(name, role, tenant), reason) as desk:
        record = desk.seal(record_id, reason=reason)
    _done(record, f"{record.record_id} is sealed", as_json=as_json)


def unseal(
    record_id: Annotated[str, typer.Argument(help="A record id.")],
    other: Second,
    reason: Reason,
    hours: Annotated[float, typer.Option(help="Closes again by itself after so many.")] = 8.0,
    tenant: Tenant = None,
    name: As = None,
    role: Roles = None,
    as_json: Json = False,
) -> None:
    """Open a sealed record for a time, together with a second investigator."""
    who = actor(name, role, tenant)
    with desk_of(who, reason) as desk:
        record = desk.unseal(
            record_id, second=second(other, who), reason=reason, duration=timedelta(hours=hours)
        )
    _done(record, f"{record.record_id} is open until {record.public['until']}", as_json=as_json)


def cybertip(
    record_id: Annotated[str, typer.Argument(help="The id of a sealed record.")],
    other: Second,
    reason: Reason,
    file: Annotated[Path, typer.Option("--out", "-o", help="Where the draft is written.")],
    prompt: Annotated[
        bool, typer.Option("--prompt", help="With what was asked for; no picture ever.")
    ] = False,
    tenant: Tenant = None,
    name: As = None,
    role: Roles = None,
    as_json: Json = False,
) -> None:
    """Draft a report to NCMEC and hold what is kept of its person; nothing is sent."""
    from chopmark.kit.files import write_private
    from chopmark.service.custody_acts import reporter_of
    from chopmark.settings import load_settings

    who, reporter = actor(name, role, tenant), reporter_of(load_settings())
    with desk_of(who, reason) as desk:
        record = desk.cybertips.release(
            record_id, reporter, second=second(other, who), reason=reason, prompt=prompt
        )
        text = desk.cybertips.draft(record_id)
    write_private(file, text.encode())
    held = "nobody was named, so nothing is held" if record.public["hold"] is None else "held"
    _done(
        record,
        f"{file}: {held} until {record.public['until']}; submit it yourself",
        as_json=as_json,
    )


def export(
    folder: Annotated[Path, typer.Argument(help="Where to; made if new.")],
    purpose: Purpose,
    other: Second,
    text: Annotated[str | None, typer.Option("--text", help="Words of the prompt.")] = None,
    found: Found = None,
    form: Annotated[
        Literal["jsonl", "csv", "parquet"], typer.Option("--form", help="Of the entries.")
    ] = "jsonl",
    content: Annotated[
        bool, typer.Option("--content", help="Also what is kept encrypted; sealed records never.")
    ] = False,
    limit: Annotated[int | None, typer.Option(help="Most records, the newest.")] = None,
    tenant: Tenant = None,
    name: As = None,
    role: Roles = None,
    as_json: Json = False,
) -> None:
    """Write what a query finds, each entry with its proof, and a manifest over it all."""
    who = actor(name, role, tenant)
    with desk_of(who, purpose) as desk, progress_bar(quiet=False) as progress:
        manifest = desk.export.records(
            query_of(text, found),
            folder,
            form=form,
            second=second(other, who),
            content=content,
            limit=limit,
            progress=progress,
        )
    summary = json.loads(manifest.read_bytes())
    if as_json:
        emit(summary)
    else:
        typer.echo(f"{folder}: {summary['entries']} entries in {summary['file']['name']}")


def check_export(
    folder: Annotated[Path, typer.Argument(help="An export.")],
    public_key: Annotated[
        str, typer.Option("--public-key", help="The log's key, as it publishes it, or its file.")
    ],
    as_json: Json = False,
) -> None:
    """Check an export without the log: digests, checkpoint, and every entry's proof."""
    from chopmark.audit import check_export as check

    key = public_key if "+" in public_key else read(Path(public_key)).decode("utf-8", "replace")
    problems = check(folder, key)
    if as_json:
        emit({"ok": not problems, "problems": [problem.to_dict() for problem in problems]})
    else:
        typer.echo("NOT OK" if problems else "ok")
        for problem in problems:
            typer.echo(f"  {problem}")
    if problems:
        raise typer.Exit(EXIT_NOT_AUTHENTIC)


def report(
    since: Annotated[str, typer.Option(help="First moment, RFC 3339 in UTC.")] = "",
    until: Annotated[str, typer.Option(help="Moment after the last.")] = "9999",
    tenant: Tenant = None,
    name: As = None,
    role: Roles = None,
    as_json: Json = False,
) -> None:
    """Count requests, refusals, reviews and appeals; anybody can count again from the log."""
    with desk_of(actor(name, role, tenant), "transparency report") as desk:
        counted = desk.export.report(since=since, until=until)
    if as_json:
        emit(counted)
        return
    import yaml

    note = str(counted.pop("checkpoint"))
    typer.echo(yaml.safe_dump(counted, sort_keys=False, allow_unicode=True), nl=False)
    typer.echo(f"checkpoint: |\n  {note.replace(chr(10), chr(10) + '  ').rstrip()}")


def statements(
    template: Annotated[
        Path, typer.Argument(help="YAML: reference, explanation, ground, categories, ...")
    ],
    purpose: Purpose,
    other: Second,
    since: Annotated[str | None, typer.Option(help="From this RFC 3339 time on.")] = None,
    until: Annotated[str | None, typer.Option(help="Before this RFC 3339 time.")] = None,
    tenant: Tenant = None,
    name: As = None,
    role: Roles = None,
) -> None:
    """Write the DSA statements of reasons for the refusals of a period, one JSON object a line."""
    who = actor(name, role, tenant)
    with desk_of(who, purpose) as desk:
        for statement in desk.export.statements(
            _template(template), second=second(other, who), since=since, until=until
        ):
            emit(statement)


def statement_schema() -> None:
    """Print the JSON schema of a statement of reasons, as the DSA database takes them."""
    from chopmark.audit import statement_schema as schema

    emit(schema())


def _template(path: Path) -> Any:
    import yaml

    from chopmark.audit import StatementTemplate

    try:
        members = yaml.safe_load(read(path))
        if isinstance(members, dict) and isinstance(members.get("territorial_scope"), list):
            members["territorial_scope"] = tuple(members["territorial_scope"])
        return StatementTemplate(**members)
    except (yaml.YAMLError, TypeError) as error:
        raise InvalidRequest(
            f"{path} is not a template: {str(error).splitlines()[0]}",
            hint="a mapping with reference and explanation, see docs/audit.md",
        ) from None


def reconcile(
    older_than: Annotated[
        float | None, typer.Option(help="Only requests older than so many seconds.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Close requests that were received and never ended, and collect what they left."""
    from chopmark.pipeline.lost import close_lost, sweep_manifests
    from chopmark.pipeline.parts import Parts
    from chopmark.settings import load_settings

    parts = Parts(load_settings())
    try:
        closed = close_lost(parts)
        if older_than is not None:
            closed += parts.log.reconcile(older_than)
        swept = sweep_manifests(parts)
    finally:
        parts.close()
    if swept and not as_json:
        typer.echo(f"{swept} manifests of requests that never completed are gone")
    for record in closed:
        _done(record, f"{record.record_id} was lost", as_json=as_json)
    if not closed and not as_json:
        typer.echo("no request was left open")


def add_commands(app: typer.Typer) -> None:
    """Put these commands under ``chopmark audit``."""
    for command in (
        export,
        erase,
        hold,
        holds,
        release,
        retain,
        seal,
        unseal,
        cybertip,
        report,
        statements,
        reconcile,
    ):
        app.command()(command)
    app.command("check-export")(check_export)
    app.command("statement-schema")(statement_schema)

"""``chopmark review``: queues, leases, decisions, appeals and exceptions."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from chopmark.cli.desk_session import As, Json, Reason, Roles, Tenant, actor, desk_of, open_log
from chopmark.cli.output import emit

if TYPE_CHECKING:
    from chopmark.audit import Appeal, Record, Task

__all__ = ["app"]

app = typer.Typer(
    help="Work on what needs a person: queues, leases, decisions, appeals.", no_args_is_help=True
)
RecordId = Annotated[str, typer.Argument(help="A record id.")]
Decision = Annotated[str, typer.Argument(help="The decision id that the refusal named.")]
Rationale = Annotated[str, typer.Option("--rationale", help="Why; kept in the log.")]
Minutes = Annotated[float, typer.Option("--minutes", help="How long you hold it.")]
_PURPOSE = "review"


def _task(task: Task | None, *, as_json: bool) -> None:
    if as_json:
        emit(task.to_dict() if task is not None else None)
    elif task is None:
        typer.echo("nothing waits")
    else:
        held = f"held by {task.holder} until {task.until}" if task.until else ""
        typer.echo(
            f"{task.record_id}  {task.tenant:<12} {task.queue:<12} priority {task.priority}"
            f"  since {task.queued}  {task.decision or held or 'waits'}"
            + (f"  due {task.due}{' LATE' if task.late else ''}" if task.due else "")
        )


def _appeal(appeal: Appeal | None, *, as_json: bool) -> None:
    if as_json:
        emit(appeal.to_dict() if appeal is not None else None)
    elif appeal is None:
        typer.echo("no appeal waits for you")
    else:
        held = f"held by {appeal.holder} until {appeal.until}" if appeal.until else ""
        typer.echo(
            f"{appeal.record_id}  {appeal.tenant:<12} since {appeal.time}"
            f"  {appeal.outcome or held or 'waits'}"
        )


def _done(record: Record, sentence: str, *, as_json: bool) -> None:
    if as_json:
        emit(record.to_dict())
    else:
        typer.echo(f"{sentence} (entry {record.index})")


@app.command()
def route(
    rules: Annotated[
        Path | None, typer.Option("--rules", help="YAML; else CHOPMARK_REVIEW_RULES.")
    ] = None,
    tenant: Tenant = None,
    name: As = None,
    role: Roles = None,
    as_json: Json = False,
) -> None:
    """Send every ended request that a rule matches to its queue."""
    from chopmark.service.review_rules import rules_of
    from chopmark.settings import load_settings

    listed = rules_of(load_settings(), path=rules)
    with desk_of(actor(name, role, tenant), "routing") as desk:
        booked = desk.review.route(listed)
    for record in booked:
        _done(record, f"{record.record_id} to {record.public['queue']}", as_json=as_json)
    if not booked and not as_json:
        typer.echo("nothing new to queue")


@app.command("list")
def list_tasks(
    queue: Annotated[str | None, typer.Option("--queue", help="Only this queue.")] = None,
    everything: Annotated[bool, typer.Option("--all", help="Also what is decided.")] = False,
    tenant: Tenant = None,
    name: As = None,
    role: Roles = None,
    as_json: Json = False,
) -> None:
    """List what waits, the next one first."""
    with desk_of(actor(name, role, tenant), _PURPOSE) as desk:
        tasks = desk.review.tasks(queue, only_open=not everything)
    for task in tasks:
        _task(task, as_json=as_json)
    if not tasks and not as_json:
        _task(None, as_json=False)


@app.command()
def lease(
    queue: Annotated[str, typer.Argument(help="A queue.")] = "review",
    minutes: Minutes = 15.0,
    tenant: Tenant = None,
    name: As = None,
    role: Roles = None,
    as_json: Json = False,
) -> None:
    """Take the next task of a queue; nobody else gets it until you are done or the lease ends."""
    with desk_of(actor(name, role, tenant), _PURPOSE) as desk:
        task = desk.review.lease(queue, duration=timedelta(minutes=minutes))
    _task(task, as_json=as_json)


@app.command()
def renew(
    record_id: RecordId,
    minutes: Minutes = 15.0,
    tenant: Tenant = None,
    name: As = None,
    role: Roles = None,
    as_json: Json = False,
) -> None:
    """Hold a task for longer."""
    with desk_of(actor(name, role, tenant), _PURPOSE) as desk:
        task = desk.review.renew(record_id, duration=timedelta(minutes=minutes))
    _task(task, as_json=as_json)


@app.command()
def release(
    record_id: RecordId,
    tenant: Tenant = None,
    name: As = None,
    role: Roles = None,
    as_json: Json = False,
) -> None:
    """Give a task back undecided."""
    with desk_of(actor(name, role, tenant), _PURPOSE) as desk:
        record = desk.review.release(record_id)
    _done(record, f"{record_id} waits again", as_json=as_json)


@app.command()
def decide(
    record_id: RecordId,
    decision: Annotated[
        Literal["confirmed", "overturned", "escalated"], typer.Argument(help="What you decide.")
    ],
    rationale: Rationale,
    allow_until: Annotated[
        str | None,
        typer.Option("--allow-until", help="Let this very prompt pass until then (RFC 3339)."),
    ] = None,
    tenant: Tenant = None,
    name: As = None,
    role: Roles = None,
    as_json: Json = False,
) -> None:
    """Decide on a task that you hold; what is escalated waits in the next queue."""
    from chopmark.service.review_rules import rules_of
    from chopmark.settings import load_settings

    rules = rules_of(load_settings())
    with desk_of(actor(name, role, tenant), _PURPOSE) as desk:
        record = desk.review.decide(
            record_id, decision, rationale=rationale, allow_until=allow_until, rules=rules
        )
    _done(record, f"{record_id} {decision}", as_json=as_json)


@app.command()
def takedown(
    record_id: Annotated[str, typer.Argument(help="A record or an output.")],
    reference: Annotated[
        str, typer.Option("--reference", help="Who demands it, under which number; kept encrypted.")
    ],
    intimate: Annotated[
        bool, typer.Option("--intimate", help="It is about an intimate picture: it comes first.")
    ] = False,
    received: Annotated[
        str | None, typer.Option("--received", help="When it arrived (RFC 3339); else now.")
    ] = None,
    tenant: Tenant = None,
    name: As = None,
    role: Roles = None,
    as_json: Json = False,
) -> None:
    """Enter a demand to take pictures down; it waits in the queue `takedown` until it is due.

    The deadline is that of CHOPMARK_TAKEDOWN_HOURS, which CHOPMARK_PROFILE may set.
    """
    from chopmark.service.review_rules import hours_for
    from chopmark.settings import load_settings

    demand: Literal["order", "intimate"] = "intimate" if intimate else "order"
    hours = hours_for(load_settings(), demand)
    with desk_of(actor(name, role, tenant), _PURPOSE) as desk:
        record = desk.review.takedown(
            record_id, demand, reference=reference, hours=hours, received=received
        )
    due = record.public.get("due")
    told = f", due {due}" if due else ", without a deadline"
    _done(record, f"{record.record_id} waits to be taken down{told}", as_json=as_json)


@app.command()
def appeal(
    decision: Decision,
    statement: Annotated[str, typer.Option("--statement", help="What the person says.")],
    as_json: Json = False,
) -> None:
    """Record the appeal of a person who was refused."""
    with open_log() as log:
        record = log.appeals.open(decision, statement=statement)
    _done(record, f"appeal against {record.record_id} is open", as_json=as_json)


@app.command("appeal-state")
def appeal_state(decision: Decision, as_json: Json = False) -> None:
    """Show what the person who appealed sees."""
    with open_log() as log:
        state = log.appeals.state(decision)
    if as_json:
        emit(state.to_dict())
    else:
        typer.echo(
            f"{state.record_id}  {state.outcome or 'open'}  {state.rationale or ''}".rstrip()
        )


@app.command()
def appeals(
    everything: Annotated[bool, typer.Option("--all", help="Also those decided.")] = False,
    tenant: Tenant = None,
    name: As = None,
    role: Roles = None,
    as_json: Json = False,
) -> None:
    """List appeals, the oldest first."""
    with desk_of(actor(name, role, tenant), "appeals") as desk:
        listed = desk.appeals.listed(only_open=not everything)
    for item in listed:
        _appeal(item, as_json=as_json)
    if not listed and not as_json:
        typer.echo("no appeal is open")


@app.command("lease-appeal")
def lease_appeal(
    minutes: Minutes = 15.0,
    tenant: Tenant = None,
    name: As = None,
    role: Roles = None,
    as_json: Json = False,
) -> None:
    """Take the appeal that waits longest and that you did not review."""
    with desk_of(actor(name, role, tenant), "appeals") as desk:
        item = desk.appeals.lease(duration=timedelta(minutes=minutes))
    _appeal(item, as_json=as_json)


@app.command("decide-appeal")
def decide_appeal(
    decision: Decision,
    outcome: Annotated[
        Literal["upheld", "overturned"], typer.Argument(help="Whether the refusal stands.")
    ],
    rationale: Rationale,
    allow_until: Annotated[
        str | None,
        typer.Option("--allow-until", help="Let this very prompt pass until then (RFC 3339)."),
    ] = None,
    tenant: Tenant = None,
    name: As = None,
    role: Roles = None,
    as_json: Json = False,
) -> None:
    """Uphold or overturn a refusal; the person sees the rationale."""
    with desk_of(actor(name, role, tenant), "appeals") as desk:
        record = desk.appeals.decide(
            decision, outcome, rationale=rationale, allow_until=allow_until
        )
    _done(record, f"refusal {record.record_id} {outcome}", as_json=as_json)


@app.command()
def exceptions(
    tenant: Tenant = None, name: As = None, role: Roles = None, as_json: Json = False
) -> None:
    """List the prompts that may pass although the policy blocks them."""
    with desk_of(actor(name, role, tenant), "exceptions") as desk:
        standing = desk.appeals.exceptions()
    for item in standing:
        if as_json:
            emit(item.to_dict())
        else:
            typer.echo(
                f"{item.index:>7}  {item.tenant:<12} refusal {item.record_id} until {item.until}"
            )
    if not standing and not as_json:
        typer.echo("no exception stands")


@app.command()
def revoke(
    index: Annotated[int, typer.Argument(help="The exception's entry, as listed.")],
    reason: Reason,
    tenant: Tenant = None,
    name: As = None,
    role: Roles = None,
    as_json: Json = False,
) -> None:
    """End an exception."""
    with desk_of(actor(name, role, tenant), reason) as desk:
        record = desk.appeals.revoke_exception(index, reason=reason)
    _done(record, f"exception {index} ended", as_json=as_json)

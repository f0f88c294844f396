"""``chopmark audit``: read, check and prove the log."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast, get_args

import typer

from chopmark.cli import custody, upkeep
from chopmark.cli.desk_session import As, Json, Purpose, Roles, Tenant, actor, desk_of, open_log
from chopmark.cli.generate import read
from chopmark.cli.output import EXIT_NOT_AUTHENTIC, emit, progress_bar
from chopmark.cli.query_options import Found, hit_line, query_of
from chopmark.errors import InvalidRequest

if TYPE_CHECKING:
    from chopmark.audit import EventKind, Record
    from chopmark.kit.types import JsonValue

__all__ = ["app"]

app = typer.Typer(
    help="The tamper-evident log: show, search, verify, prove, export, erase.",
    no_args_is_help=True,
)


def _line(record: Record) -> str:
    public = record.public
    members = ("code", "categories", "model", "what", "queue", "outcome", "decision", "of", "count")
    note = next((public[name] for name in members if public.get(name)), "")
    return (
        f"{record.index:>7}  {record.time}  {record.record_id}  {record.kind:<20} "
        f"{', '.join(map(str, note)) if isinstance(note, list) else note}"
    )


@app.command()
def show(
    record_id: Annotated[
        str | None, typer.Argument(help="A record or output id; without one, the newest entries.")
    ] = None,
    limit: Annotated[int, typer.Option(help="How many entries without an id.")] = 20,
    kind: Annotated[
        str | None, typer.Option(help="Without an id: only this kind, as request.refused.")
    ] = None,
    tenant: Tenant = None,
    since: Annotated[str | None, typer.Option(help="From this RFC 3339 time on.")] = None,
    until: Annotated[str | None, typer.Option(help="Before this RFC 3339 time.")] = None,
    private: Annotated[
        bool, typer.Option("--private", help="Also what is kept encrypted; this look is logged.")
    ] = False,
    name: As = None,
    purpose: Annotated[
        str, typer.Option("--purpose", help="Why you look; needed with --private.")
    ] = "",
    role: Roles = None,
    as_json: Json = False,
) -> None:
    """Show the events of one request, or the newest entries: what is public in the log."""
    from chopmark.audit import EventKind

    if kind is not None and kind not in get_args(EventKind):
        raise InvalidRequest(
            f"no event is of kind {kind!r}", hint=f"one of {', '.join(get_args(EventKind))}"
        )
    contents: list[dict[str, JsonValue] | None] = []
    if record_id is None:
        if private:
            raise InvalidRequest("--private shows one record", hint="name its id")
        with open_log() as log:
            records = log.find(
                kind=cast("EventKind | None", kind),
                tenant=tenant,
                since=since,
                until=until,
                limit=limit,
            )
    elif private:
        with desk_of(actor(name, role, tenant), purpose) as desk:
            view = desk.view(record_id)
        records, contents = list(view.records), list(view.private)
    else:
        with open_log() as log:
            records = log.records(record_id)
    for place, record in enumerate(records):
        kept = contents[place] if contents else None
        if as_json:
            emit({**record.to_dict(), **({"private": kept} if private else {})})
            continue
        typer.echo(_line(record))
        if record_id is not None:
            for member, value in sorted(record.public.items()):
                typer.echo(f"             {member}: {_plain(value)}")
            for member, value in sorted((kept or {}).items()):
                typer.echo(f"             {member} (private): {_plain(value)}")


def _plain(value: JsonValue) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


@app.command()
def search(
    purpose: Purpose,
    text: Annotated[
        str | None,
        typer.Argument(help='Words of the prompt; "a phrase" in quotes, beginn* with a star.'),
    ] = None,
    found: Found = None,
    like: Annotated[
        Path | None, typer.Option("--like", help="Pictures that look like this one (PDQ).")
    ] = None,
    limit: Annotated[int, typer.Option(help="Most records, to 1000.")] = 50,
    before: Annotated[
        int | None, typer.Option(help="Go on below this index, the last one of the page before.")
    ] = None,
    save: Annotated[
        str | None, typer.Option("--save", help="Also keep the query under this name.")
    ] = None,
    saved: Annotated[
        str | None, typer.Option("--saved", help="Run the query kept under this name.")
    ] = None,
    tenant: Tenant = None,
    name: As = None,
    role: Roles = None,
    as_json: Json = False,
) -> None:
    """Find requests by words, people, scores, time or likeness; the search itself is logged.

    Filters are given as --where NAME=VALUE, again for more: decision, category, min_score,
    max_score, model, policy, subject, since, until, similar_to, distance.
    """
    with desk_of(actor(name, role, tenant), purpose) as desk:
        query = desk.queries.get(saved).query if saved else query_of(text, found, like)
        hits = desk.search(query, limit=limit, before=before)
        if save is not None:
            version = desk.queries.save(save, query)
            typer.echo(f"kept as {save!r}, version {version}", err=True)
    for hit in hits:
        if as_json:
            emit(hit.to_dict())
        else:
            typer.echo(hit_line(hit))
    if not hits and not as_json:
        typer.echo("nothing found", err=True)


@app.command()
def verify(
    receipt: Annotated[
        Path | None, typer.Option("--receipt", help="Check a receipt file, without any log.")
    ] = None,
    resume: Annotated[
        bool,
        typer.Option("--resume", help="Begin where the last walk ended that found nothing wrong."),
    ] = False,
    kept: Annotated[
        list[Path] | None,
        typer.Option(
            "--kept", help="A checkpoint or receipt kept elsewhere, to be found again; repeatable."
        ),
    ] = None,
    public_key: Annotated[
        str | None,
        typer.Option("--public-key", help="The log's key from a source you trust, or its file."),
    ] = None,
    witness: Annotated[
        list[str] | None,
        typer.Option("--witness", help="Verifier key of a witness who must have cosigned; again."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Walk the whole log and say whether anything was changed, added or dropped."""
    key = _key(public_key)
    if receipt is not None:
        _verify_receipt(receipt, key, witness or [], as_json=as_json)
        return
    from chopmark.pipeline.log_check import check_log
    from chopmark.settings import load_settings

    with progress_bar(quiet=as_json) as progress:
        report = check_log(
            load_settings(),
            progress=progress,
            since_checkpoint=resume,
            kept=[_kept_note(path) for path in kept or ()],
            public_key=key,
            witnesses=witness or [],
        )
    if as_json:
        emit(report.to_dict())
    else:
        typer.echo(f"{'ok' if report.ok else 'NOT OK'}  {report.size} entries  root {report.root}")
        for problem in report.problems:
            typer.echo(f"  {problem}")
        for place in report.not_looked_at:
            typer.echo(f"  not looked at: {place}")
    if not report.ok:
        raise typer.Exit(EXIT_NOT_AUTHENTIC)


def _kept_note(path: Path) -> str:
    """Return the checkpoint in a file: the note itself, or a receipt that was made against it."""
    data = read(path)
    if not data.lstrip().startswith(b"{"):
        return data.decode("utf-8", "replace")
    from chopmark.audit import Receipt

    return Receipt.from_json(data).checkpoint


def _key(given: str | None) -> str | None:
    """Return a verifier key that was given as text or as a file."""
    if given is None or "+" in given:
        return given
    return read(Path(given)).decode("utf-8", "replace").strip()


def _verify_receipt(path: Path, key: str | None, witnesses: list[str], *, as_json: bool) -> None:
    from chopmark.audit import Receipt

    receipt = Receipt.from_json(read(path))
    ours = _key_of_this_home() if key is None else None
    problems = receipt.verify(key or ours, witnesses=witnesses)
    if problems:
        if as_json:
            emit({"ok": False, "problems": [str(problem) for problem in problems]})
        else:
            typer.echo("NOT OK")
            for problem in problems:
                typer.echo(f"  {problem}")
        raise typer.Exit(EXIT_NOT_AUTHENTIC)
    if as_json:
        emit({"ok": True, "record": receipt.record.to_dict(), "problems": []})
        return
    typer.echo(f"ok  {_line(receipt.record)}")
    if ours is not None:
        typer.echo("    by the key of the log in this home; --public-key takes one that you trust")
    elif key is None:
        typer.echo(
            "    the signature is by the key inside the receipt: compare it with the key that the"
            " log publishes, or give that one with --public-key"
        )


def _key_of_this_home() -> str | None:
    """Return the verifier keys of the log that lies here, None where there is none."""
    from chopmark.settings import load_settings

    path = load_settings().home / "audit" / "log.vkey"
    return read(path).decode("utf-8", "replace") if path.is_file() else None


@app.command()
def prove(
    record_id: Annotated[str, typer.Argument(help="A record or output id.")],
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="File; without one, stdout.")
    ] = None,
    disclose: Annotated[
        bool,
        typer.Option("--disclose", help="With what the leaf hides: tenant, seed, scores, timings."),
    ] = False,
) -> None:
    """Write a receipt that anybody can check without access to the log."""
    with open_log() as log:
        text = log.proof.receipt(record_id, disclose=disclose).to_json()
    if output is None:
        typer.echo(text, nl=False)
    else:
        output.write_text(text, encoding="utf-8")
        typer.echo(f"{output}: receipt of {record_id}", err=True)


@app.command()
def checkpoint(
    witnesses: Annotated[
        Path | None,
        typer.Option("--witnesses", help="File of witnesses; else CHOPMARK_LOG_WITNESSES."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Sign the checkpoint of the log as it is now, have witnesses cosign it, and print it."""
    from chopmark.audit import load_witnesses
    from chopmark.settings import load_settings

    listed = witnesses or load_settings().log_witnesses
    witness_list = load_witnesses(listed) if listed is not None else []
    with open_log() as log:
        signed, problems = (
            log.proof.cosign(witness_list) if witness_list else (log.proof.checkpoint(), ())
        )
    if as_json:
        emit({**signed.to_dict(), "problems": [problem.to_dict() for problem in problems]})
    else:
        typer.echo(signed.note, nl=False)
        for problem in problems:
            typer.echo(f"{problem}", err=True)
    if any(problem.what == "witness_refused" for problem in problems):
        raise typer.Exit(EXIT_NOT_AUTHENTIC)


@app.command()
def publish(
    folder: Annotated[Path, typer.Argument(help="What stands under the log's public address.")],
    as_json: Json = False,
) -> None:
    """Write the log's public files (C2SP tlog-tiles) and a checkpoint over them."""
    with open_log() as log:
        signed = log.proof.publish(folder)
    if as_json:
        emit({"folder": str(folder), **signed.to_dict()})
    else:
        typer.echo(f"{folder}: {signed.size} entries, root {signed.root.hex()}")


custody.add_commands(app)
upkeep.add_commands(app)

"""``chopmark audit``: read and check the log."""

from __future__ import annotations

import json
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast, get_args

import typer

from chopmark.cli._say import EXIT_NOT_AUTHENTIC, emit, progress_bar
from chopmark.cli.create import read
from chopmark.errors import InvalidRequest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from chopmark.audit import AuditLog, Record
    from chopmark.types import JsonValue

__all__ = ["app"]

app = typer.Typer(help="The tamper-evident log: show, search, verify, prove.", no_args_is_help=True)
Json = Annotated[bool, typer.Option("--json", help="JSON on stdout.")]


@contextmanager
def _log() -> Iterator[AuditLog]:
    from chopmark.rooms import Rooms
    from chopmark.settings import load_settings

    rooms = Rooms(load_settings())
    try:
        yield rooms.log
    finally:
        rooms.close()


def _line(record: Record) -> str:
    said = record.public
    note = said.get("code") or said.get("categories") or said.get("model") or ""
    return (
        f"{record.index:>7}  {record.time}  {record.record_id}  {record.kind:<20} "
        f"{', '.join(map(str, note)) if isinstance(note, list) else note}"
    )


@app.command()
def show(
    record_id: Annotated[
        str | None, typer.Argument(help="A record or output id; without one, the newest records.")
    ] = None,
    limit: Annotated[int, typer.Option(help="How many records without an id.")] = 20,
    private: Annotated[
        bool, typer.Option("--private", help="Also what is kept encrypted; this look is booked.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Show the events of one request, or the newest records."""
    from chopmark.ids import record_of

    with _log() as log:
        if record_id is None:
            records = log.find(limit=limit)
        else:
            records = log.records(record_of(record_id))
            if private:
                _book_view(log, record_of(record_id))
        for record in records:
            kept = log.private(record.index) if private else None
            if as_json:
                emit({**record.to_dict(), **({"private": kept} if private else {})})
                continue
            typer.echo(_line(record))
            if record_id is not None:
                for name, value in sorted(record.public.items()):
                    typer.echo(f"             {name}: {_plain(value)}")
                for name, value in sorted((kept or {}).items()):
                    typer.echo(f"             {name} (private): {_plain(value)}")


def _plain(value: JsonValue) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _book_view(log: AuditLog, record_id: str) -> None:
    import getpass

    from chopmark.audit import Event
    from chopmark.ids import new_record_id

    log.append(
        Event(
            kind="access.viewed",
            record_id=new_record_id(),
            tenant="default",
            public={"of": record_id},
            private={"by": getpass.getuser()},
        )
    )


@app.command()
def search(
    kind: Annotated[
        str | None, typer.Option(help="Event kind, for example request.refused.")
    ] = None,
    tenant: Annotated[str | None, typer.Option(help="Only this tenant.")] = None,
    since: Annotated[str | None, typer.Option(help="RFC 3339 time.")] = None,
    until: Annotated[str | None, typer.Option(help="RFC 3339 time.")] = None,
    limit: Annotated[int, typer.Option(help="Most records.")] = 50,
    as_json: Json = False,
) -> None:
    """List records by kind, tenant and time, the newest first."""
    from chopmark.audit import EventKind

    if kind is not None and kind not in get_args(EventKind):
        raise InvalidRequest(
            f"no event is of kind {kind!r}", hint=f"one of {', '.join(get_args(EventKind))}"
        )
    with _log() as log:
        found = log.find(
            kind=cast("EventKind | None", kind),
            tenant=tenant,
            since=since,
            until=until,
            limit=limit,
        )
        for record in found:
            if as_json:
                emit(record.to_dict())
            else:
                typer.echo(_line(record))


@app.command()
def verify(
    receipt: Annotated[
        Path | None, typer.Option("--receipt", help="Check a receipt file, without any log.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Walk the whole log and say whether anything was changed, added or dropped."""
    if receipt is not None:
        _verify_receipt(receipt, as_json=as_json)
        return
    from chopmark.audit import verify_log
    from chopmark.settings import load_settings

    with progress_bar(quiet=as_json) as told:
        report = verify_log(load_settings().open_home(), progress=told)
    if as_json:
        emit(report.to_dict())
    else:
        typer.echo(f"{'ok' if report.ok else 'NOT OK'}  {report.size} entries  root {report.root}")
        for problem in report.problems:
            typer.echo(f"  {problem}")
    if not report.ok:
        raise typer.Exit(EXIT_NOT_AUTHENTIC)


def _verify_receipt(path: Path, *, as_json: bool) -> None:
    from chopmark.audit import Receipt

    receipt = Receipt.from_json(read(path))
    problems = receipt.verify()
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
    else:
        typer.echo(f"ok  {_line(receipt.record)}")
        typer.echo(
            "    the signature is by the key inside the receipt: compare it with the key that the"
            " log publishes"
        )


@app.command()
def prove(
    record_id: Annotated[str, typer.Argument(help="A record or output id.")],
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="File; without one, stdout.")
    ] = None,
) -> None:
    """Write a receipt that anybody can check without access to the log."""
    from chopmark.ids import record_of

    with _log() as log:
        text = log.receipt(record_of(record_id)).to_json()
    if output is None:
        typer.echo(text)
    else:
        output.write_text(text, encoding="utf-8")
        typer.echo(f"{output}: receipt of {record_of(record_id)}", err=True)


@app.command()
def checkpoint() -> None:
    """Sign and print the checkpoint of the log as it is now (C2SP signed note)."""
    with _log() as log:
        typer.echo(log.checkpoint().note, nl=False)

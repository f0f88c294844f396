"""``chopmark access person``: people who sign in at the pages and the API."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

import typer

from chopmark.cli.output import emit

if TYPE_CHECKING:
    from collections.abc import Iterator

    from chopmark.kit.types import JsonValue
    from chopmark.settings import Settings
    from chopmark.tenancy import People, Person

__all__ = ["address_of", "app"]

app = typer.Typer(help="People who sign in: reviewers, auditors, creators.", no_args_is_help=True)
Json = Annotated[bool, typer.Option("--json", help="JSON on stdout.")]
Name = Annotated[str, typer.Argument(help="The person's name, as it stands in the log.")]
Hours = Annotated[int, typer.Option(min=1, max=720, help="Hours until the link ends.")]


@contextmanager
def _people() -> Iterator[tuple[Settings, People]]:
    from chopmark.settings import load_settings
    from chopmark.tenancy import People

    settings = load_settings()
    with People.open(settings.open_home(), database=settings.database) as people:
        yield settings, people


def _said(person: Person) -> dict[str, JsonValue]:
    roles: list[JsonValue] = [*sorted(person.roles)]
    return {"name": person.name, "tenant": person.tenant, "roles": roles}


def address_of(settings: Settings, token: str) -> str:
    """Return the address that signs somebody in once."""
    base = settings.public_url.rstrip("/") or f"http://{settings.host}:{settings.port}"
    # It works once and not for long: what a proxy's log keeps of it is worth nothing.
    return f"{base}/sign-in?link={token}"


@app.command()
def add(
    name: Name,
    role: Annotated[
        list[str],
        typer.Option(
            help="auditor, creator, eraser, exporter, investigator, operator, reader, reviewer or"
            " writer; again for more."
        ),
    ],
    tenant: Annotated[
        str, typer.Option(help="Whose records they see; the tenant is made if new.")
    ] = "default",
    all_tenants: Annotated[
        bool, typer.Option("--all-tenants", help="They see the records of every tenant.")
    ] = False,
    password: Annotated[
        bool, typer.Option("--password", help="Ask for a password instead of making a link.")
    ] = False,
    hours: Hours = 24,
    as_json: Json = False,
) -> None:
    """Make a person, or change their roles; prints a link that signs them in once."""
    from chopmark.tenancy import AccessStore, Tenant

    secret = (
        typer.prompt("password", hide_input=True, confirmation_prompt=True, err=True)
        if password
        else None
    )
    with _people() as (settings, people):
        if not all_tenants:
            with AccessStore.open(settings.open_home(), database=settings.database) as store:
                store.set_tenant(Tenant(name=tenant))
        person = people.add(
            name, roles=role, tenant=None if all_tenants else tenant, password=secret
        )
        link = None if password else address_of(settings, people.link(name, lasts_s=hours * 3600))
    if as_json:
        emit({**_said(person), "link": link})
        return
    if link is not None:
        typer.echo(link)
        typer.echo(f"signs {name} in once, within {hours} h", err=True)


@app.command("link")
def make_link(name: Name, hours: Hours = 24, as_json: Json = False) -> None:
    """Make a new link that signs a person in once; an earlier one ends."""
    with _people() as (settings, people):
        link = address_of(settings, people.link(name, lasts_s=hours * 3600))
    if as_json:
        emit({"name": name, "link": link})
    else:
        typer.echo(link)


@app.command("list")
def list_people(as_json: Json = False) -> None:
    """List the people who may sign in."""
    with _people() as (_, people):
        everybody = people.everybody()
    if as_json:
        emit({"people": [_said(person) for person in everybody]})
        return
    for person in everybody:
        roles = ",".join(sorted(person.roles))
        typer.echo(f"{person.name:<24} {person.tenant or 'all tenants':<16} {roles}")


@app.command()
def sign_out(name: Name, as_json: Json = False) -> None:
    """End every session of a person; also of one whom an OIDC provider vouched for."""
    with _people() as (_, people):
        ended = people.end_all(name)
    if as_json:
        emit({"name": name, "ended": ended})
    else:
        typer.echo(f"{ended} sessions of {name} ended")


@app.command()
def disable(name: Name, as_json: Json = False) -> None:
    """Let a person in no more; their sessions end now. Their entries in the log stay."""
    with _people() as (_, people):
        people.disable(name)
    if as_json:
        emit({"name": name, "disabled": True})
    else:
        typer.echo(f"{name} is let in no more")

"""Who works at the log's desk from the command line, and what several of its commands share."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, cast, get_args

import typer

from chopmark.cli.output import progress_bar
from chopmark.errors import InvalidRequest, NotPermitted

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from chopmark.audit import Actor, AuditLog, Desk, Role

__all__ = [
    "As",
    "Json",
    "Purpose",
    "Reason",
    "Roles",
    "Second",
    "Tenant",
    "actor",
    "desk_of",
    "open_log",
    "second",
]

As = Annotated[
    str | None, typer.Option("--as", help="Who you are; else the name you are logged in with.")
]
Purpose = Annotated[str, typer.Option("--purpose", help="Why you look; logged with the look.")]
Roles = Annotated[
    list[str] | None,
    typer.Option("--role", help="What you act as, again for more; else CHOPMARK_DESK_ROLES."),
]
Tenant = Annotated[
    str | None, typer.Option("--tenant", help="Only this tenant's records; else all of them.")
]
Second = Annotated[str, typer.Option("--second", help="The second person who answers for it.")]
Reason = Annotated[str, typer.Option("--reason", help="Why; kept in the log.")]
Json = Annotated[bool, typer.Option("--json", help="JSON on stdout.")]


@contextmanager
def open_log() -> Iterator[AuditLog]:
    """Open the log of the settings' home."""
    from chopmark.pipeline.parts import Parts
    from chopmark.settings import load_settings

    parts = Parts(load_settings())
    try:
        yield parts.log
    finally:
        parts.close()


def _roles(given: Sequence[str] | None) -> frozenset[Role]:
    from chopmark.audit import Role
    from chopmark.settings import load_settings

    names = given or [name.strip() for name in load_settings().desk_roles.split(",")]
    for name in names:
        if name not in get_args(Role):
            known = ", ".join(get_args(Role))
            raise InvalidRequest(f"there is no role {name!r}", hint=f"one of {known}")
    return cast("frozenset[Role]", frozenset(names))


def actor(name: str | None, roles: Sequence[str] | None, tenant: str | None) -> Actor:
    """Return who sits at this terminal.

    The command line believes the name: whoever may run it can read the log's files anyway. What it
    gives is that the log says who did what.
    """
    import getpass

    from chopmark.audit import Actor

    return Actor(name=name or getpass.getuser(), roles=_roles(roles), tenant=tenant)


def second(name: str, first: Actor) -> Actor:
    """Return the second person of an act that takes two: of the first one's roles and tenant."""
    from dataclasses import replace

    return replace(first, name=name)


@contextmanager
def desk_of(who: Actor, purpose: str) -> Iterator[Desk]:
    """Open the log and give somebody a place at its desk."""
    with open_log() as log:
        with progress_bar(quiet=False) as progress:
            log.search.update(progress=progress)
        try:
            yield log.desk(who, purpose=purpose)
        except NotPermitted as error:
            raise NotPermitted(
                error.message,
                hint=f"{error.hint}; here with --role, or CHOPMARK_DESK_ROLES"
                if error.message.startswith("this takes one of")
                else error.hint,
            ) from None

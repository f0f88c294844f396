"""``chopmark access``: API keys, tenants and people of the HTTP service."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

import typer

from chopmark.cli import people
from chopmark.cli.output import emit

if TYPE_CHECKING:
    from collections.abc import Iterator

    from chopmark.kit.types import JsonValue
    from chopmark.tenancy import AccessStore, Key

__all__ = ["app"]

app = typer.Typer(help="API keys, tenants and people of the HTTP service.", no_args_is_help=True)
app.add_typer(people.app, name="person")
Json = Annotated[bool, typer.Option("--json", help="JSON on stdout.")]


@contextmanager
def _store() -> Iterator[AccessStore]:
    from chopmark.settings import load_settings
    from chopmark.tenancy import AccessStore

    settings = load_settings()
    with AccessStore.open(settings.open_home(), database=settings.database) as store:
        yield store


def _said(key: Key) -> dict[str, JsonValue]:
    return {
        "key_id": key.key_id,
        "tenant": key.tenant,
        "scopes": [str(scope) for scope in sorted(key.scopes)],
        "label": key.label,
        "created_at": key.created_at,
        "expires_at": key.expires_at,
        "revoked_at": key.revoked_at,
    }


@app.command()
def create(
    tenant: Annotated[str, typer.Option(help="Whose key; the tenant is made if new.")] = "default",
    scope: Annotated[
        list[str] | None,
        typer.Option(
            help="What it allows (docs/http.md lists them); again for more; else what making"
            " and checking pictures takes."
        ),
    ] = None,
    label: Annotated[str, typer.Option(help="What you call the key.")] = "",
    days: Annotated[int | None, typer.Option(help="Days until it expires.")] = None,
    policy: Annotated[
        str | None, typer.Option(help="The tenant's policy: a name or a YAML file.")
    ] = None,
    requests_per_minute: Annotated[
        int | None, typer.Option(help="The tenant's rate; 0 for no limit.")
    ] = None,
    images_per_day: Annotated[int | None, typer.Option(help="The tenant's quota.")] = None,
    abuse: Annotated[
        str | None,
        typer.Option(help="Rules for people who are refused again and again: abuse, none, a file."),
    ] = None,
    retention_days: Annotated[
        int | None, typer.Option(help="Days for which the content of its requests is kept.")
    ] = None,
    blocked_retention_days: Annotated[
        int | None, typer.Option(help="The same for what was refused.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Make a key, and its tenant. The key is shown this once and cannot be shown again."""
    from chopmark.tenancy import Tenant
    from chopmark.tenancy.keys import USUAL_SCOPES

    if policy is not None:
        from chopmark.safety import load_policy

        load_policy(policy)  # a policy that cannot be used is an error now, not at a request
    if abuse is not None:
        from chopmark.tenancy.abuse_rules import load_abuse

        load_abuse(abuse)
    with _store() as store:
        store.set_tenant(
            Tenant(
                name=tenant,
                policy=policy,
                requests_per_minute=requests_per_minute,
                images_per_day=images_per_day,
                abuse=abuse,
                retention_days=retention_days,
                blocked_retention_days=blocked_retention_days,
            )
        )
        made = store.create_key(tenant, scopes=scope or USUAL_SCOPES, label=label, days=days)
    if as_json:
        emit({"key": made.text, **_said(made.key)})
        return
    typer.echo(made.text)
    typer.echo(f"key {made.key.key_id} of {tenant}; it is not shown again", err=True)


@app.command("list")
def list_keys(as_json: Json = False) -> None:
    """List every key that was made, and every tenant. No secret is shown: none is kept."""
    with _store() as store:
        keys, tenants = store.keys(), store.tenants()
    if as_json:
        emit(
            {
                "keys": [_said(key) for key in keys],
                "tenants": [
                    {
                        "name": tenant.name,
                        "policy": tenant.policy,
                        "requests_per_minute": tenant.requests_per_minute,
                        "images_per_day": tenant.images_per_day,
                    }
                    for tenant in tenants
                ],
            }
        )
        return
    for key in keys:
        state = "revoked" if key.revoked_at else f"until {key.expires_at or 'revoked'}"
        scopes = ",".join(sorted(key.scopes))
        typer.echo(f"{key.key_id}  {key.tenant:<16} {scopes:<40} {state:<28} {key.label}")


@app.command()
def revoke(
    key_id: Annotated[str, typer.Argument(help="The key's id, as `access list` shows it.")],
    as_json: Json = False,
) -> None:
    """Make a key useless from now on, also for a server that runs."""
    with _store() as store:
        key = store.revoke(key_id)
    if as_json:
        emit(_said(key))
    else:
        typer.echo(f"{key.key_id} of {key.tenant} was revoked at {key.revoked_at}")

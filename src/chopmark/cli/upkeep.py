"""``chopmark audit`` rotate-keys and restore: the log's own keys, and a log from a backup."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

import typer

from chopmark.cli.desk_session import As, Json, Reason, Roles, Second, actor, open_log
from chopmark.cli.output import emit
from chopmark.errors import NotPermitted

if TYPE_CHECKING:
    from chopmark.kit.types import JsonValue

__all__ = ["add_commands"]


def rotate_keys(
    what: Annotated[
        Literal["signing", "encryption", "all"],
        typer.Argument(help="The key that signs checkpoints, the key-encryption key, or both."),
    ] = "all",
    as_json: Json = False,
) -> None:
    """Change the log's own keys; a server that runs takes them up by itself.

    Receipts and checkpoints of the old signing key stay good: it stays in audit/log.vkey, and the
    entry that names its successor is the last thing that it signs.
    """
    done: dict[str, JsonValue] = {}
    with open_log() as log:
        if what in {"signing", "all"}:
            done["signing"] = log.upkeep.rotate_signing_key()
            done["verifier_keys"] = list(log.proof.public_keys.split("\n"))
        if what in {"encryption", "all"}:
            done["data_keys_wrapped"] = log.upkeep.rotate_encryption_key()
    if as_json:
        emit(done)
        return
    if "signing" in done:
        typer.echo(f"checkpoints are signed by {done['signing']} from now on")
    if "data_keys_wrapped" in done:
        typer.echo(f"{done['data_keys_wrapped']} data keys are wrapped by a new key")


def restore(
    other: Second,
    reason: Reason,
    name: As = None,
    role: Roles = None,
    as_json: Json = False,
) -> None:
    """Take a log into use that came back from a backup and lacks its newest entries.

    It is walked first. What is lost is logged, who was erased since is erased again, and a new
    signing key begins. Stop the server before you put the backup back.
    """
    from chopmark.audit import restore_log
    from chopmark.pipeline.log_check import records_of_manifests
    from chopmark.settings import load_settings

    who, settings = actor(name, role, None), load_settings()
    if "eraser" not in who.roles:
        raise NotPermitted("this takes the role eraser", hint="--role eraser, if it is yours")
    record = restore_log(
        settings.open_home(),
        by=(who.name, other),
        reason=reason,
        expected=records_of_manifests(settings),
        origin=settings.log_origin,
        database=settings.log_address,
        keys_database=settings.log_keys_address,
        mark=settings.log_mark,
    )
    if as_json:
        emit(record.to_dict())
        return
    lost, size = record.public["lost"], record.public["size"]
    typer.echo(f"the log goes on after {size} entries; {lost} are lost (entry {record.index})")


def add_commands(app: typer.Typer) -> None:
    """Put these commands under ``chopmark audit``."""
    app.command("rotate-keys")(rotate_keys)
    app.command()(restore)

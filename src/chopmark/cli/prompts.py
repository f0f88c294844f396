"""``chopmark prompts``: past prompts by meaning, where ``CHOPMARK_PROMPT_INDEX`` keeps them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from chopmark.cli.output import emit

if TYPE_CHECKING:
    from chopmark.generation.semantic import PromptIndex

__all__ = ["app"]

app = typer.Typer(help="Past prompts by meaning (opt in).", no_args_is_help=True)
Json = Annotated[bool, typer.Option("--json", help="JSON on stdout.")]
Tenant = Annotated[str, typer.Option("--tenant", help="Whose prompts.")]


@app.command()
def similar(
    text: Annotated[str, typer.Argument(help="What to look for.")],
    tenant: Tenant = "default",
    limit: Annotated[int, typer.Option("--limit", help="At most so many.")] = 10,
    as_json: Json = False,
) -> None:
    """Find records of prompts that mean about the same, the closest first."""
    index = _open()
    found = index.similar(text, tenant=tenant, count=limit)
    index.close()
    if as_json:
        emit(
            [
                {"record_id": m.record_id, "similarity": round(m.similarity, 4), "at": m.at}
                for m in found
            ]
        )
        return
    for match in found:
        when = datetime.fromtimestamp(match.at, UTC).strftime("%Y-%m-%d %H:%M")
        typer.echo(f"{match.record_id}  {match.similarity:.3f}  {when}")


@app.command()
def forget(
    record: Annotated[str | None, typer.Option("--record", help="One record's prompt.")] = None,
    subject: Annotated[str | None, typer.Option("--subject", help="A person's prompts.")] = None,
    tenant: Annotated[str | None, typer.Option("--tenant", help="A tenant's prompts.")] = None,
    as_json: Json = False,
) -> None:
    """Erase embeddings and the pictures kept with them, as ``chopmark audit erase`` does too."""
    from chopmark.cli.desk_session import open_log
    from chopmark.pipeline.erase_prompts import forget_prompts
    from chopmark.settings import load_settings

    home = load_settings().open_home()
    with open_log() as log:
        gone = forget_prompts(home, log, record_id=record, subject=subject, tenant=tenant)
    if as_json:
        emit({"erased": gone})
    else:
        typer.echo(f"erased {gone} prompts")


def _open() -> PromptIndex:
    from chopmark.generation.semantic import PromptIndex
    from chopmark.settings import load_settings

    return PromptIndex.open(load_settings().open_home())

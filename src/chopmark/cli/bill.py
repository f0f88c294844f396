"""``chopmark sbom``: what this installation is made of, for whoever has to know."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

__all__ = ["sbom"]


def sbom(
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="File; without one, stdout.")
    ] = None,
) -> None:
    """Write the bill of materials (CycloneDX 1.6, JSON): packages, and model files by digest."""
    from chopmark.bill import bill_of_materials

    text = json.dumps(bill_of_materials(), indent=2) + "\n"
    if output is None:
        typer.echo(text, nl=False)
    else:
        output.write_text(text, encoding="utf-8")
        typer.echo(f"{output}: the bill of materials", err=True)

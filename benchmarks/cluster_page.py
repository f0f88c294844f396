"""What :mod:`benchmarks.cluster` writes into ``docs/benchmarks.md``."""

from __future__ import annotations

from typing import Any

from benchmarks.report import write_section

__all__ = ["write_page"]


def write_page(figures: dict[str, Any]) -> None:
    """Write the section ``cluster``."""
    write_section("cluster", _text(figures), command="python -m benchmarks.cluster --write")


def _text(figures: dict[str, Any]) -> str:
    return str(figures)

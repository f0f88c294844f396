"""Writes one section of ``docs/benchmarks.md``; each program owns the text between its markers.

>>> from benchmarks.report import write_section
>>> write_section("example", "| a | b |", command="python -m benchmarks.example")  # doctest: +SKIP
"""

from __future__ import annotations

import os
import platform
import re
from datetime import UTC, datetime
from pathlib import Path

__all__ = ["machine", "write_section"]

PAGE = Path(__file__).parents[1] / "docs" / "benchmarks.md"


def machine() -> str:
    """Return processor, core count, Python and the load at the moment, in one line."""
    names = re.findall(
        r"model name\s*:\s*(.+)", Path("/proc/cpuinfo").read_text(encoding="utf-8")
    ) or [platform.machine()]
    return (
        f"{names[0]}, {os.cpu_count()} cores, Python {platform.python_version()}, "
        f"load {os.getloadavg()[0]:.1f}"
    )


def write_section(name: str, text: str, *, command: str, where: str = "") -> None:
    """Put ``text`` between the markers of ``name``, with machine, date and command above it.

    Args:
        name: Marker name; ``<!-- name:begin -->`` and ``<!-- name:end -->`` must be on the page.
        text: Markdown.
        command: What was run.
        where: Date and machine, where it was not here and now.

    Raises:
        ValueError: The page has no such markers.
    """
    page = PAGE.read_text(encoding="utf-8")
    begin, end = f"<!-- {name}:begin -->", f"<!-- {name}:end -->"
    if begin not in page or end not in page:
        raise ValueError(f"{PAGE} has no markers for {name}")
    head, _, rest = page.partition(begin)
    tail = rest.partition(end)[2]
    when = datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
    said = f"`{command}`, {where or f'{when}, {machine()}'}"
    PAGE.write_text(f"{head}{begin}\n{said}\n\n{text.strip()}\n{end}{tail}", encoding="utf-8")

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

__all__ = ["machine", "write_part", "write_section"]

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
    head, _, tail = _around(page, name)
    PAGE.write_text(f"{head}{_said(command, where)}\n\n{text.strip()}\n{tail}", encoding="utf-8")


def write_part(name: str, text: str, *, command: str) -> None:
    """Put ``text`` in the place of the part of a section that has the same heading.

    Machine, date and command stand below the heading then, as they are not the section's.

    Args:
        name: Marker name of the section.
        text: Markdown that begins with a heading of the third level.
        command: What was run.

    Raises:
        ValueError: The page has no such markers, or the section no such part.
    """
    heading, _, rest = text.strip().partition("\n")
    head, section, tail = _around(PAGE.read_text(encoding="utf-8"), name)
    parts = re.split(r"^(?=### )", section, flags=re.MULTILINE)
    at = next((at for at, one in enumerate(parts) if one.startswith(f"{heading}\n")), None)
    if at is None:
        raise ValueError(f"{PAGE} has no {heading!r} in {name}")
    last = "" if at == len(parts) - 1 else "\n"
    parts[at] = f"{heading}\n\n{_said(command, '')}\n\n{rest.strip()}\n{last}"
    PAGE.write_text(head + "".join(parts) + tail, encoding="utf-8")


def _around(page: str, name: str) -> tuple[str, str, str]:
    """Return a page up to a section, the section, and the rest, with the markers on both sides."""
    begin, end = f"<!-- {name}:begin -->\n", f"<!-- {name}:end -->"
    if begin not in page or end not in page:
        raise ValueError(f"{PAGE} has no markers for {name}")
    head, _, rest = page.partition(begin)
    section, _, tail = rest.partition(end)
    return head + begin, section, end + tail


def _said(command: str, where: str) -> str:
    when = datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
    return f"`{command}`, {where or f'{when}, {machine()}'}"

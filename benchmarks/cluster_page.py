"""What :mod:`benchmarks.cluster` writes into ``docs/benchmarks.md``."""

from __future__ import annotations

from typing import Any, Final

from benchmarks.report import write_section

__all__ = ["write_page"]

_FAULTS: Final = (
    ("kill", "a machine loses its power (every process killed)"),
    ("cut", "a machine is cut off (its link down)"),
    ("kill_head", "the machine with Ray's own state loses its power"),
)


def write_page(figures: dict[str, Any], *, where: str = "") -> None:
    """Write the section ``cluster``.

    Args:
        figures: What was found.
        where: Date and machine, where it was not here and now.
    """
    command = "python -m benchmarks.cluster --write"
    write_section("cluster", _text(figures), command=command, where=where)


def _text(figures: dict[str, Any]) -> str:
    parts = [
        f"Network namespaces of one machine on a bridge, a node of Ray in each, PostgreSQL and"
        f" Redis beside them. The generator is a stand-in that takes {figures['picture_s']:g} s a"
        " picture and no CPU, one after the other on each node; guards, marks, signatures and log"
        " are the real ones, with one worker of each kind."
    ]
    if "one" in figures and "two" in figures:
        ratio = figures["two"] / figures["one"] if figures["one"] else 0.0
        parts.append(
            f"Governed pictures a second: one node {figures['one']:.3f}, two {figures['two']:.3f}"
            f" ({ratio:.2f} times; aim 1.8)"
            + (f", three {figures['three']:.3f}." if "three" in figures else ".")
        )
    rows = [
        f"| {words} | {one['first_s']:g} | {one['gap_s']:g} | {one['answered']} |"
        f" {_refused(one['refused'])} | {one['given_up']} | {one.get('back_s', '')} |"
        for name, words in _FAULTS
        if (one := figures.get(name))
    ]
    if rows:
        head = "| what | next answer, s | longest without one, s | answered | refused meanwhile |"
        head += " never answered | node back after, s |\n|---|---|---|---|---|---|---|"
        parts.append("\n".join([head, *rows]))
    if limit := figures.get("limit"):
        let, asked = limit.get(200, limit.get("200", 0)), sum(limit.values())
        parts.append(f"A tenant with 300 requests a minute sent {asked} over all nodes: {let} were"
                     " let through.")  # fmt: skip
    if crowd := figures.get("crowd"):
        parts.append(
            f"Sixty at once at one node: {_refused(crowd['statuses'])}; {crowd['retry_after']} of"
            " the refusals said when to come again."
        )
    if log := figures.get("log"):
        parts.append(
            f"Against the log: {figures['told']} pictures that callers got, {log['not_booked']} of"
            f" them not in the log, {log['twice']} in it twice,"
            f" {log['lost']} acknowledged and lost, {log['left_open']} requests left open;"
            f" {figures['given_up']} were never answered."
            f" The log {'verifies' if figures['log_verifies'] else 'does NOT verify'}."
        )
    return "\n\n".join(parts)


def _refused(statuses: dict[Any, int]) -> str:
    return ", ".join(f"{number} x {name}" for name, number in sorted(statuses.items())) or "none"

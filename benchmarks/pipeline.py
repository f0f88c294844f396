"""Where the time of one request goes, and how long the front door takes.

``python -m benchmarks.pipeline`` makes pictures with the embedded model in a fresh home, one after
the other, and prints for each size and format the median of each stage: wall time as the record
has it, and CPU time of all processes that work for it. Where the settings know ``workers``, a
pipeline in one process and one with workers take turns, request by request. Then comes the CPU time
of ``chopmark --help`` and of a ``chopmark verify`` from a cold start.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from benchmarks.processes import family, spent_by
from benchmarks.report import write_section
from chopmark import GenerationRequest, Pipeline, Settings

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from chopmark.kit.types import ImageFormat

SIZES: Final = (512, 1024, 2048)
FORMATS: Final[tuple[ImageFormat, ...]] = ("png", "jpeg")
#: Stages, in their order; the last two tables' rows.
STAGES: Final = (
    "received",
    "judge_prompt",
    "judge_input",
    "decided",
    "generate",
    "judge_output",
    "mark",
    "sign",
    "completed",
)


@dataclass
class Stages:
    """Milliseconds by stage, of each request: by the clock, and of CPU time."""

    wall: list[Mapping[str, float]] = field(default_factory=list)
    cpu: list[Mapping[str, float]] = field(default_factory=list)

    def median(self, stage: str) -> tuple[float, float]:
        """Return the medians of one stage."""
        wall = statistics.median(one.get(stage, 0.0) for one in self.wall)
        return wall, statistics.median(one.get(stage, 0.0) for one in self.cpu)

    def around(self) -> tuple[float, float]:
        """Return the medians of everything but the generator."""

        def outside(one: Mapping[str, float]) -> float:
            return sum(ms for stage, ms in one.items() if stage != "generate")

        return (
            statistics.median(outside(one) for one in self.wall),
            statistics.median(outside(one) for one in self.cpu),
        )


class StageClock:
    """Counts the CPU time of each stage from what the pipeline tells of its progress."""

    def __init__(self) -> None:
        self.ms: dict[str, float] = {}
        self._pids = family(os.getpid())
        self._stage = "received"
        self._since = spent_by(self._pids)

    def __call__(self, _done: int, _total: int, what: str) -> None:
        """Take a word of progress; a stage's name says that it begins."""
        stage = what.replace(" ", "_")
        if stage in STAGES:
            self.turn(stage)

    def turn(self, stage: str = "") -> None:
        """End the stage that runs, and begin another."""
        now = spent_by(self._pids)
        self.ms[self._stage] = self.ms.get(self._stage, 0.0) + 1000 * (now - self._since)
        self._stage, self._since = stage, now


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--sizes", default=",".join(map(str, SIZES)), help="with commas between")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--write", action="store_true", help="write docs/benchmarks.md")
    options = parser.parse_args()
    began = time.monotonic()
    ways: dict[str, dict[str, Any]] = {"one process": {}}
    if "workers" in Settings.model_fields:
        ways = {
            "one process": {"workers": 0},
            f"{options.workers} workers": {"workers": options.workers},
        }
    sizes = [int(size) for size in options.sizes.split(",")]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        found = measure(folder, ways, sizes=sizes, rounds=options.rounds)
        home, picture = folder / "home0", folder / "picture.png"
        front = {
            "chopmark --help": _cpu(home, "--help"),
            "chopmark verify PICTURE": _cpu(home, "verify", str(picture)),
        }
    text = "\n".join([*tables(found, options.rounds), "", *_front(front)])
    print(text, f"\n{time.monotonic() - began:.0f} s in all")
    if options.write:
        command = f"python -m benchmarks.pipeline --rounds {options.rounds} --write"
        write_section("pipeline", text, command=command)


Found = dict[tuple[str, int, str], Stages]


def measure(
    folder: Path, ways: Mapping[str, Mapping[str, Any]], *, sizes: Sequence[int], rounds: int
) -> Found:
    """Make every kind of picture in every way, in turns; the first round warms caches up."""
    found: Found = {}
    with contextlib.ExitStack() as stack:
        stack.enter_context(warnings.catch_warnings())
        warnings.simplefilter("ignore")
        pipelines = {}
        for number, (way, settings) in enumerate(ways.items()):
            opened = Pipeline.from_settings(Settings(home=folder / f"home{number}", **settings))
            pipelines[way] = stack.enter_context(opened)
            opened.parts.open_all()
        for seed in range(rounds + 1):
            for size in sizes:
                for format_ in FORMATS:
                    for way, pipeline in pipelines.items():
                        request = GenerationRequest(
                            prompt="a red apple on a blue background",
                            seed=seed,
                            size=(size, size),
                            format=format_,
                        )
                        clock = StageClock()
                        released = asyncio.run(pipeline.generate(request, progress=clock))
                        clock.turn()
                        stages = found.setdefault((way, size, format_), Stages())
                        if seed:
                            stages.wall.append(dict(released.timings_ms))
                            stages.cpu.append(clock.ms)
                        elif format_ == "png" and not (folder / "picture.png").exists():
                            released.outputs[0].save(folder / "picture.png")
    return found


def tables(found: Found, rounds: int) -> list[str]:
    """Return a table for each way: stages by size and format."""
    lines: list[str] = []
    for way in dict.fromkeys(way for way, _, _ in found):
        kinds = [(size, format_) for other, size, format_ in found if other == way]
        columns = [f"{size} px {format_.upper()}" for size, format_ in kinds]
        lines += [
            f"ms by the clock / ms of CPU, {way}:",
            "",
            f"| stage | {' | '.join(columns)} |",
            f"|---{'|---' * len(kinds)}|",
        ]
        for stage in STAGES:
            pairs = [found[way, *kind].median(stage) for kind in kinds]
            if any(cpu >= 0.5 or wall >= 0.5 for wall, cpu in pairs):
                cells = " | ".join(f"{wall:.0f} / {cpu:.0f}" for wall, cpu in pairs)
                lines.append(f"| {stage} | {cells} |")
        pairs = [found[way, *kind].around() for kind in kinds]
        cells = " | ".join(f"{wall:.0f} / {cpu:.0f}" for wall, cpu in pairs)
        lines += [f"| all but generate | {cells} |", ""]
    lines.append(
        f"Medians of {rounds} warm requests, one after the other; every round makes each kind once"
        " in each way. CPU time is that of all threads and processes while the stage ran: threads"
        " of torch and ONNX that wait by spinning are in it."
    )
    return lines


def _front(front: Mapping[str, float]) -> list[str]:
    rows = ["| command, cold | CPU s, median of 5 |", "|---|---|"]
    return rows + [f"| `{name}` | {seconds:.2f} |" for name, seconds in front.items()]


def _cpu(home: Path, *arguments: str) -> float:
    spent = []
    for _ in range(5):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run(
            [sys.executable, "-m", "chopmark", *arguments],
            capture_output=True,
            check=True,
            env={**os.environ, "CHOPMARK_HOME": str(home)},
        )
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        spent.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    return statistics.median(spent)


if __name__ == "__main__":
    main()

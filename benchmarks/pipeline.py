"""Where the time of one request goes, and how long the front door takes.

``python -m benchmarks.pipeline`` makes pictures with the embedded model in a fresh home and prints
the median of each stage, its share, and the share of everything that is not the generator; then the
CPU time of ``chopmark --help`` and of a ``chopmark verify`` from a cold start.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import warnings
from pathlib import Path

from benchmarks.report import write_section
from chopmark import GenerationRequest, Pipeline, Settings


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--write", action="store_true", help="write docs/benchmarks.md")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder) / "home"
        stages, picture = _stages(home, options.rounds)
        front = {
            "chopmark --help": _cpu(home, "--help"),
            "chopmark verify PICTURE": _cpu(home, "verify", str(picture)),
        }
    total = sum(stages.values())
    rows = ["| stage | median ms | share |", "|---|---|---|"]
    rows += [f"| {name} | {ms:.0f} | {ms / total:.0%} |" for name, ms in stages.items()]
    around = 1 - stages["generate"] / total
    rows += [
        "",
        f"Everything around the generator: {around:.0%} of {total:.0f} ms a picture "
        f"(512 px PNG, medians of {options.rounds} warm requests, one after the other).",
        "",
        "| command, cold | CPU s, median of 5 |",
        "|---|---|",
    ]
    rows += [f"| `{name}` | {seconds:.2f} |" for name, seconds in front.items()]
    text = "\n".join(rows)
    print(text)
    if options.write:
        command = f"python -m benchmarks.pipeline --rounds {options.rounds} --write"
        write_section("pipeline", text, command=command)


def _stages(home: Path, rounds: int) -> tuple[dict[str, float], Path]:
    timings: list[dict[str, float]] = []
    picture = home.parent / "picture.png"
    with warnings.catch_warnings(), Pipeline.from_settings(Settings(home=home)) as pipeline:
        warnings.simplefilter("ignore")
        pipeline.parts.open_all()
        for seed in range(rounds + 1):
            request = GenerationRequest(prompt="a red apple on a blue background", seed=seed)
            released = asyncio.run(pipeline.generate(request))
            timings.append(dict(released.timings_ms))
        released.outputs[0].save(picture)
    # The first one warms caches up.
    return {
        name: statistics.median(one[name] for one in timings[1:]) for name in timings[0]
    }, picture


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

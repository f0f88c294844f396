"""What a picture of the embedded model costs: steps, 8-bit linear layers, guidance and edits.

``python -m benchmarks.generation`` unpacks and loads the model in a fresh home, then takes the
median CPU time of one picture for each variant; the variants take turns, so that load on the
machine meets all of them alike. CPU time counts all threads.
"""

from __future__ import annotations

import argparse
import functools
import statistics
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from benchmarks.report import write_section
from chopmark.generation import GenerationJob, Generator, LoadOptions, load_generator

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--write", action="store_true", help="write docs/benchmarks.md")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        text = "\n".join(measure(Path(folder), options.rounds))
    print(text)
    if options.write:
        command = f"python -m benchmarks.generation --rounds {options.rounds} --write"
        write_section("generation", text, command=command)


def measure(home: Path, rounds: int) -> list[str]:
    cold, _ = timed(lambda: load_generator(home=home))
    warm, full = timed(lambda: load_generator(home=home))
    eight = load_generator(home=home, options=LoadOptions(quantization="int8"))

    def job(**changes: object) -> GenerationJob:
        values: dict[str, Any] = {"prompt": "a red apple", "seed": 1, "width": 512, "height": 512}
        return GenerationJob(**{**values, **changes})

    picture = full.generate(job())[0]
    half = {"images": (picture,), "strength": 0.6}
    orders: dict[str, tuple[Generator, GenerationJob]] = {
        **{f"fp32, {steps} steps": (full, job(steps=steps)) for steps in (1, 2, 4, 8)},
        **{f"int8 linear layers, {steps} steps": (eight, job(steps=steps)) for steps in (1, 8)},
        "fp32, 8 steps, no guidance": (full, job(steps=8, guidance=1.0)),
        "fp32, edit, strength 0.6 of 8 steps": (full, job(steps=8, **half)),
    }
    variants: dict[str, Callable[[], object]] = {
        name: functools.partial(engine.generate, order) for name, (engine, order) in orders.items()
    }
    times: dict[str, list[float]] = {name: [] for name in variants}
    for _ in range(rounds):
        for name, run in variants.items():
            times[name].append(timed(run)[0])
    base = statistics.median(times["fp32, 8 steps"])
    rows = ["| one picture of 512 px | CPU ms, median | against fp32, 8 steps |", "|---|---|---|"]
    for name, values in times.items():
        middle = statistics.median(values)
        rows.append(f"| {name} | {1000 * middle:.0f} | {base / middle:.2f} times the speed |")
    one, other = (
        np.asarray(engine.generate(job())[0], dtype=np.float64) for engine in (full, eight)
    )
    rows += [
        "",
        f"Loading: {cold:.1f} s of CPU with unpacking, {warm:.1f} s without. Mean difference of "
        f"the int8 picture from the fp32 one: {np.abs(one - other).mean():.2f} of 255.",
    ]
    return rows


def timed(run: Callable[[], T]) -> tuple[float, T]:
    started = time.process_time()
    result = run()
    return time.process_time() - started, result


if __name__ == "__main__":
    main()

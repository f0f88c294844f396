"""What a picture costs: number formats and back ends, steps, batches, crowds, previews, overhead.

``python -m benchmarks.generation`` measures the embedded model on a CPU, ``--model`` another one;
with ``--device cuda`` it is :mod:`benchmarks.generation_gpu`. Each back end runs in a process of
its own with one thread, which tells its peak memory; its times are CPU time, which a busy machine
does not change much. Crowds and previews are wall time with as many threads as torch takes. With
``--keep FILE`` what was measured is kept, so that a run that is cut off goes on, and ``--only``
measures one part.
"""

from __future__ import annotations

import argparse
import functools
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from benchmarks import generation_gpu
from benchmarks.generation_gpu import crowd_once, parameters, slots
from benchmarks.report import write_section
from chopmark.generation import GenerationJob, LoadOptions, load_generator
from chopmark.generation.batches import BatchingGenerator

if TYPE_CHECKING:
    from collections.abc import Callable

    from chopmark.generation import DiffusersGenerator

#: What is tried: options by row. The first is what the others are compared with.
ROWS: Final[dict[str, dict[str, Any]]] = {
    "fp32": {"quantization": "none"},
    "bf16": {"quantization": "none", "dtype": "bfloat16"},
    "int8": {"quantization": "int8"},
    "fp32, compiled": {"quantization": "none", "runtime": "compile"},
    "int8, compiled": {"quantization": "int8", "runtime": "compile"},
    "fp32, OpenVINO": {"quantization": "none", "runtime": "openvino"},
    "int8, OpenVINO": {"quantization": "int8", "runtime": "openvino"},
}
#: Rows that show batches.
BATCHED: Final = ("fp32", "bf16", "int8")
BATCHES: Final = (1, 4, 8)
CROWDS: Final = (1, 8, 32)
#: Seconds of one crowd.
CROWD_S: Final = 6.0
#: ms on one core: steps and aim.
AIMS: Final = {"4": 700, "1": 350}


@dataclass(frozen=True)
class Child:
    """One back end of a model, for a process of its own."""

    model: str
    home: str
    options: dict[str, Any]
    rounds: int
    batches: bool

    def run(self, picture: Path) -> dict[str, Any]:
        """Measure it in its process; the picture that it makes goes to a file."""
        command = [sys.executable, "-m", "benchmarks.generation", "--child", str(picture)]
        told, alone = json.dumps(self.__dict__), {**os.environ, "OMP_NUM_THREADS": "1"}
        done = subprocess.run(
            command, input=told, capture_output=True, text=True, check=False, env=alone
        )
        if done.returncode:
            last = done.stderr.strip().splitlines()[-1:] or ["it died"]
            return {"failed": last[0].rpartition("errors.")[2][:120]}
        answer: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
        return answer


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--model", default="embedded")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--home", type=Path, help="a home to use; without, a fresh one")
    parser.add_argument("--keep", type=Path, help="file that keeps what was measured")
    parser.add_argument("--only", help="measure rows whose name holds this; the rest from FILE")
    parser.add_argument("--write", action="store_true", help="write docs/benchmarks.md")
    parser.add_argument("--child", type=Path, help=argparse.SUPPRESS)
    options, further = parser.parse_known_args()
    if options.device.startswith("cuda") or "--from" in further:
        generation_gpu.main(sys.argv[1:])
        return
    if further:
        parser.error(f"unknown: {' '.join(further)}")
    if options.child:
        print(json.dumps(measure(Child(**json.load(sys.stdin)), options.child)))
        return
    with tempfile.TemporaryDirectory() as folder:
        home = options.home or Path(folder)
        home.mkdir(parents=True, exist_ok=True)
        kept = Kept(options.keep, options.only)
        lines = back_ends(options.model, home, options.rounds, kept)
        lines += kept.get("crowds", lambda: crowds(options.model, home))
        lines += kept.get("preview", lambda: first_preview(options.model, home))
    text = "\n".join(lines)
    print(text)
    if options.write:
        command = f"python -m benchmarks.generation --rounds {options.rounds} --write"
        if options.keep:
            command += " --keep FILE --only ROW"  # a row at a time
        if options.model != "embedded":
            command += f" --model {options.model}"
        write_section("generation", text, command=command)


class Kept:
    """What was measured so far, by name; in a file if there is one."""

    def __init__(self, file: Path | None, only: str | None) -> None:
        self._file, self._only = file, only
        self._known: dict[str, Any] = {}
        if file is not None and file.exists():
            self._known = json.loads(file.read_text("utf-8"))

    def get(self, name: str, measure_it: Callable[[], Any]) -> Any:
        """Return what is kept, or measure it; nothing where neither is to be had."""
        wanted = self._only is None or self._only in name
        if name not in self._known and not wanted:
            return []
        if name not in self._known or (wanted and self._only is not None):
            self._known[name] = measure_it()
            if self._file is not None:
                self._file.write_text(json.dumps(self._known), "utf-8")
        return self._known[name]


def back_ends(model: str, home: Path, rounds: int, kept: Kept) -> list[str]:
    """Measure each back end in a process of its own; return its lines."""
    rows: dict[str, dict[str, Any]] = {}
    for name, extra in ROWS.items():
        child = Child(model, str(home), {"device": "cpu", **extra}, rounds, name in BATCHED)
        key = f"{Path(model).name}, {name}"
        picture = home / f"{key}.npy"

        def measured(child: Child = child, picture: Path = picture) -> dict[str, Any]:
            row = child.run(picture)
            if "failed" not in row:
                row["picture"] = np.load(picture).tolist()
            return row

        row = kept.get(key, measured)
        if row:
            rows[name] = row
            shown = {part: value for part, value in row.items() if part != "picture"}
            print(f"{key}: {shown}", file=sys.stderr, flush=True)
    base = next((row for row in rows.values() if "failed" not in row), None)
    return [] if base is None else [*table(rows, base), "", *remarks(rows, base)]


def table(rows: dict[str, dict[str, Any]], base: dict[str, Any]) -> list[str]:
    """Return the table of back ends."""
    steps = list(base["steps"])
    lines = [
        f"One picture of {base['size']} px, rendered at {base['native']} ({base['parts']}), one "
        "core.",
        "",
        f"| back end | CPU ms a picture, {', '.join(steps)} steps | speed | error | peak MiB | "
        "ready after s | again |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, row in rows.items():
        if "failed" in row:
            lines.append(f"| {name} | not run: {row['failed']} | | | | | |")
            continue
        times = " / ".join(f"{row['steps'][step]:.0f}" for step in steps)
        speed = base["steps"][steps[-1]] / row["steps"][steps[-1]]
        error = relative(*(np.array(one["picture"], dtype=float) for one in (row, base)))
        again = f"{row['again_s']:.1f}" if "again_s" in row else ""
        lines.append(
            f"| {name} | {times} | {speed:.2f} | {100 * error:.1f} % | {row['peak_mb']} | "
            f"{row['ready_s']:.1f} | {again} |"
        )
    return lines


def remarks(rows: dict[str, dict[str, Any]], base: dict[str, Any]) -> list[str]:
    """Return what is said below the table."""
    lines = [
        "Error: relative L2 of the finished picture against the first row, same seed. Ready: "
        "loaded, with its first picture made, compiling included; again: in a later process, which "
        "finds what was compiled.",
    ]
    for name, row in rows.items():
        if "batches" not in row:
            continue
        alone = row["batches"]["1"]
        parts = [
            f"{size}: {ms:.0f} ({alone / ms:.2f} times)" for size, ms in row["batches"].items()
        ]
        lines.append(f"Batches of {name}, CPU ms a picture: {', '.join(parts)}.")
    for name, row in rows.items():
        if name != base["auto"] or "failed" in row:
            continue
        aims = ", ".join(
            f"{row['steps'][step]:.0f} ms for {step} (aim {aim})"
            for step, aim in AIMS.items()
            if step in row["steps"]
        )
        lines.append(f"By default a CPU runs {name}: {aims}.")
        if "own_ms" in row:
            lines.append(
                f"Wrapper over the bare diffusers call (arguments, callbacks, picture, hand-over "
                f"to the thread that batches): {row['own_ms']:.2f} ms, "
                f"{100 * row['own_ms'] / row['step_ms']:.1f} % of a step of {row['step_ms']:.0f} "
                "ms; "
                f"scaling {base['native']} to {base['size']} px, which the bare call does not do: "
                f"{row['scaling_ms']:.2f} ms."
            )
    return lines


def relative(one: Any, other: Any) -> float:
    return float(np.linalg.norm(one - other) / np.linalg.norm(other))


def measure(child: Child, file: Path) -> dict[str, Any]:
    """Measure one back end; this is the process of its own."""
    options = LoadOptions(**child.options, prompt_cache_mb=0)
    begun = time.perf_counter()
    generator = load_generator(child.model, home=Path(child.home), options=options)
    engine = generator._engine  # type: ignore[attr-defined]  # noqa: SLF001
    info = engine.info
    job = jobs(info.default_size[0])
    picture = engine.generate(job())[0]
    answer: dict[str, Any] = {"ready_s": time.perf_counter() - begun}
    small = picture.resize((info.native_size, info.native_size))
    np.save(file, np.asarray(small))
    answer |= {"size": info.default_size[0], "native": info.native_size}
    answer["parts"] = ", ".join(f"{name} {size} M" for name, size in parameters(engine).items())
    pipeline = engine.variants.pipeline("generate")
    answer["auto"] = "int8" if hasattr(pipeline, "transformer") else "fp32"

    def median(run: Callable[[], object]) -> float:
        run()
        times = []
        for _ in range(child.rounds):
            started = time.process_time()
            run()
            times.append(time.process_time() - started)
        return 1000 * statistics.median(times)

    counts = sorted({1, 2, 4, info.default_steps})
    answer["steps"] = {
        str(n): median(lambda n=n: engine.generate(job(steps=n)))  # type: ignore[misc]
        for n in counts
    }
    if child.batches:
        answer["batches"] = {
            str(n): median(lambda n=n: engine.run(slots(job, n))) / n  # type: ignore[misc]
            for n in BATCHES
        }
        answer |= overhead(generator, engine)
    answer["peak_mb"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    if options.runtime == "compile" and not os.environ.get("CHOPMARK_BENCHMARK_AGAIN"):
        # A later process finds what this one compiled.
        command = [sys.executable, "-m", "benchmarks.generation", "--child", str(file)]
        told = json.dumps({**child.__dict__, "rounds": 1})
        marked = {**os.environ, "CHOPMARK_BENCHMARK_AGAIN": "1"}
        done = subprocess.run(
            command, input=told, capture_output=True, text=True, check=True, env=marked
        )
        answer["again_s"] = json.loads(done.stdout.splitlines()[-1])["ready_s"]
    return answer


def jobs(side: int) -> Callable[..., GenerationJob]:
    def job(**changes: Any) -> GenerationJob:
        values = {"prompt": "a red apple", "seed": 1, "width": side, "height": side}
        return GenerationJob(**{**values, **changes})

    return job


def overhead(generator: Any, engine: DiffusersGenerator, rounds: int = 15) -> dict[str, float]:
    """Return the ms that are spent in our code around and inside the pipeline's call.

    Two runs of some hundred ms differ by more than the wrapper takes, so it is not a difference of
    runs: in each run the time inside the stock call is noted, less that inside our callback.
    """
    kind = type(engine.variants.pipeline("generate"))
    stock: Callable[..., Any] = kind.__call__
    spent = {"inside": 0.0}

    @functools.wraps(stock)
    def timed(self: Any, **arguments: Any) -> Any:
        callback: Any = arguments.get("callback_on_step_end")

        def counted(*given: Any) -> Any:
            began = time.perf_counter()
            try:
                return callback(*given)
            finally:
                spent["inside"] -= time.perf_counter() - began

        if callback is not None:
            arguments["callback_on_step_end"] = counted
        began = time.perf_counter()
        try:
            return stock(self, **arguments)
        finally:
            spent["inside"] += time.perf_counter() - began

    def ours(job: GenerationJob) -> tuple[float, float]:
        own, inside = [], []
        for _ in range(rounds):
            spent["inside"] = 0.0
            began = time.perf_counter()
            generator.generate(job)
            own.append(time.perf_counter() - began - spent["inside"])
            inside.append(spent["inside"])
        return 1000 * statistics.median(own), 1000 * statistics.median(inside)

    native, default = engine.info.native_size, engine.info.default_size[0]
    kind.__call__ = timed
    try:
        own, four = ours(jobs(native)(steps=4))
        _, one = ours(jobs(native)(steps=1))
        scaled, _ = ours(jobs(default)(steps=4))
    finally:
        kind.__call__ = stock
    return {"own_ms": own, "step_ms": (four - one) / 3, "scaling_ms": max(0.0, scaled - own)}


def crowds(model: str, home: Path) -> list[str]:
    """Measure pictures a second for crowds of callers, with batches and without, in turns."""
    options = LoadOptions(device="cpu")
    engine = load_generator(model, home=home, options=options)._engine  # type: ignore[attr-defined]  # noqa: SLF001
    engines = {size: BatchingGenerator(engine, max_batch=size) for size in (1, 8)}
    job = jobs(engine.info.default_size[0])
    for generator in engines.values():
        generator.warm_up()
    lines = [
        "",
        "| callers at once | pictures/s without batches | with | gain | median wait, s, without | "
        "with |",
        "|---|---|---|---|---|---|",
    ]
    for crowd in CROWDS:
        found: dict[int, list[dict[str, float]]] = {1: [], 8: []}
        for _ in range(2):
            for size, generator in engines.items():
                found[size].append(crowd_once(generator, job, crowd, CROWD_S))
        (rate, wait) = (
            {size: statistics.mean(one[part] for one in rows) for size, rows in found.items()}
            for part in ("rate", "wait_ms")
        )
        lines.append(
            f"| {crowd} | {rate[1]:.2f} | {rate[8]:.2f} | {rate[8] / rate[1]:.2f} | "
            f"{wait[1] / 1000:.2f} | {wait[8] / 1000:.2f} |"
        )
    return lines


def first_preview(model: str, home: Path) -> list[str]:
    """Measure the wall time until the first of three judged previews of a prompt never seen."""
    import asyncio
    import warnings

    from chopmark import GenerationRequest, Pipeline, Settings

    warnings.simplefilter("ignore")
    previews: list[float] = []
    whole: list[float] = []

    async def judged() -> None:
        settings = Settings(home=home, model=model, device="cpu")
        with Pipeline.from_settings(settings) as pipeline:
            pipeline.parts.open_all()
            for number in range(13):
                seen: list[float] = []
                begun = time.perf_counter()

                def take(_one: object, seen: list[float] = seen, begun: float = begun) -> None:
                    seen.append(time.perf_counter() - begun)

                words = f"a red apple and {number} pears"
                request = GenerationRequest(prompt=words, seed=1, previews=3)
                await pipeline.generate(request, preview=take)
                previews.append(1000 * seen[0])
                whole.append(1000 * (time.perf_counter() - begun))

    asyncio.run(judged())
    first, rest = previews[0], sorted(previews[1:])
    return [
        "",
        f"First of three previews, through the pipeline and its guards, of a prompt never seen "
        f"before: {statistics.median(rest):.0f} ms of wall time (median of {len(rest)}, "
        f"{rest[0]:.0f} to {rest[-1]:.0f}; {first:.0f} right after the start), the finished, "
        f"marked, signed and logged picture {statistics.median(whole[1:]):.0f} ms.",
    ]


if __name__ == "__main__":
    main()

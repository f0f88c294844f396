"""What a picture costs: number formats and back ends, steps, batches, crowds, previews, overhead.

``python -m benchmarks.generation`` measures the embedded model and a transformer of FLUX.2 klein's
layout with random weights; ``--model`` another one, also on a GPU machine. Each back end runs in a
process of its own, which tells its peak memory. With ``--keep FILE`` what was measured is kept, so
that a run that is cut off goes on, and ``--only`` measures one part. On a CPU the times are CPU
time of all threads (a busy machine does not change them much), on a GPU wall time.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from benchmarks import generation_gpu
from benchmarks.report import write_section
from chopmark.generation import GenerationJob, LoadOptions, load_generator
from chopmark.generation.batching import BatchingGenerator
from chopmark.generation.calls import Slot

if TYPE_CHECKING:
    from collections.abc import Callable

    from chopmark.generation import DiffusersGenerator

T = TypeVar("T")
#: What is tried on a CPU and on a GPU: (row, options).
CPU: dict[str, dict[str, Any]] = {
    "fp32": {"quantization": "none"},
    "bf16": {"quantization": "none", "dtype": "bfloat16"},
    "int8, at once": {"quantization": "int8"},
    "int8, torchao, compiled": {"quantization": "int8", "runtime": "compile"},
    "fp32, OpenVINO": {"quantization": "none", "runtime": "openvino"},
    "int8, OpenVINO": {"quantization": "int8", "runtime": "openvino"},
}
GPU: dict[str, dict[str, Any]] = {
    "bf16": {"quantization": "none"},
    "bf16, compiled": {"quantization": "none", "runtime": "compile"},
    "int8": {"quantization": "int8"},
    "fp8": {"quantization": "fp8"},
    "int4": {"quantization": "int4"},
    "nf4": {"quantization": "nf4"},
}
CROWDS = (1, 8, 32)


@dataclass(frozen=True)
class Child:
    """One back end of one model, for a process of its own."""

    model: str
    home: str
    options: dict[str, Any]
    rounds: int
    batches: bool

    def run(self, picture: Path) -> dict[str, Any]:
        """Measure it in its process; the picture that it makes goes to a file."""
        command = [sys.executable, "-m", "benchmarks.generation", "--child", str(picture)]
        told = json.dumps(self.__dict__)
        done = subprocess.run(command, input=told, capture_output=True, text=True, check=False)
        if done.returncode:
            last = done.stderr.strip().splitlines()[-1:] or ["it died"]
            return {"failed": last[0].rpartition("errors.")[2][:120]}
        answer: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
        return answer


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--model", default="embedded")
    parser.add_argument("--device", default="auto")
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
        device = LoadOptions(device=options.device).torch_device
        kept = Kept(options.keep, options.only)
        lines = back_ends(options.model, home, device, options.rounds, kept)
        if options.model == "embedded":
            klein = home / "klein"
            if not klein.exists():
                write_klein(klein)
            lines += ["", "**A transformer of FLUX.2 klein's layout** (26 M parameters, random "]
            lines[-1] += "weights: errors are a proxy, not picture quality), 256 px, 4 steps:"
            lines += [""]
            lines += back_ends(str(klein), home, device, options.rounds, kept)
        lines += kept.get("crowds", lambda: crowds(options.model, home, device))
        lines += kept.get("preview", lambda: first_preview(options.model, home, device))
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


def back_ends(model: str, home: Path, device: str, rounds: int, kept: Kept) -> list[str]:
    rows: dict[str, dict[str, Any]] = {}
    for name, extra in (CPU if device == "cpu" else GPU).items():
        given = {"device": device, **extra}
        # A stand-in is there for its back ends alone.
        child = Child(model, str(home), given, rounds, batches=not rows and "klein" not in model)
        key = f"{Path(model).name}, {name}"
        picture = home / f"{key}.npy"

        def measured(child: Child = child, picture: Path = picture) -> dict[str, Any]:
            return {**child.run(picture), "picture": str(picture)}

        row = kept.get(key, measured)
        if row:
            rows[name] = row
            print(f"{key}: {row}", file=sys.stderr, flush=True)
    if not rows:
        return []
    base = next(iter(rows.values()))
    kind = "CPU ms" if device == "cpu" else "ms"
    steps = base["steps"]
    lines = [
        f"| back end | {kind} a picture, {', '.join(steps)} steps | speed | error | peak MiB | "
        "ready after s |",
        "|---|---|---|---|---|---|",
    ]
    for name, row in rows.items():
        if "failed" in row:
            lines.append(f"| {name} | not run: {row['failed']} | | | | |")
            continue
        times = " / ".join(f"{row['steps'][step]:.0f}" for step in steps)
        most = list(steps)[-1]
        speed = base["steps"][most] / row["steps"][most]
        error = relative(np.load(row["picture"]), np.load(base["picture"]))
        lines.append(
            f"| {name} | {times} | {speed:.2f} | {100 * error:.1f} % | {row['peak_mb']} | "
            f"{row['ready_s']:.1f} |"
        )
    lines += ["", "Error: relative L2 of the finished picture against the first row, same seed."]
    if base.get("batches"):
        alone = base["batches"]["1"]
        parts = [
            f"{size}: {ms:.0f} ms ({alone / ms:.2f} times)" for size, ms in base["batches"].items()
        ]
        lines.append(f"Batches, {kind} a picture: {', '.join(parts)}.")
    if "overhead" in base:
        lines.append(
            "Wrapper (arguments, callback, decoding to a picture, scaling) over the bare diffusers "
            f"call: {100 * base['overhead']:.1f} % of a step."
        )
    return lines


def relative(one: Any, other: Any) -> float:
    return float(np.linalg.norm(one - other) / np.linalg.norm(other))


def measure(child: Child, file: Path) -> dict[str, Any]:
    """Measure one back end; this is the process of its own."""
    clock = time.process_time if child.options["device"] == "cpu" else time.perf_counter
    options = LoadOptions(**child.options, prompt_cache_mb=0)
    generator = load_generator(child.model, home=Path(child.home), options=options)
    engine = generator._engine  # type: ignore[attr-defined]  # noqa: SLF001
    size = engine.info.native_size if "klein" in child.model else engine.info.default_size[0]

    def job(**changes: Any) -> GenerationJob:
        values = {"prompt": "a red apple", "seed": 1, "width": size, "height": size}
        return GenerationJob(**{**values, **changes})

    started = time.perf_counter()
    picture = engine.generate(job())[0]
    ready = time.perf_counter() - started
    np.save(file, np.asarray(picture, dtype=np.float64))
    counts = sorted({1, 2, 4, engine.info.default_steps})

    def median(run: Callable[[], object]) -> float:
        run()
        times = []
        for _ in range(child.rounds):
            begun = clock()
            run()
            times.append(clock() - begun)
        return 1000 * statistics.median(times)

    steps = {str(n): median(lambda n=n: engine.generate(job(steps=n))) for n in counts}  # type: ignore[misc]
    answer: dict[str, Any] = {"steps": steps, "ready_s": ready}
    if child.batches:
        answer["batches"] = {
            str(n): median(lambda n=n: engine.run(slots(job, n))) / n  # type: ignore[misc]
            for n in (1, 4, 8)
        }
        answer["overhead"] = overhead(engine, job, clock, child.rounds)
    answer["peak_mb"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    return answer


def slots(job: Callable[..., GenerationJob], count: int) -> list[Slot]:
    return [
        Slot(job=job(seed=seed), index=1, stepped=lambda _done, _steps: None)
        for seed in range(count)
    ]


def overhead(
    engine: DiffusersGenerator,
    job: Callable[..., GenerationJob],
    clock: Callable[[], float],
    rounds: int,
) -> float:
    """Return what our wrapper costs beside the bare pipeline call, in steps."""
    import torch

    bare = dict(engine.call(slots(job, 1))._arguments)  # noqa: SLF001
    pipeline = engine._variants.pipeline("generate")  # noqa: SLF001
    steps = bare["num_inference_steps"]

    def run_bare() -> None:
        with torch.inference_mode():
            pipeline(**bare, generator=torch.Generator("cpu").manual_seed(1), output_type="np")

    differences, whole = [], []
    for _ in range(max(9, rounds)):
        begun = clock()
        run_bare()
        middle = clock()
        engine.generate(job())
        ended = clock()
        differences.append((ended - middle) - (middle - begun))
        whole.append(middle - begun)
    step = statistics.median(whole) / int(steps)
    return statistics.median(differences) / step


def crowds(model: str, home: Path, device: str) -> list[str]:
    """Measure pictures a second for crowds of callers, with batches and without, in turns."""
    options = LoadOptions(device=device, quantization="none")
    engine = load_generator(model, home=home, options=options)._engine  # type: ignore[attr-defined]  # noqa: SLF001
    engines = {size: BatchingGenerator(engine, max_batch=size) for size in (1, 8)}
    side = engine.info.default_size[0]
    engine.warm_up()
    lines = [
        "",
        "| callers at once | pictures/s without batches | with | gain | median wait, s, without | "
        "with |",
        "|---|---|---|---|---|---|",
    ]
    for crowd in CROWDS:
        found: dict[int, list[tuple[float, float]]] = {1: [], 8: []}
        for _ in range(3):
            for size, generator in engines.items():
                found[size].append(crowd_once(generator, crowd, side))
        rate, wait = (
            {size: statistics.median(one[part] for one in rows) for size, rows in found.items()}
            for part in (0, 1)
        )
        lines.append(
            f"| {crowd} | {rate[1]:.2f} | {rate[8]:.2f} | {rate[8] / rate[1]:.2f} | "
            f"{wait[1]:.2f} | {wait[8]:.2f} |"
        )
    return lines


def crowd_once(generator: BatchingGenerator, crowd: int, side: int) -> tuple[float, float]:
    waits: list[float] = []

    def ask(number: int) -> None:
        begun = time.perf_counter()
        job = GenerationJob(
            prompt=f"picture {number}",
            seed=number,
            width=side,
            height=side,
            tenant=f"t{number % 4}",
        )
        generator.generate(job)
        waits.append(time.perf_counter() - begun)

    threads = [threading.Thread(target=ask, args=(n,)) for n in range(crowd)]
    begun = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return crowd / (time.perf_counter() - begun), statistics.median(waits)


def first_preview(model: str, home: Path, device: str) -> list[str]:
    """Measure the wall time until the first of three drafts, and of three judged previews."""
    import asyncio
    import warnings

    from chopmark import GenerationRequest, Pipeline, Settings

    warnings.simplefilter("ignore")
    generator = load_generator(model, home=home, options=LoadOptions(device=device))
    side = generator.info.default_size[0]
    job = GenerationJob(prompt="a red apple", seed=1, width=side, height=side, drafts=3)
    drafts: list[float] = []
    previews: list[float] = []

    def note(into: list[float], begun: float) -> Callable[[object], None]:
        seen: list[float] = []

        def take(_one: object) -> None:
            if not seen:
                seen.append(time.perf_counter() - begun)
                into.append(1000 * seen[0])

        return take

    for _ in range(7):
        generator.generate(job, draft=note(drafts, time.perf_counter()))

    async def judged() -> None:
        settings = Settings(home=home, model=model, device=device)
        with Pipeline.from_settings(settings) as pipeline:
            pipeline.rooms.open_all()
            for _ in range(8):
                request = GenerationRequest(prompt="a red apple", seed=1, previews=3)
                await pipeline.generate(request, preview=note(previews, time.perf_counter()))

    asyncio.run(judged())
    return [
        "",
        f"First of three drafts after {statistics.median(drafts):.0f} ms of wall time; first of "
        f"three previews, through the pipeline and its guards, after "
        f"{statistics.median(previews[1:]):.0f} ms.",
    ]


def write_klein(folder: Path) -> Path:
    """Write a FLUX.2 klein of 26 M parameters with random weights, as training starts from it."""
    from chopmark.generation.training.klein import KleinConfig, build, save

    save(build(KleinConfig()), folder)
    return folder


if __name__ == "__main__":
    main()

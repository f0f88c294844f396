"""What a picture costs on a GPU; ``python -m benchmarks.generation --device cuda`` comes here.

A GPU may be lent for minutes, to a machine without a network: all of it takes less than one, in
one process, and what was measured is in ``--out FILE`` after each row, whatever happens later.
``--from FILE --write`` then writes the section of ``docs/benchmarks.md`` on any machine. Only
``chopmark.generation`` is imported, so of Chopmark's packages torch, diffusers, transformers,
safetensors, numpy and pillow are enough.

``--model`` is ``embedded``, a folder that diffusers wrote, a folder of packed weights like
``generation/weights/embedded``, ``hf:org/name``, or ``klein``: the embedded layout, random weights.
"""

from __future__ import annotations

import argparse
import gc
import json
import platform
import statistics
import sys
import tempfile
import threading
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from benchmarks.report import write_section
from benchmarks.stand_in import provide_text_encoder
from chopmark.errors import InvalidRequest
from chopmark.generation import LoadOptions

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from chopmark.generation import DiffusersGenerator, GenerationJob

#: Back ends in the order of their use; those that compile come late, for they may take long.
ROWS: Final[dict[str, dict[str, Any]]] = {
    "fp32": {"dtype": "float32", "quantization": "none"},
    "bf16": {"dtype": "bfloat16", "quantization": "none"},
    "fp8, torchao": {"dtype": "bfloat16", "quantization": "fp8"},
    "int8, torchao": {"dtype": "bfloat16", "quantization": "int8"},
    "bf16, compiled": {"dtype": "bfloat16", "quantization": "none", "runtime": "compile"},
    "fp8, torchao, compiled": {
        "dtype": "bfloat16",
        "quantization": "fp8",
        "runtime": "compile",
    },
}
STEPS: Final = (1, 2, 4)
BATCHES: Final = (1, 4, 8, 32)
CROWDS: Final = (1, 8, 32)
#: Seconds that one number may take.
CELL_S: Final = 0.3
#: Seconds for one crowd, with batches or without.
CROWD_S: Final = 1.0
#: Seconds that a row needs at least, and one that compiles.
LEAST_S: Final = {False: 4.0, True: 16.0}
RECOMPILE_S: Final = 12.0


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--model", default="embedded")
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--seconds", type=float, default=55.0, help="when no row is begun any more")
    parser.add_argument("--out", type=Path, help="file for what was measured, whole at any time")
    parser.add_argument("--from", type=Path, dest="source", help="show FILE instead of measuring")
    parser.add_argument("--write", action="store_true", help="write docs/benchmarks.md")
    options = parser.parse_args(arguments)
    if options.source is not None:
        found = json.loads(options.source.read_text("utf-8"))
    else:
        try:
            LoadOptions(device=options.device).torch_device  # noqa: B018 - it raises
        except InvalidRequest as error:
            parser.error(str(error))
        with tempfile.TemporaryDirectory() as scratch:
            found = Run(
                model=options.model,
                device=options.device,
                seconds=options.seconds,
                out=options.out,
                scratch=Path(scratch),
            ).measure()
    print(render(found))
    if options.write:
        write_section(
            "generation-gpu", render(found), command=found["command"], where=found["where"]
        )


@dataclass(kw_only=True)
class Run:
    """One run over all rows; ``found`` is what goes to the file."""

    model: str
    device: str
    seconds: float
    out: Path | None
    scratch: Path
    begun: float = field(default_factory=time.perf_counter)
    found: dict[str, Any] = field(default_factory=dict)

    def measure(self) -> dict[str, Any]:
        """Measure every row that there is time for; return what goes to the file."""
        from chopmark.generation.folders import be_quiet

        be_quiet()
        random_text = provide_text_encoder(self.scratch / "site")
        folder, name = find_model(self.model, self.scratch)
        self.found = {
            **surroundings(self.device),
            "command": f"python -m benchmarks.generation --model {name} --device {self.device}",
            "random_text_encoder": random_text,
            "random_weights": self.model == "klein",
            "rows": {},
            "crowds": {},
        }
        self.keep()
        reference = None
        for row, given in ROWS.items():
            least = LEAST_S[given.get("runtime") == "compile"]
            if self.left() < least:
                self.note(row, {"why": f"{self.left():.0f} s were left, it takes {least:.0f}"})
                continue
            try:
                reference = self.row(row, given, folder, reference)
            except Exception as error:  # noqa: BLE001 - a back end that fails is a finding
                text = " ".join(str(error).split())
                self.note(row, {"why": f"{type(error).__name__}: {text[:160]}"})
            self.free(compiled="runtime" in given)
        self.found["took_s"] = round(time.perf_counter() - self.begun, 1)
        self.keep()
        return self.found

    def row(self, name: str, given: dict[str, Any], folder: Path | str, reference: Any) -> Any:
        """Measure one back end; return the picture that errors are taken against."""
        from chopmark.generation import DiffusersGenerator, GenerationJob

        started = time.perf_counter()
        options = LoadOptions(device=self.device, prompt_cache_mb=0, max_batch=32, **given)
        engine = DiffusersGenerator.load(folder, options=options)
        side = engine.info.native_size

        def job(**changes: Any) -> GenerationJob:
            values = {"prompt": "a red apple", "seed": 1, "width": side, "height": side}
            return GenerationJob(**{**values, **changes})

        def make() -> Any:
            return np.asarray(engine.generate(job(steps=max(STEPS)))[0], dtype=np.float64)

        picture = make()
        row: dict[str, Any] = {"ready_s": round(time.perf_counter() - started, 2)}
        if reference is None:
            reference = picture
            self.found["picture_px"] = side
            self.found["parameters"] = parameters(engine)
        row["error"] = float(np.linalg.norm(picture - reference) / np.linalg.norm(reference))
        row["repeats"] = bool(np.array_equal(make(), picture))
        row["steps_ms"] = {
            str(n): self.median(lambda n=n: engine.generate(job(steps=n)))  # type: ignore[misc]
            for n in STEPS
        }
        row["peak_mib"] = self.peak()
        self.note(name, row)
        if name == "bf16":
            row["bare_ms"] = self.bare(engine, job)
        row["batches"] = {}
        for size in BATCHES:
            needed = 5 * size * row["steps_ms"][str(max(STEPS))] / 1000
            if size > 1 and "runtime" in given:
                needed = max(needed, RECOMPILE_S)  # for a second size, and then for any
            if needed > self.left():
                break
            ms = self.median(lambda n=size: engine.run(slots(job, n)))  # type: ignore[misc]
            row["batches"][str(size)] = round(1000 * size / ms, 2)
        row["peak_batch_mib"] = self.peak()
        self.note(name, row)
        if name == "bf16":
            self.crowds(engine, job)
        return picture if name == "fp32" else reference

    def bare(self, engine: DiffusersGenerator, job: Callable[..., GenerationJob]) -> float:
        """Return the ms of the diffusers call that the engine makes, without the engine."""
        import torch

        call = engine.call(slots(job, 1, steps=max(STEPS)))
        given = dict(call._arguments)  # noqa: SLF001
        pipeline = engine.variants.pipeline("generate")

        def once() -> None:
            with torch.inference_mode():
                pipeline(**given, generator=torch.Generator("cpu").manual_seed(1), output_type="np")

        return self.median(once)

    def crowds(self, engine: DiffusersGenerator, job: Callable[..., GenerationJob]) -> None:
        """Measure pictures a second for callers who each ask again when they are served."""
        from chopmark.generation.batches import BatchingGenerator

        for crowd in CROWDS:
            found = {}
            for name, most in (("alone", 1), ("batched", max(BATCHES))):
                generator = BatchingGenerator(engine, max_batch=most)
                crowd_once(generator, job, crowd, 0.2)
                found[name] = crowd_once(generator, job, crowd, CROWD_S)
            self.found["crowds"][str(crowd)] = found
            print(f"{crowd} callers: {json.dumps(found)}", flush=True)
            self.keep()

    def median(self, run: Callable[[], object]) -> float:
        """Return the median wall time in ms: two warm calls, then calls for ``CELL_S`` seconds."""
        for _ in range(2):
            run()
        times: list[float] = []
        until = time.perf_counter() + CELL_S
        while len(times) < 3 or (time.perf_counter() < until and len(times) < 50):
            self.wait()
            begun = time.perf_counter()
            run()
            self.wait()
            times.append(time.perf_counter() - begun)
        return round(1000 * statistics.median(times), 3)

    def wait(self) -> None:
        """Wait until the GPU has done what it was given."""
        if self.device.startswith("cuda"):
            import torch

            torch.cuda.synchronize(self.device)

    def peak(self) -> int | None:
        """Return the most MiB that tensors took on the GPU since the last row."""
        if not self.device.startswith("cuda"):
            return None
        import torch

        return int(torch.cuda.max_memory_allocated(self.device)) // 2**20

    def free(self, *, compiled: bool) -> None:
        """Forget a row's model, on the GPU too."""
        import torch

        gc.collect()
        if compiled:
            torch.compiler.reset()
        if self.device.startswith("cuda"):
            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats(self.device)

    def left(self) -> float:
        """Return the seconds that rows may still take."""
        return self.seconds - (time.perf_counter() - self.begun)

    def note(self, name: str, row: dict[str, Any]) -> None:
        """Put a row into the file, and on stdout."""
        self.found["rows"][name] = row
        at = time.perf_counter() - self.begun
        print(f"[{at:.1f} s] {name}: {json.dumps(row)}", flush=True)
        self.keep()

    def keep(self) -> None:
        """Write the file anew; whoever is killed leaves the last whole one."""
        if self.out is not None:
            self.out.parent.mkdir(parents=True, exist_ok=True)
            beside = self.out.with_suffix(".part")
            beside.write_text(json.dumps(self.found, indent=1), "utf-8")
            beside.replace(self.out)


def find_model(model: str, scratch: Path) -> tuple[Path | str, str]:
    """Return what ``DiffusersGenerator.load`` takes, and a name without this machine's folders."""
    from chopmark.generation.embedded import WEIGHTS, materialize, write_folder

    if model == "klein":
        from training.generation.klein import KleinConfig, build, save

        save(build(KleinConfig()), scratch / "klein")
        return scratch / "klein", model
    if model == "embedded":
        return materialize(scratch), model
    if model.startswith("hf:"):
        return model, model
    folder = Path(model)
    if folder.resolve() != WEIGHTS.resolve() and not list(folder.glob("*/packed*.safetensors")):
        return folder, folder.name
    write_folder(folder, scratch / "unpacked")
    return scratch / "unpacked", folder.name


def surroundings(device: str) -> dict[str, Any]:
    """Return what a figure depends on beside the model."""
    import torch

    name = platform.machine()
    if device.startswith("cuda"):
        name = torch.cuda.get_device_name(device)
    versions = {"torch": str(torch.__version__)}
    for package in ("diffusers", "transformers", "torchao"):
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            versions[package] = "none"
    said = ", ".join(f"{package} {number}" for package, number in versions.items())
    when = datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
    return {
        "device": name,
        "versions": versions,
        "where": f"{when}, {name}, Python {platform.python_version()}, {said}",
    }


def parameters(engine: DiffusersGenerator) -> dict[str, float]:
    """Return millions of weights by part."""
    pipeline = engine.variants.pipeline("generate")
    return {
        name: round(sum(weight.numel() for weight in part.parameters()) / 1e6, 1)
        for name, part in pipeline.components.items()
        if hasattr(part, "parameters")
    }


def slots(job: Callable[..., GenerationJob], count: int, **changes: Any) -> list[Any]:
    from chopmark.generation.calls import Slot

    return [
        Slot(job=job(seed=seed, **changes), index=1, stepped=lambda _done, _steps: None)
        for seed in range(count)
    ]


def crowd_once(
    generator: Any, job: Callable[..., GenerationJob], crowd: int, seconds: float
) -> dict[str, float]:
    """Return pictures a second and the median wait in ms of ``crowd`` callers in a closed loop."""
    waits: list[float] = []
    until = time.perf_counter() + seconds

    def ask(number: int) -> None:
        turn = 0
        while time.perf_counter() < until:
            begun = time.perf_counter()
            wanted = job(
                prompt=f"picture {number}",
                seed=1000 * number + turn,
                tenant=f"t{number % 4}",
            )
            generator.generate(wanted)
            waits.append(time.perf_counter() - begun)
            turn += 1

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(crowd)]
    begun = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    rate = len(waits) / (time.perf_counter() - begun)
    return {"rate": round(rate, 2), "wait_ms": round(1000 * statistics.median(waits), 2)}


def render(found: dict[str, Any]) -> str:
    """Return the section as Markdown."""
    size = found.get("picture_px", "?")
    parts = ", ".join(f"{name} {count} M" for name, count in found.get("parameters", {}).items())
    remarks = [f"One picture is {size} px square, as the model renders it ({parts})."]
    if found["random_weights"]:
        remarks.append("Random weights: errors are a proxy, not picture quality.")
    elif found["random_text_encoder"]:
        remarks.append("The text encoder had random weights: its package was not on that machine.")
    rows = {name: row for name, row in found["rows"].items() if "steps_ms" in row}
    lines = [" ".join(remarks), ""]
    heads = ["back end", f"ms a picture, {', '.join(map(str, STEPS))} steps", "speed", "error"]
    heads += ["peak MiB", f"at {max(BATCHES)}", "ready after s"]
    lines += ["| " + " | ".join(heads) + " |", "|" + "---|" * len(heads)]
    base = rows.get("fp32")
    last = str(max(STEPS))
    for name, row in found["rows"].items():
        if "steps_ms" not in row:
            lines.append(f"| {name} | not run: {row['why']} | | | | | |")
            continue
        times = " / ".join(f"{row['steps_ms'][str(n)]:.1f}" for n in STEPS)
        speed = f"{base['steps_ms'][last] / row['steps_ms'][last]:.2f}" if base else ""
        peak, peak_batch = row.get("peak_mib") or "", ""
        if str(max(BATCHES)) in row.get("batches", {}):
            peak_batch = row.get("peak_batch_mib") or ""
        lines.append(
            f"| {name} | {times} | {speed} | {100 * row['error']:.1f} % | {peak} | {peak_batch} | "
            f"{row['ready_s']:.1f} |"
        )
    lines += [
        "",
        "Error: relative L2 of the finished picture against fp32, same seed. Memory: what tensors "
        f"took, for one picture and for {max(BATCHES)} at once. Ready: loaded, with its first "
        "picture made, compiling included.",
    ]
    if not all(row["repeats"] for row in rows.values()):
        odd = ", ".join(name for name, row in rows.items() if not row["repeats"])
        lines[-1] += f" The same seed gave other bytes with: {odd}."
    elif rows:
        lines[-1] += " The same seed gave the same bytes in every row."
    bare = rows.get("bf16", {}).get("bare_ms")
    if bare:
        whole = rows["bf16"]["steps_ms"][last]
        lines[-1] += (
            f" The bare diffusers call of bf16 takes {bare:.1f} ms for {last} steps, through the "
            f"engine {whole:.1f} ms."
        )
    heads = ["pictures/s at batch", *map(str, BATCHES)]
    lines += ["", "| " + " | ".join(heads) + " |", "|" + "---|" * len(heads)]
    for name, row in rows.items():
        rates = (row.get("batches", {}).get(str(size)) for size in BATCHES)
        cells = ("" if rate is None else f"{rate:.1f}" for rate in rates)
        lines.append(f"| {name} | {' | '.join(cells)} |")
    if found["crowds"]:
        lines += [
            "",
            "| callers at once (bf16) | pictures/s without batches | with | gain | "
            "median wait, ms, without | with |",
            "|---|---|---|---|---|---|",
        ]
    for crowd, both in found["crowds"].items():
        alone, batched = both["alone"], both["batched"]
        lines.append(
            f"| {crowd} | {alone['rate']:.1f} | {batched['rate']:.1f} | "
            f"{batched['rate'] / alone['rate']:.2f} | {alone['wait_ms']:.0f} | "
            f"{batched['wait_ms']:.0f} |"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    main(sys.argv[1:])

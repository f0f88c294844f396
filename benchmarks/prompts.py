"""Past prompts by meaning: how fast they are found, and how often rightly.

``python -m benchmarks.prompts`` fills an index with captions of random scenes (one thing or two, a
place, a ground) and asks for other sentences about the same scenes: is the right record the first,
and does "asked before" say yes to the same scene and no to the closest other one?
"""

from __future__ import annotations

import argparse
import random
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np

from benchmarks.report import write_section
from chopmark.generation.semantic import SAME, WIDTH, PromptIndex
from chopmark.generation.training.captions import describe, sample_scene

SIZES = (1_000, 10_000, 100_000)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--scenes", type=int, default=1500)
    parser.add_argument("--write", action="store_true", help="write docs/benchmarks.md")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        text = "\n".join([*quality(Path(folder) / "q", options.scenes), *speed(Path(folder))])
    print(text)
    if options.write:
        command = f"python -m benchmarks.prompts --scenes {options.scenes} --write"
        write_section("prompts", text, command=command)


def quality(home: Path, count: int) -> list[str]:
    rng = random.Random(5)
    scenes = list(dict.fromkeys(sample_scene(rng) for _ in range(count)))
    index = PromptIndex.open(home)
    began = time.process_time()
    for number, scene in enumerate(scenes):
        index.add(describe(scene, rng), record_id=f"{number:016x}")
    adding = 1000 * (time.process_time() - began) / len(scenes)
    first = five = same = wrong = strange = 0
    asked = rng.sample(range(len(scenes)), min(500, len(scenes)))
    for number in asked:
        found = index.similar(describe(scenes[number], rng), count=5, least=-1.0)
        right = f"{number:016x}"
        first += found[0].record_id == right
        five += right in {match.record_id for match in found}
        same += found[0].record_id == right and found[0].similarity >= SAME
        wrong += any(m.similarity >= SAME and m.record_id != right for m in found)
    for _ in range(500):
        scene = sample_scene(rng)
        if scene not in scenes:
            strange += index.asked_before(describe(scene, rng)) is not None
    index.close()
    n = len(asked)
    return [
        f"{len(scenes)} scenes, one sentence of each in the index, {n} asked for in other words:",
        "",
        "| | |",
        "|---|---|",
        f"| right record first / among five | {100 * first / n:.1f} % / {100 * five / n:.1f} % |",
        f"| said to be asked before (cosine {SAME}), rightly | {100 * same / n:.1f} % |",
        f"| a record of another scene counts as asked before | {100 * wrong / n:.1f} % |",
        f"| of 500 new scenes, said to be asked before | {strange} |",
        f"| CPU to add one prompt | {adding:.1f} ms |",
    ]


def speed(home: Path) -> list[str]:
    lines = ["", "| prompts of a tenant | median ms to find ten |", "|---|---|"]
    rng = np.random.default_rng(1)
    for size in SIZES:
        index = PromptIndex.open(home / str(size))
        vectors = rng.standard_normal((size, WIDTH)).astype(np.float32)
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        rows = [
            (f"{i:016x}", "t", None, 0.0, v.astype("<f2").tobytes()) for i, v in enumerate(vectors)
        ]
        index._connection.execute("BEGIN")  # noqa: SLF001
        index._connection.executemany("INSERT INTO prompts VALUES (?, ?, ?, ?, ?)", rows)  # noqa: SLF001
        index._connection.execute("COMMIT")  # noqa: SLF001
        times = []
        for _ in range(6):
            began = time.process_time()
            index.similar("a red apple", tenant="t", least=-1.0)
            times.append(1000 * (time.process_time() - began))
        lines.append(f"| {size:,} | {statistics.median(times[1:]):.0f} |")
        index.close()
    return lines


if __name__ == "__main__":
    main()

"""Past prompts: how well and fast they are found, how often one may be the answer, what that saves.

``python -m benchmarks.prompts`` fills an index with captions of random scenes (one thing or two, a
place, a ground) and asks for other sentences about the same scenes: is the right record the first?
Then it asks as ``CHOPMARK_CACHED_ANSWERS`` does: word for word, in other words, for scenes of which
one thing was changed, for quite other ones, and for pairs written by hand
(``benchmarks/data/prompt_pairs.tsv``). The cosine is chosen on scenes that are in no other row. At
last it makes pictures through the whole pipeline, and asks for them again.
"""

from __future__ import annotations

import argparse
import asyncio
import dataclasses
import random
import statistics
import tempfile
import time
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from benchmarks.report import write_section
from chopmark import GenerationRequest, Pipeline, Settings
from chopmark.generation.semantic import SAME, WIDTH, PromptIndex, same_wish
from training.generation.captions import Scene, describe, sample_scene
from training.generation.vocabulary import BACKGROUNDS, CONCEPTS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

SIZES = (1_000, 10_000, 100_000)
PAIRS = Path(__file__).parent / "data" / "prompt_pairs.tsv"
TERMS = b"the same for all"
GRID = (0.8, 0.85, 0.9, 0.93, 0.95, 0.97, 0.98, 0.99, 0.995)
TURNED = {
    "left": "right", "right": "left", "top": "bottom", "bottom": "top",
    "two": "three", "three": "four", "four": "two",
}  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--scenes", type=int, default=1500)
    parser.add_argument("--pictures", type=int, default=12, help="made and asked for again")
    parser.add_argument("--write", action="store_true", help="write docs/benchmarks.md")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        lines = [
            *quality(home / "q", options.scenes),
            *speed(home),
            *answers(home / "a", options.scenes),
            *latency(home / "p", options.pictures),
        ]
    text = "\n".join(lines)
    print(text)
    if options.write:
        command = (
            f"python -m benchmarks.prompts --scenes {options.scenes}"
            f" --pictures {options.pictures} --write"
        )
        write_section("prompts", text, command=command)


def scenes_of(seed: int, count: int) -> list[Scene]:
    rng = random.Random(seed)
    return list(dict.fromkeys(sample_scene(rng) for _ in range(count)))


def quality(home: Path, count: int) -> list[str]:
    rng, scenes = random.Random(5), scenes_of(5, count)
    index = PromptIndex.open(home)
    began = time.process_time()
    for number, scene in enumerate(scenes):
        index.add(describe(scene, rng), record_id=f"{number:016x}")
    adding = 1000 * (time.process_time() - began) / len(scenes)
    first = five = 0
    asked = rng.sample(range(len(scenes)), min(500, len(scenes)))
    for number in asked:
        found = index.similar(describe(scenes[number], rng), count=5, least=-1.0)
        right = f"{number:016x}"
        first += found[0].record_id == right
        five += right in {match.record_id for match in found}
    index.close()
    n = len(asked)
    return [
        f"{len(scenes)} scenes, one sentence of each in the index, {n} asked for in other words:",
        "",
        "| | |",
        "|---|---|",
        f"| right record first / among five | {100 * first / n:.1f} % / {100 * five / n:.1f} % |",
        f"| CPU to add one prompt | {adding:.1f} ms |",
    ]


def speed(home: Path) -> list[str]:
    lines = [
        "",
        "| prompts of a tenant | median ms to find ten | look-up, `exact` | look-up, `reworded` |",
        "|---|---|---|---|",
    ]
    rng = np.random.default_rng(1)
    for size in SIZES:
        index = PromptIndex.open(home / str(size))
        vectors = rng.standard_normal((size, WIDTH)).astype(np.float32)
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        rows = [
            (f"{i:016x}", "t", 0.0, v.astype("<f2").tobytes(), i.to_bytes(32, "big"), TERMS, i)
            for i, v in enumerate(vectors)
        ]
        with index._database.write() as transaction:  # noqa: SLF001
            transaction.many(
                "INSERT INTO prompts (record_id, tenant, at, vector, wish, terms, seed)"
                " VALUES (?, ?, ?, ?, ?, ?, ?)",
                rows,
            )
        times = [
            median_ms(lambda: index.similar("a red apple", tenant="t", least=-1.0)),  # noqa: B023
            *(
                median_ms(
                    lambda: index.asked_before(  # noqa: B023
                        "a red apple",
                        terms=TERMS,
                        tenant="t",
                        reworded=reworded,  # noqa: B023
                    )
                )
                for reworded in (False, True)
            ),
        ]
        lines.append(f"| {size:,} | {times[0]:.0f} | {times[1]:.2f} | {times[2]:.0f} |")
        index.close()
    return lines


def median_ms(work: Callable[[], object]) -> float:
    work()
    times = []
    for _ in range(5):
        began = time.process_time()
        work()
        times.append(1000 * (time.process_time() - began))
    return statistics.median(times)


def answers(home: Path, count: int) -> list[str]:
    """Who gets an answer from the past: those who ask for the same, and nobody else."""
    tuning = pairs_of(scenes_of(11, count // 2), random.Random(11))
    seen = set(scenes_of(11, count // 2))
    others = [scene for scene in scenes_of(12, count // 2) if scene not in seen]
    report = pairs_of(others, random.Random(12))
    index = PromptIndex.open(home)
    retold = [(a, b) for a, b in tuning["reworded"] if same_wish(a, b, reworded=True)]
    retold += [(a, retyped(a)) for a, _ in tuning["reworded"]]
    same = [cosine(index, a, b) for a, b in retold]
    false = [cosine(index, a, b) for a, b in tuning["changed"]]
    alone = max(false)
    words = [pair for pair in tuning["changed"] if same_wish(*pair, reworded=True)]
    fits = [t for t in GRID if t <= min(same)]
    lines = [
        "",
        f"Chosen on {len(seen)} other scenes than those below: a cosine alone tells wishes apart"
        f" from {alone:.4f} only (the closest of {len(false)} sentences of which one thing was"
        " changed); there it recognises"
        f" {share(cosine(index, a, b) > alone for a, b in tuning['reworded'])} of those in other"
        f" words. With the telling words the same in the same order, {len(words)} of these"
        f" {len(false)} pass whatever the cosine, and the lowest cosine of a true rewording is"
        f" {min(same):.3f}: {max(fits)} it is (set: {SAME}).",
        "",
        f"Answered from the past, of {len(others)} scenes:",
        "",
        "| asked for | n | `exact` | `reworded` | cosine >= 0.97 alone |",
        "|---|---|---|---|---|",
    ]
    by_hand: dict[str, list[tuple[str, str]]] = {"same": [], "other": []}
    for line in PAIRS.read_text(encoding="utf-8").splitlines():
        kind, one, other = line.split("\t")
        by_hand[kind].append((one, other))
    rows = {
        "word for word": [(a, a) for a, _ in report["reworded"]],
        "with other case, article, full stop": [(a, retyped(a)) for a, _ in report["reworded"]],
        "the same scene in other words": report["reworded"],
        "the same, by hand": by_hand["same"],
        "**another wish**: one thing changed": report["changed"],
        "**another wish**: left and right, numbers": report["turned"],
        "**another wish**: another scene": report["unlike"],
        "**another wish**: by hand": by_hand["other"],
    }
    for name, pairs in rows.items():
        exact, reworded, meant = [], [], []
        for number, (kept, asked) in enumerate(pairs):
            tenant = f"{name} {number}"
            index.add(kept, record_id="a" * 16, tenant=tenant, terms=TERMS, seed=1)
            exact.append(answered(index, kept, asked, tenant, reworded=False))
            reworded.append(answered(index, kept, asked, tenant, reworded=True))
            found = index.similar(asked, tenant=tenant, least=0.97)
            meant.append(bool(found))
            index.erase(tenant=tenant)
        said = " | ".join(share(column) for column in (exact, reworded, meant))
        lines.append(f"| {name} | {len(pairs)} | {said} |")
    index.close()
    return lines


def answered(index: PromptIndex, kept: str, asked: str, tenant: str, *, reworded: bool) -> bool:
    """Ask as the pipeline does: the index proposes, the words of the record decide."""
    found = index.asked_before(asked, terms=TERMS, tenant=tenant, reworded=reworded)
    return bool(found) and same_wish(asked, kept, reworded=reworded)


def pairs_of(scenes: list[Scene], rng: random.Random) -> dict[str, list[tuple[str, str]]]:
    """Return pairs of sentences; those of one changed scene differ in what was changed alone."""
    found: dict[str, list[tuple[str, str]]] = {
        name: [] for name in ("reworded", "changed", "turned", "unlike")
    }
    for scene in scenes:
        found["reworded"].append((describe(scene, rng), describe(scene, rng)))
        ground = rng.choice([name for name in BACKGROUNDS if name != scene.background])
        thing = rng.choice([c.name for c in CONCEPTS if c.name not in scene.concepts])
        changed = [
            ("changed", dataclasses.replace(scene, background=ground)),
            ("changed", dataclasses.replace(scene, concepts=(thing, *scene.concepts[1:]))),
        ]
        if scene.layout in TURNED:
            turned = dataclasses.replace(scene, layout=TURNED[scene.layout])  # type: ignore[arg-type]
            changed.append(("turned", turned))
        for kind, other in changed:
            seed = rng.random()
            found[kind].append(
                (describe(scene, random.Random(seed)), describe(other, random.Random(seed)))
            )
        found["unlike"].append((describe(scene, rng), describe(rng.choice(scenes), rng)))
    found["changed"] += found["turned"]
    # Captions leave things out: two scenes may have the very same sentence, which is no other wish.
    return {name: [(a, b) for a, b in pairs if a != b] for name, pairs in found.items()}


def retyped(prompt: str) -> str:
    """Return the prompt as somebody types it again: another case, article and full stop."""
    words = prompt.capitalize().split()
    return " ".join({"a": "the", "an": "the"}.get(word, word) for word in words) + "."


def cosine(index: PromptIndex, one: str, other: str) -> float:
    vectors = index._embed([one, other])  # noqa: SLF001
    return float(vectors[0] @ vectors[1])


def share(column: Iterable[bool]) -> str:
    listed = list(column)
    return f"{100 * sum(listed) / len(listed):.1f} %"


def latency(home: Path, count: int) -> list[str]:
    """Make pictures through the whole pipeline, and ask for them again."""
    rng = random.Random(3)
    prompts = list(dict.fromkeys(describe(scene, rng) for scene in scenes_of(3, 3 * count)))[:count]
    settings = Settings(home=home, prompt_index=True, cached_answers="reworded")
    rows: dict[str, list[tuple[float, float]]] = {}

    async def ask(name: str, pipeline: Pipeline, prompt: str) -> None:
        wall, cpu = time.perf_counter(), time.process_time()
        released = await pipeline.generate(GenerationRequest(prompt=prompt))
        spent = 1000 * (time.perf_counter() - wall), 1000 * (time.process_time() - cpu)
        assert (released.repeats is None) == (name == "made"), (name, prompt)
        pipeline.parts.answer_cache.later.drain(60)
        rows.setdefault(name, []).append(spent)

    async def run(pipeline: Pipeline) -> None:
        await pipeline.generate(GenerationRequest(prompt="the first of all", fresh=True))
        for prompt in prompts:
            await ask("made", pipeline, prompt)
        for prompt in prompts:
            await ask("again, word for word", pipeline, prompt)
            await ask("again, retyped", pipeline, retyped(prompt))

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with Pipeline.from_settings(settings) as pipeline:
            pipeline.parts.open_all()
            info = pipeline.parts.generator.info
            asyncio.run(run(pipeline))
    lines = [
        "",
        f"One picture of the model `{info.id}` ({info.default_steps} steps,"
        f" {info.default_size[0]}x{info.default_size[1]}) through the whole pipeline, median of"
        f" {len(prompts)}; an answer from the past is judged and logged like any other:",
        "",
        "| | wall ms | CPU ms |",
        "|---|---|---|",
    ]
    for name, spent in rows.items():
        wall, cpu = (statistics.median(column) for column in zip(*spent, strict=True))
        lines.append(f"| {name} | {wall:.0f} | {cpu:.0f} |")
    return lines


if __name__ == "__main__":
    main()

"""How long the exact lookup of one PDQ hash takes, beside faiss and brute force.

``python -m benchmarks.hashes [--write] [SIZE ...]`` (default 100000 1000000 10000000; the last
takes minutes to build and about 3 GB with the peers). Half the queries are listed hashes with up
to 31 flipped bits, half are on no list; every answer that is checked is compared with brute force.
``pip install faiss-cpu`` gives the peers: they are left out, and named as left out, without it.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.report import write_section
from chopmark.safety.hashes.index import HammingIndex

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from numpy.typing import NDArray

QUERIES = 400
CHECKED = 40
HEAD = (
    "| hashes | lookup | build s | MB | wall ms, median / p99 | CPU ms, median / p99 | exact |\n"
    "|---|---|---|---|---|---|---|"
)


class _Times:
    def __init__(self) -> None:
        self.wall: list[float] = []
        self.cpu: list[float] = []

    def of(self, work: Callable[..., Any], *given: object) -> Any:
        wall, cpu = time.perf_counter(), time.thread_time()
        made = work(*given)
        self.cpu.append(time.thread_time() - cpu)
        self.wall.append(time.perf_counter() - wall)
        return made

    def __str__(self) -> str:
        return " | ".join(
            f"{np.median(times) * 1000:.2f} / {np.percentile(times, 99) * 1000:.2f}"
            for times in (self.wall, self.cpu)
        )


def _queries(rows: NDArray[np.uint8], dice: np.random.Generator) -> Iterator[NDArray[np.uint8]]:
    for at in range(QUERIES):
        bits = np.unpackbits(rows[dice.integers(len(rows))])
        flips = int(dice.integers(0, 32)) if at % 2 else 128
        bits[dice.choice(256, flips, replace=False)] ^= 1
        yield np.packbits(bits)


def _faiss(
    rows: NDArray[np.uint8], queries: Sequence[NDArray[np.uint8]], truth: Sequence[set[int]]
) -> Iterator[str]:
    import faiss  # type: ignore[import-not-found,unused-ignore]

    faiss.omp_set_num_threads(1)
    flat = faiss.IndexBinaryFlat(256)
    hashed = faiss.IndexBinaryMultiHash(256, 16, 16)
    hashed.nflip = 1
    for name, index, count in (
        ("faiss IndexBinaryFlat", flat, CHECKED),
        ("faiss IndexBinaryMultiHash 16x16, nflip 1", hashed, QUERIES),
    ):
        begun = time.perf_counter()
        index.add(rows)
        built = time.perf_counter() - begun
        times, same = _Times(), 0
        for at, query in enumerate(queries[:count]):
            limits, _, found = times.of(index.range_search, query[None], 32)
            if at < CHECKED:
                same += set(found[limits[0] : limits[1]].tolist()) == truth[at]
        yield f"| {len(rows):,} | {name} | {built:.1f} | - | {times} | {same} of {CHECKED} |"
        index.reset()


def _brute(words: NDArray[np.uint64], query: NDArray[np.uint64]) -> NDArray[np.int64]:
    distances: NDArray[np.int64] = np.bitwise_count(words ^ query).sum(axis=1)
    return distances


def measure(size: int) -> Iterator[str]:
    """Yield the table's rows for one size."""
    dice = np.random.default_rng(size)
    rows = dice.integers(0, 256, (size, 32), dtype=np.uint8)
    queries = list(_queries(rows, dice))
    begun = time.perf_counter()
    built = HammingIndex.build(rows)
    seconds = time.perf_counter() - begun
    with tempfile.TemporaryDirectory() as folder:
        # As in use: saved, and mapped into memory.
        built.save(Path(folder))
        megabytes = built.nbytes / 1e6
        del built
        index = HammingIndex.open(Path(folder))
        for query in queries:  # warm the pages, as a server that runs has
            index.search(query)
        ours = _Times()
        found = [set(ours.of(index.search, query)[0].tolist()) for query in queries]
    words = rows.view(np.uint64)
    plain = _Times()
    truth: list[set[int]] = []
    for query in queries[:CHECKED]:
        distances = plain.of(_brute, words, query.view(np.uint64))
        truth.append(set(np.flatnonzero(distances <= 31).tolist()))
    same = sum(a == b for a, b in zip(truth, found, strict=False))
    yield (
        f"| {size:,} | **Chopmark** | {seconds:.1f} | {megabytes:.0f} | {ours} "
        f"| {same} of {CHECKED} |"
    )
    yield f"| {size:,} | numpy, brute force | - | {rows.nbytes / 1e6:.0f} | {plain} | all |"
    if find_spec("faiss") is None:
        yield f"| {size:,} | faiss: not installed | - | - | - | - | - |"
    else:
        yield from _faiss(rows, queries, truth)


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("sizes", type=int, nargs="*", default=[100_000, 1_000_000, 10_000_000])
    parser.add_argument("--write", action="store_true", help="write docs/benchmarks.md")
    options = parser.parse_args()
    said = [HEAD]
    print(HEAD, flush=True)
    for size in options.sizes:
        for row in measure(size):
            said.append(row)
            print(row, flush=True)
    if options.write:
        sizes = " ".join(map(str, options.sizes))
        write_section(
            "hashes", "\n".join(said), command=f"python -m benchmarks.hashes {sizes} --write"
        )


if __name__ == "__main__":
    main()

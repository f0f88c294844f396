"""How long the exact lookup of one PDQ hash takes, beside brute force over the same hashes.

``python -m benchmarks.hashes [SIZE ...]`` (default 100000 1000000; 10000000 takes minutes to build
and about 1 GB). Half the queries are listed hashes with up to 31 flipped bits, half are on no list;
every answer is compared with brute force. Where ``faiss`` is installed its exact binary index is
timed too.
"""

from __future__ import annotations

import sys
import time
from importlib.util import find_spec

import numpy as np

from chopmark.safety.hashes.index import HammingIndex

QUERIES = 200
CHECKED = 40


def _ms(times: list[float]) -> str:
    return f"{np.median(times) * 1000:.2f} / {np.percentile(times, 99) * 1000:.2f}"


def main(sizes: list[int]) -> None:
    print("| hashes | build s | MB | index ms (median / p99) | brute force ms | faiss ms | exact |")
    print("|---|---|---|---|---|---|---|")
    for size in sizes:
        dice = np.random.default_rng(size)
        rows = dice.integers(0, 256, (size, 32), dtype=np.uint8)
        begun = time.perf_counter()
        index = HammingIndex.build(rows)
        built = time.perf_counter() - begun
        queries = []
        for at in range(QUERIES):
            bits = np.unpackbits(rows[dice.integers(size)])
            flips = int(dice.integers(0, 32)) if at % 2 else 128
            bits[dice.choice(256, flips, replace=False)] ^= 1
            queries.append(np.packbits(bits))
        spent, found = [], []
        for query in queries:
            begun = time.perf_counter()
            found.append(set(index.search(query)[0].tolist()))
            spent.append(time.perf_counter() - begun)
        words = rows.view(np.uint64)
        plain, same = [], 0
        for query, hits in zip(queries[:CHECKED], found, strict=False):
            begun = time.perf_counter()
            distances = np.bitwise_count(words ^ query.view(np.uint64)).sum(axis=1)
            near = set(np.flatnonzero(distances <= 31).tolist())
            plain.append(time.perf_counter() - begun)
            same += near == hits
        peer = "not installed"
        if find_spec("faiss") is not None:
            import faiss  # type: ignore[import-not-found,unused-ignore]

            faiss.omp_set_num_threads(1)
            flat = faiss.IndexBinaryFlat(256)
            flat.add(rows)
            taken = []
            for query in queries[:CHECKED]:
                begun = time.perf_counter()
                flat.range_search(query[None], 32)
                taken.append(time.perf_counter() - begun)
            peer = _ms(taken)
        print(
            f"| {size:,} | {built:.1f} | {index.nbytes / 1e6:.0f} | {_ms(spent)} | {_ms(plain)} "
            f"| {peer} | {same} of {CHECKED} |",
            flush=True,
        )


if __name__ == "__main__":
    main([int(size) for size in sys.argv[1:]] or [100_000, 1_000_000])

"""What each kind of file costs: opened, its metadata read, and verified with nothing found."""

from __future__ import annotations

import statistics
import time
from functools import partial
from typing import TYPE_CHECKING, Any

from chopmark.kit.pictures import read_picture
from chopmark.provenance import load_anchors, verify
from chopmark.provenance.metadata import read_metadata
from tests.support.picture_files import same_picture

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from PIL import Image

__all__ = ["kinds"]


def kinds(home: Path, picture: Image.Image, *, rounds: int) -> str:
    """Return a table: milliseconds of CPU for each kind of file.

    Args:
        home: Where trust anchors are.
        picture: What the files show.
        rounds: Each figure is the median of so many.
    """
    anchors = load_anchors(home)
    rows = [
        "### Kinds of files",
        "",
        f"A drawn picture of {picture.width} pixels in each kind, not ours and without a manifest; "
        f"milliseconds of CPU, median of {rounds}. *Verified*: without the search for a watermark.",
        "",
        "| kind | kB | opened | what can be seen | metadata | verified |",
        "|---|---|---|---|---|---|",
    ]
    for name, data in same_picture(picture).items():
        read = partial(read_picture, data, max_pixels=64_000_000)
        times = [
            _median(read, rounds),
            _median(lambda read=read: list(read().views()), rounds),  # type: ignore[misc]
            _median(partial(read_metadata, data), rounds),
            _median(partial(verify, data, anchors=anchors), rounds),
        ]
        shown = " | ".join(f"{one:.1f}" for one in times)
        rows.append(f"| {name} | {len(data) // 1000:,} | {shown} |")
    return "\n".join(rows)


def _median(work: Callable[[], Any], rounds: int) -> float:
    taken = []
    for _ in range(rounds):
        began = time.process_time()
        work()
        taken.append(1000 * (time.process_time() - began))
    return statistics.median(taken)

"""A generator that takes its time and no CPU, as a plugin: ``CHOPMARK_MODEL=timed``.

It draws a disc, one picture after the other, each ``CHOPMARK_BENCH_PICTURE_S`` seconds long. What
is measured with it is everything but the generator.
"""

from __future__ import annotations

import os
import threading
import time
from typing import TYPE_CHECKING, Any

from chopmark.plugins import hookimpl

if TYPE_CHECKING:
    from pathlib import Path

    from chopmark.settings import Settings

__all__ = ["chopmark_generator", "install"]


def _generator() -> Any:
    from tests.support.generator import StandIn

    class Timed(StandIn):
        """Takes its turn, as a GPU does."""

        turn = threading.Lock()

        def generate(self, job: Any, *, cancelled: Any = None, **options: Any) -> Any:
            with self.turn:
                left = job.n * float(os.environ.get("CHOPMARK_BENCH_PICTURE_S", "2"))
                end = time.monotonic() + left
                while time.monotonic() < end and not (cancelled and cancelled()):
                    time.sleep(0.02)
                return super().generate(job, cancelled=cancelled, **options)

    return Timed(id="timed", default_size=(256, 256), default_steps=1)


@hookimpl
def chopmark_generator(settings: Settings) -> Any:
    """Return it where it is asked for by name."""
    return _generator() if settings.model == "timed" else None


def install(folder: Path) -> None:
    """Write a package's description below ``folder``, which is to stand on ``PYTHONPATH``."""
    about = folder / "chopmark_timed-1.dist-info"
    about.mkdir(parents=True)
    (about / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: chopmark-timed\nVersion: 1\n", encoding="utf-8"
    )
    (about / "entry_points.txt").write_text(
        "[chopmark]\ntimed = benchmarks.timed_generator\n", encoding="utf-8"
    )

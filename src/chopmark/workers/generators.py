"""One generator for each of several GPUs, behind one: a job goes where the fewest are under way."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from chopmark.workers.generator_process import GeneratorProcess

if TYPE_CHECKING:
    from collections.abc import Callable

    from PIL import Image

    from chopmark.generation import Draft, GenerationJob
    from chopmark.generation.interface import ModelInfo
    from chopmark.kit.types import Progress
    from chopmark.settings import Settings

__all__ = ["Generators", "generator_elsewhere"]


class Generators:
    """A :class:`~chopmark.generation.Generator` over several processes of the same model."""

    def __init__(self, processes: list[GeneratorProcess]) -> None:
        self._processes = processes

    @property
    def info(self) -> ModelInfo:
        """What is known about the model."""
        return self._processes[0].info

    @property
    def waiting(self) -> int:
        """Jobs that are under way."""
        return sum(one.waiting for one in self._processes)

    @property
    def pids(self) -> list[int]:
        """The processes that run."""
        return [pid for one in self._processes if (pid := one.pid) is not None]

    def warm_up(self) -> None:
        """Make a first picture on each, all at once."""
        with ThreadPoolExecutor(len(self._processes)) as threads:
            list(threads.map(GeneratorProcess.warm_up, self._processes))

    def generate(
        self,
        job: GenerationJob,
        *,
        progress: Callable[[int, int], None] | None = None,
        cancelled: Callable[[], bool] | None = None,
        draft: Callable[[Draft], None] | None = None,
    ) -> list[Image.Image]:
        """Make the pictures of ``job``; see :meth:`chopmark.generation.Generator.generate`."""
        least = min(self._processes, key=lambda one: one.waiting)
        return least.generate(job, progress=progress, cancelled=cancelled, draft=draft)

    def close(self) -> None:
        """End the processes. Idempotent."""
        for one in self._processes:
            one.close()


def generator_elsewhere(
    settings: Settings, *, threads: int = 0, progress: Progress | None = None
) -> Generators:
    """Return the generator that the settings name, in a process for each device that they name."""
    devices = [part.strip() for part in settings.device.split(",") if part.strip()]
    return Generators(
        [
            GeneratorProcess(
                settings.model_copy(update={"device": device}), threads=threads, progress=progress
            )
            for device in devices or ["auto"]
        ]
    )

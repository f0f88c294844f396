"""The worker processes that one pipeline has, by its settings."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from chopmark.pipeline.worker_values import FILE_VALUES, TEXT_VALUES
from chopmark.workers import LocalEngine, Manner, PoolPlan

if TYPE_CHECKING:
    from chopmark.plugins import Plugins
    from chopmark.settings import Settings
    from chopmark.workers import PoolName

__all__ = ["engine_of", "held_while_reading", "judges_texts_with_keys", "open_engine"]

#: Files that a process parses for its tenant before it is replaced; leaks go with it.
_MOST_FILES: Final = 50
_MOST_JOBS: Final = 2_000


def open_engine(settings: Settings, plugins: Plugins) -> LocalEngine:
    """Return the engine, which has begun to load its pools.

    Args:
        settings: ``workers`` says how many of each kind.
        plugins: Whether any of them judges words.
    """
    engine = LocalEngine(_plans(settings, plugins))
    engine.start()
    return engine


def engine_of(settings: Settings) -> LocalEngine:
    """Return the engine of a machine of a cluster; see :mod:`chopmark.workers.ray_app`."""
    from chopmark.plugins.builtin import all_plugins

    return open_engine(settings, all_plugins(others=settings.plugins))


def held_while_reading(settings: Settings, plugins: Plugins) -> tuple[str, ...]:
    """Start one process that reads files; return what it gave up (``workers.sandbox``)."""
    engine = LocalEngine({"files": replace(_plans(settings, plugins)["files"], places=1)})
    try:
        return engine.ready()["files"]
    finally:
        engine.close()


def _plans(settings: Settings, plugins: Plugins) -> dict[PoolName, PoolPlan]:
    places = settings.workers or 1
    with_keys = judges_texts_with_keys(settings, plugins)
    confined = Manner(trusted=False, most_answer_mb=_megabytes(settings))
    plans: dict[PoolName, PoolPlan] = {
        "files": PoolPlan(
            name="files",
            module="chopmark.pipeline.file_jobs",
            classes=FILE_VALUES,
            manner=confined,
            places=places,
            most_jobs=_MOST_FILES,
            one_tenant=True,
        ),
        "trusted": PoolPlan(
            name="trusted",
            module="chopmark.pipeline.trusted_jobs",
            value=(settings, with_keys),
            manner=Manner(trusted=True, most_answer_mb=4096),
            places=places,
            most_jobs=_MOST_JOBS,
        ),
    }
    if not with_keys:
        plans["texts"] = PoolPlan(
            name="texts",
            module="chopmark.pipeline.text_jobs",
            classes=TEXT_VALUES,
            manner=confined,
            places=places,
            most_jobs=_MOST_JOBS,
        )
    return plans


def judges_texts_with_keys(settings: Settings, plugins: Plugins) -> bool:
    """Tell whether words are judged where the keys are: others' guards may need a network."""
    others = any("chopmark_prompt_guard" in plugin.hooks for plugin in plugins.loaded)
    return others or settings.guard_model is not None


def _megabytes(settings: Settings) -> int:
    """Return the room for the pixels of the largest picture, four bytes each, in MiB."""
    return 4 * settings.max_image_pixels // 2**20 + settings.max_image_bytes // 2**20 + 16

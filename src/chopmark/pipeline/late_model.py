"""A generator that is loaded when it is first asked for a picture, for commands that run once.

What a loaded model says of itself (:class:`~chopmark.generation.ModelInfo`) is noted in the home.
The next command knows by that note what the request is checked and booked with, and loads the model
only for a request that the policy let pass. A model that turns out to be another one than the note
says makes no picture: the record names the old one.
"""

from __future__ import annotations

import hashlib
import json
import logging
import threading
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any, Final

from chopmark.errors import ChopmarkError, ModelLoadError
from chopmark.generation.interface import ModelInfo
from chopmark.kit.files import write_private
from chopmark.settings.generation import GenerationSettings

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from PIL import Image

    from chopmark.generation import Draft, GenerationJob, Generator
    from chopmark.kit.types import Progress
    from chopmark.pipeline.parts import Parts

__all__ = ["LateGenerator", "late_generator"]

_LOG = logging.getLogger(__name__)
_SETS: Final = ("supports", "ignores")


def late_generator(parts: Parts, progress: Progress | None = None) -> Generator:
    """Return the generator of the settings, loaded at the first picture where it is known already.

    The first time, and where the note is unreadable, it is loaded now and the note is written.

    Args:
        parts: With settings and home; its own ``generator`` is not opened.
        progress: Told that the model is loaded.

    Raises:
        ChopmarkError: The generator cannot be opened.
    """
    note = _note_of(parts)

    def load() -> Generator:
        if progress is not None:
            progress(0, 0, "loading the model")
        return parts.plugins.generator(parts.settings, parts.progress)

    known = _read(note)
    if known is not None:
        return LateGenerator(load, known, note)
    generator = load()
    _write(note, generator.info)
    return generator


class LateGenerator:
    """A :class:`~chopmark.generation.Generator` that is loaded when it is first used.

    Args:
        load: Opens it.
        known: What it said of itself when it was last loaded.
        note: File in which that stands.
    """

    def __init__(self, load: Callable[[], Generator], known: ModelInfo, note: Path) -> None:
        self._load, self._known, self._note = load, known, note
        self._lock = threading.Lock()
        self._loaded: Generator | None = None

    @property
    def info(self) -> ModelInfo:
        """What is known about the model; before it is loaded without the words it was taught."""
        return self._known if self._loaded is None else self._loaded.info

    def generate(
        self,
        job: GenerationJob,
        *,
        progress: Callable[[int, int], None] | None = None,
        cancelled: Callable[[], bool] | None = None,
        draft: Callable[[Draft], None] | None = None,
    ) -> list[Image.Image]:
        """Make the pictures of ``job``; see :meth:`chopmark.generation.Generator.generate`.

        Raises:
            ModelLoadError: It is not the model that the record names; the next request finds it.
        """
        with self._lock:
            if self._loaded is None:
                generator = self._load()
                if _booked(generator.info) != _booked(self._known):
                    _write(self._note, generator.info)
                    raise ModelLoadError(
                        f"model {self._known.id} is not what it was when it was last loaded, and"
                        " this request was booked with what it was then",
                        hint="ask again: what it is now is known by now",
                    )
                self._loaded = generator
        return self._loaded.generate(job, progress=progress, cancelled=cancelled, draft=draft)

    def close(self) -> None:
        """Close what was loaded, if it can be closed. Idempotent."""
        loaded: Any = self._loaded
        if loaded is not None and hasattr(loaded, "close"):
            loaded.close()


def _note_of(parts: Parts) -> Path:
    """Return the file that speaks of this model with these settings in this version."""
    from chopmark import __version__

    names = sorted(GenerationSettings.model_fields)
    shaped_by = {name: str(getattr(parts.settings, name)) for name in names}
    by = [f"{one.name} {one.distribution}" for one in parts.plugins.loaded]
    key = json.dumps([__version__, shaped_by, by], sort_keys=True)
    return parts.home / "models" / f"known-{hashlib.sha256(key.encode()).hexdigest()[:16]}.json"


def _bare(info: ModelInfo) -> ModelInfo:
    """Return it as a note holds it: the words of a small model are read with the model."""
    return replace(info, taught=None)


def _booked(info: ModelInfo) -> ModelInfo:
    """Return what a request was checked and booked with: not how the weights lie in memory."""
    return replace(_bare(info), quantization="")


def _write(note: Path, info: ModelInfo) -> None:
    facts = asdict(_bare(info))
    facts |= {name: sorted(facts[name]) for name in _SETS}
    try:
        write_private(note, json.dumps(facts, sort_keys=True).encode())
    except ChopmarkError as error:  # the next command loads the model first, as this one did
        _LOG.debug("what the model is could not be noted: %s", error)


def _read(note: Path) -> ModelInfo | None:
    try:
        facts: Any = json.loads(note.read_bytes())
        facts |= {name: frozenset(facts[name]) for name in _SETS}
        return ModelInfo(**{**facts, "default_size": tuple(facts["default_size"])})
    except (OSError, ValueError, TypeError, KeyError):
        return None

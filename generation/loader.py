"""From a model's name to a loaded generator."""

from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import TYPE_CHECKING

from chopmark.generation.batches import BatchingGenerator
from chopmark.generation.diffusers_engine import DiffusersGenerator
from chopmark.generation.embedded import materialize
from chopmark.generation.memory import keep_freed_memory
from chopmark.generation.options import LoadOptions
from chopmark.generation.remote import RemoteGenerator
from chopmark.generation.remote_wire import PREFIX as REMOTE
from chopmark.generation.remote_wire import RemoteOptions

if TYPE_CHECKING:
    from collections.abc import Callable

    from chopmark.generation.interface import Generator
_LOG = logging.getLogger(__name__)


def load_generator(
    model: str = "embedded",
    *,
    home: Path,
    progress: Callable[[int, int], None] | None = None,
    options: LoadOptions | None = None,
    remote: RemoteOptions | None = None,
) -> Generator:
    """Load a generator by name; concurrent jobs share its calls.

    Args:
        model: ``embedded``, the path of a folder that diffusers wrote, ``hf:org/name``, or
            ``remote:https://host/v1#model`` for a server with OpenAI's Images API.
        home: Chopmark's state folder, where the embedded model is unpacked on first use.
        progress: told of the unpacking: parts done, parts in all.
        options: device, dtype, quantization, batches and limits.
        remote: key and limits for a ``remote:`` model.

    Raises:
        ModelNotFound: there is no such model here, and the hub cannot be reached.
        ModelLoadError: it is there and does not load.
        InvalidRequest: an option cannot work here.
    """
    options = options or LoadOptions()
    if model.startswith(REMOTE):
        _LOG.debug("pictures are made by %s", model)
        return RemoteGenerator.connect(model, options=remote)
    if options.torch_device == "cpu" and not options.memory_limit_mb:
        keep_freed_memory()
    if options.runtime == "compile":
        # What was compiled once is found again by the next process.
        os.environ.setdefault("TORCHINDUCTOR_CACHE_DIR", str(Path(home) / "compiled"))
    if model == "embedded":
        folder = materialize(Path(home), progress=progress)
        engine = DiffusersGenerator.load(folder, name="embedded", options=options)
    else:
        engine = DiffusersGenerator.load(model, options=options)
    info = engine.info
    _LOG.debug(
        "model %s %s loaded as %s on %s, %s; SHA-256 %s",
        info.id, info.version, options.runtime, options.device, info.quantization, info.digest[:12],
    )  # fmt: skip
    return BatchingGenerator(engine, max_waiting=options.max_waiting)

"""From a model's name to a loaded generator."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from chopmark.generation.diffusers_engine import DiffusersGenerator
from chopmark.generation.embedded import materialize

if TYPE_CHECKING:
    from collections.abc import Callable

    from chopmark.generation.interface import Generator, Quantization


def load_generator(
    model: str = "embedded",
    *,
    home: Path,
    progress: Callable[[int, int], None] | None = None,
    quantization: Quantization = "auto",
) -> Generator:
    """Load a generator by name.

    Args:
        model: ``embedded``, the path of a folder that diffusers wrote, or ``hf:org/name``.
        home: Chopmark's state folder, where the embedded model is unpacked on first use.
        progress: told of the unpacking: parts done, parts in all.
        quantization: ``int8`` stores the linear layers of the denoiser and the text encoder in
            eight bits; ``auto`` does so where it was measured to pay, see
            :class:`~chopmark.generation.DiffusersGenerator`.

    Raises:
        ModelNotFound: there is no such model here, and the hub cannot be reached.
        ModelLoadError: it is there and does not load.
    """
    if model == "embedded":
        folder = materialize(Path(home), progress=progress)
        return DiffusersGenerator.load(folder, name="embedded", quantization=quantization)
    return DiffusersGenerator.load(model, quantization=quantization)

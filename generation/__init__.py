"""Makes pictures: one loading path for the embedded model, local folders and Hugging Face ids.

>>> from chopmark.generation import GenerationJob
>>> job = GenerationJob(prompt="a red apple", n=2, seed=7, width=512, height=512)
>>> job.seeds
(7, 8)

A generator is loaded once and then asked for pictures, from any thread::

    generator = load_generator("embedded", home=Path("~/.local/share/chopmark").expanduser())
    pictures = generator.generate(job)  # two RGB pictures of 512 by 512 pixels

Importing this package does not import torch; loading a generator does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from chopmark.generation.interface import Draft, GenerationJob, Generator, ModelInfo, batch_size
from chopmark.generation.options import LoadOptions
from chopmark.kit.door import lazy_door

if TYPE_CHECKING:
    from chopmark.generation.diffusers_engine import DiffusersGenerator
    from chopmark.generation.loader import load_generator
    from chopmark.generation.remote import RemoteGenerator
    from chopmark.generation.remote_wire import RemoteOptions

__all__ = [
    "DiffusersGenerator",
    "Draft",
    "GenerationJob",
    "Generator",
    "LoadOptions",
    "ModelInfo",
    "RemoteGenerator",
    "RemoteOptions",
    "batch_size",
    "load_generator",
]

__getattr__, __dir__ = lazy_door(
    __name__,
    {
        "DiffusersGenerator": "diffusers_engine",
        "RemoteGenerator": "remote",
        "RemoteOptions": "remote_wire",
        "load_generator": "loader",
    },
)

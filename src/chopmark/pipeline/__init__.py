"""The one way through: from a request to a receipt, in seven steps; ``pipeline.py`` tells them.

>>> from chopmark import GenerationRequest, Pipeline, Settings
>>> with Pipeline.from_settings(Settings()) as pipeline:  # doctest: +SKIP
...     released = asyncio.run(pipeline.generate(GenerationRequest(prompt="a red apple", seed=7)))
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from chopmark.kit.door import lazy_door

if TYPE_CHECKING:
    from chopmark.pipeline.parts import Parts
    from chopmark.pipeline.pipeline import Pipeline
    from chopmark.pipeline.released import Output, Refused, Released, Withheld
    from chopmark.pipeline.request import EditRequest, GenerationRequest, SealRequest

__all__ = [
    "EditRequest",
    "GenerationRequest",
    "Output",
    "Parts",
    "Pipeline",
    "Refused",
    "Released",
    "SealRequest",
    "Withheld",
]

__getattr__, __dir__ = lazy_door(
    __name__,
    {
        "EditRequest": "request",
        "GenerationRequest": "request",
        "Output": "released",
        "Pipeline": "pipeline",
        "Refused": "released",
        "Released": "released",
        "Parts": "parts",
        "SealRequest": "request",
        "Withheld": "released",
    },
)

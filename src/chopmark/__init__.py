"""Chopmark makes generated pictures accountable: judged, watermarked, signed and booked.

>>> from chopmark import GenerationRequest, Settings
>>> GenerationRequest(prompt="a red apple", n=2, seed=7).prompt
'a red apple'
>>> Settings().model
'embedded'

``Pipeline.from_settings(Settings())`` then takes the request; see ``chopmark.pipeline``.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from chopmark.kit.door import lazy_door

if TYPE_CHECKING:
    from chopmark.pipeline import Pipeline
    from chopmark.pipeline.released import Refused, Released
    from chopmark.pipeline.request import EditRequest, GenerationRequest, SealRequest
    from chopmark.settings import Settings

__version__ = "0.1.0"
__all__ = [
    "EditRequest",
    "GenerationRequest",
    "Pipeline",
    "Refused",
    "Released",
    "SealRequest",
    "Settings",
]

# A library writes to no stream by itself: whoever wants the lines of `chopmark.*` takes them.
logging.getLogger(__name__).addHandler(logging.NullHandler())

__getattr__, __dir__ = lazy_door(
    __name__,
    {
        "EditRequest": "pipeline",
        "GenerationRequest": "pipeline",
        "Pipeline": "pipeline",
        "Refused": "pipeline",
        "Released": "pipeline",
        "SealRequest": "pipeline",
        "Settings": "settings",
    },
)

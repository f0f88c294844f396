"""Sensible defaults of models that teams run, where neither files nor pipeline classes say them.

A distilled model asked for fifty steps with guidance gives worse pictures at ten times the cost,
and diffusers' signatures know nothing of distillation. A ``chopmark.json`` beside the weights wins
over this table.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, kw_only=True)
class Defaults:
    """What a model's card recommends.

    Attributes:
        steps: denoising steps.
        guidance: guidance scale.
        size: native side in pixels; 0 leaves it to the pipeline.
    """

    steps: int
    guidance: float
    size: int = 0


#: By a part of the model's name; the first that fits. Sources: the models' cards on the hub.
_KNOWN: Final[tuple[tuple[str, Defaults], ...]] = (
    (r"flux\.?-?2.*klein", Defaults(steps=4, guidance=1.0, size=1024)),
    (r"flux\.?1?-?schnell", Defaults(steps=4, guidance=0.0, size=1024)),
    (r"sana.?sprint", Defaults(steps=2, guidance=4.5, size=1024)),
    (r"sdxl.?turbo|sd.?turbo", Defaults(steps=4, guidance=0.0, size=512)),
    (r"z.?image.?turbo", Defaults(steps=9, guidance=0.0, size=1024)),
    (r"lightning", Defaults(steps=4, guidance=0.0)),
    (r"z.?image", Defaults(steps=50, guidance=4.0, size=1024)),
)


def known_defaults(name: str) -> Defaults | None:
    """Return what is known of a model by its id or its folder's name.

    >>> known_defaults("hf:black-forest-labs/FLUX.1-schnell").steps
    4
    """
    last = name.removeprefix("hf:").rstrip("/").rpartition("/")[2].lower()
    return next((found for pattern, found in _KNOWN if re.search(pattern, last)), None)

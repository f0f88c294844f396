"""What a public detector says, in steps: a number that follows each change is a guide to removal.

Whoever wants to take a mark out of a picture changes it a little, asks, and keeps what made the
number worse. With steps there is nothing to follow between them.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from chopmark.provenance.report import FINGERPRINT_BITS, STEPS
from chopmark.provenance.watermark import P_DETECT

if TYPE_CHECKING:
    from chopmark.provenance.report import Recovered, WatermarkFinding

__all__ = ["stepped_distance", "stepped_mark"]


def stepped_mark(found: WatermarkFinding) -> WatermarkFinding:
    """Return a finding whose ``p_value`` is the bar that a mark has to pass, or 1."""
    bar = P_DETECT if found.state == "detected" else 1.0
    return dataclasses.replace(found, p_value=bar)


def stepped_distance(found: Recovered | None) -> Recovered | None:
    """Return what was recovered with a distance that is one of a few, never less than it is."""
    if found is None or found.distance is None:
        return found
    step = next((each for each in STEPS if each >= found.distance), FINGERPRINT_BITS)
    return dataclasses.replace(found, distance=step)

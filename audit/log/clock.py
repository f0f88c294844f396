"""The time that entries carry, and how a step of the machine's clock is noticed."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from chopmark.errors import InvalidRequest

__all__ = ["FOREVER", "Clock", "moment", "now"]

FOREVER: Final = "9999-12-31T23:59:59.999999Z"
"""After every other time; stored where something has no end, so that SQL compares it as well."""
_ALLOWED_NS: Final = 2_000_000_000


def now(shift_s: float = 0.0) -> str:
    """Return the time, ``shift_s`` from now, as RFC 3339 in UTC; microseconds, always as long."""
    return _text(datetime.now(tz=UTC) + timedelta(seconds=shift_s))


def moment(text: str) -> str:
    """Return a time that a person gave in the one form that :func:`now` gives.

    Raises:
        InvalidRequest: Not RFC 3339, or without a zone.
    """
    try:
        time_of_day = datetime.fromisoformat(text)
    except ValueError:
        raise InvalidRequest(f"{text!r} is not a time", hint="RFC 3339, with Z or offset") from None
    if time_of_day.tzinfo is None:
        raise InvalidRequest(f"{text!r} does not say of which zone it is", hint="end it with Z")
    return _text(time_of_day.astimezone(UTC))


def _text(time_of_day: datetime) -> str:
    # Always 27 characters, because times are compared as text, in SQL too.
    return time_of_day.isoformat(timespec="microseconds")[:-6] + "Z"


class Clock:
    """Compares the wall clock with the clock that runs since the machine started."""

    def __init__(self) -> None:
        try:
            self._boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        except OSError:
            self._boot = "unknown"

    def reading(self) -> str:
        """Return boot id, wall clock and boot clock (ns), to be kept with a commit."""
        return f"{self._boot} {time.time_ns()} {time.clock_gettime_ns(time.CLOCK_BOOTTIME)}"

    def step_since(self, reading: str) -> int | None:
        """Return how far the wall clock has jumped since a reading, in ns; None when it has not.

        The allowance grows with the time that passed, because slewing (500 ppm) is no step.
        """
        boot, wall, elapsed = reading.split(" ")
        # Both at once: whatever happens between the two readings looks like a step.
        wall_now, boot_now = time.time_ns(), time.clock_gettime_ns(time.CLOCK_BOOTTIME)
        moved = wall_now - int(wall)
        if boot == self._boot:
            passed = boot_now - int(elapsed)
            step = moved - passed
            allowed = _ALLOWED_NS + passed // 1000
        else:
            # How long the machine was off, nobody knows; that time went backwards can be seen.
            step, allowed = min(moved, 0), _ALLOWED_NS
        return step if abs(step) > allowed else None

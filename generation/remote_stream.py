"""Answers of a remote generator that come in pieces, and how long it wants to be left alone.

An answer in pieces is server-sent events (WHATWG HTML, section 9.2) with the names of OpenAI's
image stream: ``*.partial_image`` on the way, ``*.completed`` at the end, ``error`` instead of it.
"""

from __future__ import annotations

import json
import re
import threading
import time
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping


class EventReader:
    """Cuts bytes as they come into events; how many may come is bounded by whoever feeds it."""

    def __init__(self) -> None:
        self._line: list[bytes] = []
        self._data: list[bytes] = []

    def feed(self, chunk: bytes) -> Iterator[dict[str, Any]]:
        """Yield each event that ``chunk`` ended and whose data is a JSON object."""
        self._line.append(chunk)
        if b"\n" not in chunk and b"\r" not in chunk:
            return  # a picture is one long line, which is put together once
        # An end of line may be CR LF, of which the second half comes with the next piece.
        *lines, rest = re.split(rb"\r\n|\n|\r(?!\Z)", b"".join(self._line))
        self._line = [rest]
        for line in lines:
            if line.startswith(b"data:"):
                self._data.append(line[5:].removeprefix(b" "))
            elif not line and self._data:
                text, self._data = b"\n".join(self._data), []
                event = _object(text)
                if event is not None:
                    yield event


def _object(text: bytes) -> dict[str, Any] | None:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):  # such as OpenAI's "[DONE]"
        return None
    return value if isinstance(value, dict) else None


def position(event: Mapping[str, Any], *, wanted: int) -> tuple[int, int]:
    """Return the step that a partial image shows and the steps in all, as far as they are known.

    Another Chopmark names them; of OpenAI's events the index alone is known.
    """
    said = event.get("provenance")
    if isinstance(said, dict):
        step, steps = said.get("step"), said.get("steps")
        if isinstance(step, int) and isinstance(steps, int) and 0 < step < steps <= 10_000:
            return step, steps
    index = event.get("partial_image_index")
    step = index + 1 if isinstance(index, int) and 0 <= index < wanted else 1
    return step, wanted + 1


def retry_after_s(headers: Mapping[str, str]) -> float | None:
    """Return the seconds that ``Retry-After`` asks for (RFC 9110, section 10.2.3), if any.

    A date is taken against the answer's own ``Date``: the other server's clock may be off.
    """
    asked = headers.get("retry-after", "").strip()
    if re.fullmatch(r"[0-9]{1,9}", asked):
        return float(asked)
    until, now = _moment(asked), _moment(headers.get("date", ""))
    if until is None:
        return None
    return max(0.0, (until - (now or datetime.now(UTC))).total_seconds())


def _moment(text: str) -> datetime | None:
    try:
        moment = parsedate_to_datetime(text)
    except (ValueError, IndexError, OverflowError):
        return None
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment


class Pause:
    """When a server may be asked again; what one request was told holds for all of them."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._until = clock()

    def leave_alone(self, seconds: float) -> None:
        """Ask nothing for so long."""
        with self._lock:
            self._until = max(self._until, self._clock() + seconds)

    def left_s(self) -> float:
        """Return for how many seconds it wants to be left alone; 0 where it may be asked."""
        with self._lock:
            return max(0.0, self._until - self._clock())

"""Waiting for what another thread or process does, where nothing announces it."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["HANG_S", "until", "until_async"]

#: Seconds after which something hangs. No machine that is merely busy gets here.
HANG_S = 120
_EVERY_S = 0.01


def until(true: Callable[[], object]) -> None:
    """Return as soon as ``true()`` is; whoever tests that a thing is *quick* needs another way."""
    end = time.monotonic() + HANG_S
    while not true():
        assert time.monotonic() < end, "it never happened"
        time.sleep(_EVERY_S)


async def until_async(true: Callable[[], object]) -> None:
    """Return as soon as ``true()`` is, while the event loop goes on."""
    end = time.monotonic() + HANG_S
    while not true():
        assert time.monotonic() < end, "it never happened"
        await asyncio.sleep(_EVERY_S)

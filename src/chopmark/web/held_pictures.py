"""Pictures that a person just made, held in memory for as long as their page may ask for them.

They were released by the pipeline, so this is no second way out; but they are that person's alone,
there is room for so many only, and after a while they are gone.
"""

from __future__ import annotations

import secrets
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from chopmark.errors import RecordNotFound

if TYPE_CHECKING:
    from collections.abc import Callable

    from chopmark.pipeline.released import Output, Released
    from chopmark.web.viewers import Viewer

__all__ = ["HeldPictures", "HeldResult", "owner"]

_SECONDS: Final = 900.0
_BYTES: Final = 128 * 2**20
_EACH: Final = 8


@dataclass(frozen=True, kw_only=True)
class HeldResult:
    """One request's pictures.

    Attributes:
        token: Names them in addresses; 128 random bits.
        owner: Whose they are.
        prompt: What was asked for.
        released: What the pipeline let out.
        until: On the clock of :class:`HeldPictures`.
    """

    token: str
    owner: str
    prompt: str
    released: Released
    until: float

    @property
    def size(self) -> int:
        """Bytes of the pictures."""
        return sum(len(output.data) for output in self.released.outputs)


class HeldPictures:
    """Holds at most 128 MiB, 8 requests a person, each for 15 minutes; the oldest go first."""

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._held: dict[str, HeldResult] = {}

    def put(self, owner: str, prompt: str, released: Released) -> HeldResult:
        """Hold pictures for a person."""
        held = HeldResult(
            token=secrets.token_urlsafe(16),
            owner=owner,
            prompt=prompt,
            released=released,
            until=self._clock() + _SECONDS,
        )
        with self._lock:
            self._held[held.token] = held
            self._drop_old(owner)
        return held

    def get(self, owner: str, token: str) -> HeldResult:
        """Return what a person had put here.

        Raises:
            RecordNotFound: It is gone, or was never theirs; it does not say which.
        """
        with self._lock:
            held = self._held.get(token)
        if held is None or held.owner != owner or held.until < self._clock():
            raise RecordNotFound(
                "these pictures are no longer held here",
                hint="they are kept for a quarter of an hour; make them again by their seed",
            )
        return held

    def output(self, owner: str, token: str, index: int) -> Output:
        """Return one picture.

        Raises:
            RecordNotFound: As :meth:`get`, or no picture of this number.
        """
        for output in self.get(owner, token).released.outputs:
            if output.index == index:
                return output
        raise RecordNotFound(f"no picture {index}")

    def drop(self, token: str) -> None:
        """Let go of one request's pictures, whoever made them."""
        with self._lock:
            self._held.pop(token, None)

    def forget(self, owner: str) -> None:
        """Let go of everything of a person."""
        with self._lock:
            for token in [t for t, held in self._held.items() if held.owner == owner]:
                del self._held[token]

    def _drop_old(self, owner: str) -> None:
        now = self._clock()
        mine = [held for held in self._held.values() if held.owner == owner]
        late = [held for held in self._held.values() if held.until < now]
        for held in (*late, *mine[:-_EACH]):
            self._held.pop(held.token, None)
        while sum(held.size for held in self._held.values()) > _BYTES and len(self._held) > 1:
            del self._held[next(iter(self._held))]


def owner(viewer: Viewer) -> str:
    """Return the name that somebody's pictures are held under."""
    return f"{viewer.caller.tenant.name}:{viewer.name}"

"""How many bytes of request bodies are held at once, and by whom.

A body costs memory from its first piece until its request is answered. What all of them may hold
together is bounded, and no caller can take it from the others: one caller has at most half, and so
have all together who brought no key.
"""

from __future__ import annotations

import random
from collections import Counter
from typing import TYPE_CHECKING, Final

from chopmark.errors import Busy
from chopmark.kit.limits import UNFINISHED

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Bodies", "HeldBody"]

_STRANGERS: Final = ""
# Bodies come and go within seconds; the spread keeps those who were refused from coming together.
_RETRY_S: Final = (1.0, 4.0)


class Bodies:
    """The bodies that one server holds; used from one event loop.

    Args:
        most: Bytes of all bodies together.
        dice: Returns a number from 0 to 1, for the spread of ``Retry-After``.
    """

    def __init__(self, most: int, *, dice: Callable[[], float] = random.random) -> None:
        self._most = most
        self._dice = dice
        self._held: Counter[str] = Counter()
        self._unfinished: Counter[str] = Counter()

    @property
    def held(self) -> int:
        """Bytes that are held now."""
        return sum(bytes_ for who, bytes_ in self._held.items() if who != _STRANGERS)

    @property
    def unfinished(self) -> int:
        """Bodies of which a part is still to come."""
        return sum(self._unfinished.values())

    def begin(self, who: str, declared: int, *, known: bool) -> HeldBody:
        """Make room for a body before anything of it is read.

        Args:
            who: The tenant, or an address.
            declared: Its length; 0 where it is not known before.
            known: Whether they brought a key or signed in.

        Raises:
            Busy: There is no room, or too many bodies of theirs are unfinished.
        """
        if self._unfinished[who] >= UNFINISHED.most:
            raise self._busy(f"{self._unfinished[who]} bodies of this caller are unfinished")
        self.take(who, declared, known=known)
        self._unfinished[who] += 1
        return HeldBody(self, who, declared, known=known)

    def take(self, who: str, more: int, *, known: bool) -> None:
        """Count ``more`` bytes for a caller.

        Raises:
            Busy: There is no room for them.
        """
        mine = self._held[who]
        # One body alone may be as large as its route allows: the share is about the next ones.
        crowded = mine > 0 and mine + more > self._most // 2
        strangers = 0 if known else self._held[_STRANGERS] + more
        if crowded or self.held + more > self._most or strangers > self._most // 2:
            raise self._busy(f"{self.held} bytes of request bodies are held already")
        self._held[who] += more
        if not known:
            self._held[_STRANGERS] += more

    def give_back(self, who: str, held: int, *, known: bool) -> None:
        """Forget bytes of a caller."""
        for name in (who,) if known else (who, _STRANGERS):
            self._held[name] -= held
            if not self._held[name]:
                del self._held[name]

    def finished(self, who: str) -> None:
        """Count one unfinished body of a caller less."""
        self._unfinished[who] -= 1
        if not self._unfinished[who]:
            del self._unfinished[who]

    def _busy(self, message: str) -> Busy:
        least, most = _RETRY_S
        return Busy(
            message,
            hint="send fewer at once, or try again in a moment",
            retry_after_s=least + (most - least) * self._dice(),
        )


class HeldBody:
    """One body; what was declared is counted before it comes, what comes beyond as it comes."""

    def __init__(self, bodies: Bodies, who: str, declared: int, *, known: bool) -> None:
        self._bodies = bodies
        self._who = who
        self._known = known
        self._counted = declared
        self._come = 0
        self._unfinished = True

    def grow(self, size: int) -> None:
        """Count a piece that came.

        Raises:
            Busy: There is no room for it.
        """
        self._come += size
        if self._come > self._counted:
            more = self._come - self._counted
            self._bodies.take(self._who, more, known=self._known)
            self._counted += more

    def complete(self) -> None:
        """Nothing more comes. Idempotent."""
        if self._unfinished:
            self._unfinished = False
            self._bodies.finished(self._who)

    def release(self) -> None:
        """Nothing of it is in memory any more. Idempotent."""
        self.complete()
        self._bodies.give_back(self._who, self._counted, known=self._known)
        self._counted = self._come = 0

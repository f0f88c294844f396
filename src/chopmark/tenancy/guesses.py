"""Wrong passwords: guessing is slowed down, and no stranger locks anybody else out by it.

Counting by name alone would let anybody close an account with ten wrong passwords. So the right
password is right, also after wrong ones from elsewhere; whoever goes on guessing is told to wait,
and only when a name has had more wrong passwords in a day than any person types is it closed to
browsers that never signed in to it (NIST SP 800-63B section 5.2.2; the browsers that did are known
by a cookie, as in OWASP's "device cookies").
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final

from chopmark.errors import RateLimited
from chopmark.tenancy.shared_state import digest_name

if TYPE_CHECKING:
    from chopmark.tenancy.shared_state import SharedState

__all__ = ["Guesses"]

#: Wrong passwords from one place within so many seconds; after these it is told to wait.
_MOST_HERE: Final = 10
_HERE_S: Final = 900.0
#: Wrong passwords for one name within a day from browsers that never signed in to it.
_MOST_A_DAY: Final = 100
_DAY_S: Final = 24 * 3600.0
_KIND: Final = "wrong-passwords"


class Guesses:
    """Counts wrong passwords. Use it from any thread.

    Args:
        state: Where they are counted.
    """

    def __init__(self, state: SharedState) -> None:
        self._state = state

    def check(self, name: str, *, device: str | None) -> None:
        """Refuse to look at a password at all.

        Args:
            name: Whose password it is said to be.
            device: Names a browser that signed in to this name before; ``None`` for any other.

        Raises:
            RateLimited: Too many wrong ones.
        """
        if device is None:
            self._refuse(f"name {name}", _MOST_A_DAY, _DAY_S)
        else:
            self._refuse(f"device {device}", _MOST_HERE, _HERE_S)

    def wrong(self, name: str, *, address: str, device: str | None) -> None:
        """Count a wrong password.

        Raises:
            RateLimited: It is one too many from there.
        """
        if device is not None:
            self._count(f"device {device}", _HERE_S)
            return
        here = f"from {address} {name}"
        try:
            self._refuse(here, _MOST_HERE, _HERE_S)
        finally:
            self._count(here, _HERE_S)
            self._count(f"name {name}", _DAY_S)

    def right(self, name: str, *, address: str, device: str | None) -> None:
        """Forget the wrong ones that somebody typed before the right one."""
        for what in (f"device {device}", f"from {address} {name}"):
            if self._state.read(_KIND, digest_name(what)) is not None:
                self._state.change(_KIND, digest_name(what), lambda _: None, keep_s=_HERE_S)

    def _refuse(self, what: str, most: int, within_s: float) -> None:
        now = self._state.clock()
        recent = _recent(self._state.read(_KIND, digest_name(what)), now - within_s)
        if len(recent) >= most:
            raise RateLimited(
                "too many wrong passwords for this name",
                hint="wait, or ask the operator for a one-time link",
                retry_after_s=recent[-most] + within_s - now,
            )

    def _count(self, what: str, within_s: float) -> None:
        now = self._state.clock()

        def counted(known: bytes | None) -> bytes:
            recent = _recent(known, now - within_s)
            return json.dumps([*recent[-_MOST_A_DAY:], now]).encode()

        self._state.change(_KIND, digest_name(what), counted, keep_s=within_s)


def _recent(known: bytes | None, since: float) -> list[float]:
    return [at for at in json.loads(known or b"[]") if at > since]

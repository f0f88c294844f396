"""Whose turn a clock is, where several servers share a database: one of them does it for all."""

from __future__ import annotations

import secrets
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from chopmark.errors import DatabaseUnavailable
from chopmark.tenancy.database_state import DatabaseState

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from chopmark.pipeline.parts import Parts
    from chopmark.tenancy.shared_state import SharedState

__all__ = ["leased", "taker"]

_KIND: Final = "clock"


class _OthersError(Exception):
    """Somebody else has it."""


@contextmanager
def leased(parts: Parts, name: str, *, lasts_s: float) -> Iterator[Callable[[], bool]]:
    """Give a function that takes or renews a lease, and tells whether it is this server's.

    Where there is no database to share, it always is. At the end the lease is given back.

    Args:
        parts: Say where the database is.
        name: Of the clock.
        lasts_s: Seconds after which another server may take it from one that is silent.

    Raises:
        ConfigurationError: The database cannot be used.
        DatabaseUnavailable: It does not answer.
    """
    if not parts.settings.database:
        yield lambda: True
        return
    state = DatabaseState.open(parts.home, database=parts.settings.database)
    take, give_back = taker(state, name, lasts_s=lasts_s)
    try:
        yield take
    finally:
        try:
            give_back()
        except DatabaseUnavailable:
            pass  # it ends by itself
        finally:
            state.close()


def taker(
    state: SharedState, name: str, *, lasts_s: float
) -> tuple[Callable[[], bool], Callable[[], object]]:
    """Return what takes or renews a lease, and what gives it back; each call makes a new holder."""
    mine = secrets.token_bytes(8)

    def only_mine(then: bytes | None) -> Callable[[bytes | None], bytes | None]:
        def change(known: bytes | None) -> bytes | None:
            if known not in {None, mine}:
                raise _OthersError
            return then

        return change

    def changed(then: bytes | None) -> bool:
        try:
            state.change(_KIND, name, only_mine(then), keep_s=lasts_s)
        except _OthersError:
            return False
        return True

    return (lambda: changed(mine)), (lambda: changed(None))

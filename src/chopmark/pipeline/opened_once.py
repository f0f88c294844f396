"""Attributes that are opened when somebody first asks for them: what ``Parts`` is made of."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING, Any, Generic, Protocol, Self, TypeVar, cast, overload

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Current", "HasParts", "Once"]

_LOG = logging.getLogger(__name__)
T = TypeVar("T")


class HasParts(Protocol):
    """What has such attributes.

    Attributes:
        lock: Held while one is opened.
        opened: Those that are open, by name.
    """

    lock: Any
    opened: dict[str, object]


class Part(Generic[T]):
    """A part of the system, opened when it is first asked for; what ``Parts.use`` put in wins."""

    def __init__(self, make: Callable[[Any], T]) -> None:
        self._make = make
        self.__doc__ = make.__doc__

    def __set_name__(self, owner: type[Any], name: str) -> None:
        self._name = name
        owner.names.append(name)

    @overload
    def __get__(self, parts: None, owner: type) -> Self: ...
    @overload
    def __get__(self, parts: HasParts, owner: type) -> T: ...
    def __get__(self, parts: HasParts | None, owner: type) -> T | Self:
        return self if parts is None else self._of(parts)

    def _of(self, parts: HasParts) -> T:
        raise NotImplementedError


class Once(Part[T]):
    """Opened once, also when two threads ask at the same time.

    ``functools.cached_property`` gives no such promise since Python 3.12, and a second generator
    would cost its memory twice.
    """

    def _of(self, parts: HasParts) -> T:
        with parts.lock:
            if self._name not in parts.opened:
                begun = time.perf_counter()
                parts.opened[self._name] = self._make(parts)
                spent = (time.perf_counter() - begun) * 1000
                _LOG.debug("opened %s in %.0f ms", self._name, spent)
            return cast("T", parts.opened[self._name])


class Current(Part[T]):
    """Asked for anew at each look: what it stands for may change while we run."""

    def _of(self, parts: HasParts) -> T:
        if self._name in parts.opened:
            return cast("T", parts.opened[self._name])
        return self._make(parts)

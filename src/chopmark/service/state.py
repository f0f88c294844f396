"""What an application holds for all of its routes, by its class.

Starlette's own ``app.state`` gives back ``Any``, by whatever name: a misspelt one is found when the
route runs. Nothing else reads or writes it, so that what a route takes from there has its type.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from starlette.applications import Starlette

__all__ = ["put_state", "state_of"]

T = TypeVar("T")


def put_state(app: Starlette, value: object) -> None:
    """Keep a value for the routes of an application, one of each class."""
    setattr(app.state, type(value).__qualname__, value)


def state_of(app: Starlette, kind: type[T]) -> T:
    """Return the value of a class that was kept.

    Raises:
        TypeError: None was.
    """
    value: object = getattr(app.state, kind.__qualname__, None)
    if not isinstance(value, kind):
        raise TypeError(f"the application holds no {kind.__qualname__}")
    return value

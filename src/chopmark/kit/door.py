"""Doors that cost nothing: a package's public names are imported when they are first used.

A package's ``__init__`` says once where each of its public names lives::

    __getattr__, __dir__ = lazy_door(__name__, {"Policy": "policy.schema"})

so that ``import chopmark.provenance`` pays for neither torch nor a database driver (PEP 562).
"""

from __future__ import annotations

import sys
from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = ["lazy_door"]


def lazy_door(
    package: str, homes: Mapping[str, str]
) -> tuple[Callable[[str], object], Callable[[], list[str]]]:
    """Return the ``__getattr__`` and the ``__dir__`` of a package.

    Args:
        package: Its ``__name__``.
        homes: For each public name the module that defines it, relative to the package; one that
            begins with ``chopmark.`` is absolute.
    """

    def get(name: str) -> object:
        home = homes.get(name)
        if home is None:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        module = home if home.startswith("chopmark.") else f"{package}.{home}"
        value: object = getattr(import_module(module), name)
        setattr(sys.modules[package], name, value)  # the next look does not come here
        return value

    def names() -> list[str]:
        public: list[str] = sys.modules[package].__all__
        return sorted(public)

    return get, names

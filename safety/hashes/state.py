"""What is known of a list beside its entries: a switch, where it came from, its version.

It stands in ``NAME.json`` beside ``NAME.csv`` (or the folder ``NAME.bank``); a list without one is
switched on.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

from chopmark.errors import HashListError
from chopmark.kit.files import write_public

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["ListState", "read_state", "write_state"]


@dataclass(frozen=True, kw_only=True)
class ListState:
    """The state of one list.

    Attributes:
        enabled: Whether it is looked up.
        version: Goes up by one with each import that changed an entry.
        source: The last file or address that was imported.
        updated: When, RFC 3339 in UTC; empty for never.
        next_page: Where the service said that the list goes on.
    """

    enabled: bool = True
    version: int = 0
    source: str = ""
    updated: str = ""
    next_page: str = ""


def read_state(path: Path) -> ListState:
    """Return the state of the list at ``path`` (``NAME.csv`` or ``NAME.bank``).

    Raises:
        HashListError: There is a state, and it cannot be read. A switch is never guessed.
    """
    file = path.with_suffix(".json")
    try:
        raw: Any = json.loads(file.read_bytes())
    except FileNotFoundError:
        return ListState()
    except (OSError, ValueError, RecursionError) as error:
        raise HashListError(
            f"the state of the list {path.stem!r} cannot be read: {error}"
        ) from error
    known = ListState()
    if not isinstance(raw, dict) or any(
        not hasattr(known, name) or type(value) is not type(getattr(known, name))
        for name, value in raw.items()
    ):
        raise HashListError(
            f"the state of the list {path.stem!r} is damaged", hint="chopmark hashes enable NAME"
        )
    return replace(known, **raw)


def write_state(path: Path, state: ListState) -> None:
    """Keep the state of the list at ``path``, atomically.

    Raises:
        HashListError: It cannot be written.
    """
    text = json.dumps(asdict(state), indent=1) + "\n"
    write_public(path.with_suffix(".json"), text.encode(), error=HashListError)

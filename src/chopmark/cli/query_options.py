"""Queries as the command line takes them, and hits as it shows them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from chopmark.errors import InvalidRequest

if TYPE_CHECKING:
    from pathlib import Path

    from chopmark.audit import Hit, Query

__all__ = ["Found", "hit_line", "query_of"]

Found = Annotated[
    list[str] | None,
    typer.Option("--where", help="NAME=VALUE, again for more: decision=block, min_score=0.5."),
]
_NUMBERS: Final = {"min_score": float, "max_score": float, "distance": int}
_TEXTS: Final = (
    "category",
    "decision",
    "model",
    "policy",
    "similar_to",
    "since",
    "subject",
    "until",
)


def query_of(text: str | None, where: list[str] | None, like: Path | None = None) -> Query:
    """Return the query of these filters.

    Raises:
        InvalidRequest: A filter is unknown, or its value cannot be used.
        ChopmarkError: ``like`` is no picture.
    """
    from chopmark.audit import Query

    members: dict[str, Any] = {"text": text} if text is not None else {}
    for item in where or ():
        name, sign, value = item.partition("=")
        if not sign or name not in (*_TEXTS, *_NUMBERS):
            raise InvalidRequest(
                f"{item!r} is not a filter",
                hint=f"NAME=VALUE with one of {', '.join(sorted((*_TEXTS, *_NUMBERS)))}",
            )
        try:
            members[name] = _NUMBERS[name](value) if name in _NUMBERS else value
        except ValueError:
            raise InvalidRequest(f"{name} is a number, not {value!r}") from None
    if like is not None:
        members["similar_to"] = _fingerprint(like)
    return Query.from_dict(members)


def _fingerprint(path: Path) -> str:
    from chopmark.cli.generate import read
    from chopmark.provenance import fingerprint
    from chopmark.safety import decode_image

    return fingerprint(decode_image(read(path)))[0]


def hit_line(hit: Hit) -> str:
    """Return a hit as one line."""
    highest = max(hit.categories, key=lambda name: hit.categories[name], default="")
    near = "" if hit.distance is None else f"  distance {hit.distance}"
    return (
        f"{hit.index:>7}  {hit.time}  {hit.record_id}  {hit.tenant:<12} {hit.decision:<7}"
        f" {hit.score:.2f} {highest}{near}"
    )

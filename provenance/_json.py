"""A stranger's manifest may put anything anywhere: what is of another type counts as not there."""

from __future__ import annotations

from typing import Any

__all__ = ["as_dict", "as_list", "as_text", "as_texts", "codes", "last_part"]


def codes(status: dict[str, Any], kind: str) -> list[str]:
    """Return the status codes of one kind (success, informational, failure)."""
    return [str(as_dict(one).get("code")) for one in as_list(status.get(kind))]


def last_part(uri: str) -> str:
    """Return the last part of a URI."""
    return uri.strip().rstrip("/").rsplit("/", 1)[-1]


def as_dict(value: Any) -> dict[str, Any]:
    """Return an object, or an empty one."""
    return value if isinstance(value, dict) else {}


def as_list(value: Any) -> list[Any]:
    """Return a list, or an empty one."""
    return value if isinstance(value, list) else []


def as_text(value: Any) -> str | None:
    """Return a text, or None."""
    return value if isinstance(value, str) else None


def as_texts(value: Any) -> list[str]:
    """Return a text in a list, or an empty one."""
    return [value] if isinstance(value, str) else []

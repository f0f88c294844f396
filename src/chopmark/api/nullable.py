"""What is null was not sent: clients of every kind write out the fields that nobody filled in."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

__all__ = ["one_or_several", "with_nulls", "without_unset"]

_UNSET: Final = frozenset({"", "null", "undefined"})


def without_unset(data: Any, *, empty: bool = False, keep: Collection[str] = ()) -> Any:
    """Return an object without the members that are null, before it is checked.

    Args:
        data: What was sent; what is no object stays as it is.
        empty: Whether an empty text, and one that says ``null``, counts as null.
        keep: Members that stay whatever they are.
    """
    if not isinstance(data, dict):
        return data
    return {
        name: value
        for name, value in data.items()
        if name in keep
        or not (value is None or (empty and isinstance(value, str) and value.strip() in _UNSET))
    }


def with_nulls(schema: Mapping[str, Any]) -> dict[str, Any]:
    """Return a JSON schema of an object whose optional members may be null as well."""
    required = schema.get("required", [])
    properties = {
        name: member if name in required or _takes_null(member) else _or_null(member)
        for name, member in schema.get("properties", {}).items()
    }
    return {**schema, "properties": properties}


def one_or_several(schema: dict[str, Any]) -> None:
    """Make the JSON schema of a list one that a single item satisfies as well."""
    names = [name for name in ("title", "description") if name in schema]
    kept: dict[str, Any] = {name: schema.pop(name) for name in names}
    whole = dict(schema)
    schema.clear()
    schema.update(kept, anyOf=[whole, whole["items"]])


def _takes_null(member: Mapping[str, Any]) -> bool:
    return {"type": "null"} in member.get("anyOf", [])


def _or_null(member: Mapping[str, Any]) -> dict[str, Any]:
    told = {name: member[name] for name in ("default", "description", "title") if name in member}
    rest = {name: value for name, value in member.items() if name not in told}
    return {**told, "anyOf": [rest, {"type": "null"}]}

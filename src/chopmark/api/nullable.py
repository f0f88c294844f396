"""What is null was not sent: clients of every kind write out the fields that nobody filled in."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Final

from pydantic import BaseModel, ConfigDict, model_validator

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

__all__ = ["SentBody", "one_or_several"]

_UNSET: Final = frozenset({"", "null", "undefined"})


class SentBody(BaseModel):
    """A body, or an object in one, whose members that are null were not sent; its schema says so.

    Attributes:
        empty_is_unset: Whether an empty text, and one that says ``null``, counts as null.
        kept: Members that stay whatever they are.
    """

    model_config = ConfigDict(extra="ignore")
    empty_is_unset: ClassVar[bool] = False
    kept: ClassVar[Collection[str]] = ()

    @model_validator(mode="before")
    @classmethod
    def _without_unset(cls, data: Any) -> Any:
        return _without_unset(data, empty=cls.empty_is_unset, keep=cls.kept)

    @classmethod
    def __get_pydantic_json_schema__(cls, core: Any, handler: Any) -> dict[str, Any]:
        """Tell that every optional member may be null."""
        return _with_nulls(handler.resolve_ref_schema(handler(core)))


def _without_unset(data: Any, *, empty: bool, keep: Collection[str]) -> Any:
    if not isinstance(data, dict):
        return data
    return {
        name: value
        for name, value in data.items()
        if name in keep
        or not (value is None or (empty and isinstance(value, str) and value.strip() in _UNSET))
    }


def _with_nulls(schema: Mapping[str, Any]) -> dict[str, Any]:
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

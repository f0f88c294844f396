"""Answers of a process that is not trusted, as JSON: plain values and a few named value classes.

Unpickling runs what the sender says (``pickle``'s own warning). A process that parses strangers'
files may have come under their control, so that what it answers is read by this instead: the worst
that it can do is to lie about the one file that it was given.
"""

from __future__ import annotations

import base64
import dataclasses
import json
from collections.abc import Mapping
from typing import Any, Final

from chopmark.errors import ChopmarkError, WorkerLost

__all__ = ["decode", "decode_error", "encode", "encode_error"]

_TAG: Final = "~"


def encode(value: Any, classes: Mapping[str, type]) -> bytes:
    """Return a value as JSON.

    Args:
        value: None, numbers, text, bytes, lists, tuples, sets and mappings with text as keys of
            these, and instances of ``classes``.
        classes: Dataclasses by name.

    Raises:
        TypeError: It holds something else.
    """
    names = {kind: name for name, kind in classes.items()}
    return json.dumps(_plain(value, names), separators=(",", ":")).encode("ascii")


def decode(data: bytes, classes: Mapping[str, type]) -> Any:
    """Return what :func:`encode` was given.

    Raises:
        WorkerLost: It is nothing of the kind.
    """
    try:
        return _rich(json.loads(data), classes)
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise WorkerLost("a worker's answer cannot be read") from error


def encode_error(error: ChopmarkError) -> dict[str, Any]:
    """Return what is needed to raise an error again elsewhere."""
    return {
        "code": error.code,
        "message": error.message,
        "hint": error.hint,
        "param": getattr(error, "param", None),
    }


def decode_error(fields: Any) -> ChopmarkError:
    """Return the error again; one of an unknown code is the base class."""
    code = str(fields.get("code"))
    kind = _by_code().get(code, ChopmarkError)
    error = kind(str(fields.get("message")), hint=str(fields.get("hint") or ""))
    if fields.get("param") is not None and hasattr(error, "param"):
        error.param = str(fields["param"])
    return error


def _by_code() -> dict[str, type[ChopmarkError]]:
    found: dict[str, type[ChopmarkError]] = {}
    todo: list[type[ChopmarkError]] = [ChopmarkError]
    while todo:
        kind = todo.pop()
        # Refusals have members of their own, and are the pipeline's to raise.
        if kind.__module__.startswith("chopmark.errors"):
            found.setdefault(kind.code, kind)
            todo += kind.__subclasses__()
    return found


def _plain(value: Any, names: Mapping[type, str]) -> Any:
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if type(value) in names:
        fields = {
            field.name: _plain(getattr(value, field.name), names)
            for field in dataclasses.fields(value)
        }
        return {_TAG: names[type(value)], "v": fields}
    if isinstance(value, bytes):
        return {_TAG: "bytes", "v": base64.b64encode(value).decode()}
    if isinstance(value, list):
        return [_plain(one, names) for one in value]
    if isinstance(value, tuple | frozenset):
        kind = "tuple" if isinstance(value, tuple) else "frozenset"
        return {_TAG: kind, "v": [_plain(one, names) for one in value]}
    if isinstance(value, Mapping):
        return {_TAG: "dict", "v": {str(key): _plain(one, names) for key, one in value.items()}}
    raise TypeError(f"{type(value).__name__} cannot leave a worker")


def _rich(value: Any, classes: Mapping[str, type]) -> Any:
    if isinstance(value, list):
        return [_rich(one, classes) for one in value]
    if not isinstance(value, dict):
        return value
    inner = value["v"]
    match value[_TAG]:
        case "bytes":
            return base64.b64decode(inner, validate=True)
        case "tuple":
            return tuple(_rich(one, classes) for one in inner)
        case "frozenset":
            return frozenset(_rich(one, classes) for one in inner)
        case "dict":
            return {key: _rich(one, classes) for key, one in inner.items()}
        case name:
            return classes[name](**{key: _rich(one, classes) for key, one in inner.items()})

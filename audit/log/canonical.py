"""Canonical JSON (RFC 8785), with every refusal turned into one of our errors."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

import rfc8785

from chopmark.errors import InvalidRequest

if TYPE_CHECKING:
    from chopmark.kit.types import JsonValue

__all__ = ["canonical", "without_lone_surrogates"]

_HINT = "use finite numbers, integers below 2**53, strings of Unicode scalar values, string keys"
_SAFE: Final = 2**53
# From here to there Python and ECMAScript write a fraction with the same characters.
_SAME_FROM, _SAME_TO = 1e-4, 1e15
_ENCODE = json.JSONEncoder(
    sort_keys=True,
    separators=(",", ":"),
    ensure_ascii=False,
    allow_nan=False,
    check_circular=False,
).encode


class _NotPlainError(Exception):
    """A value whose canonical form the fast path does not give."""


def _plain(value: Any) -> Any:
    """Return ``value`` such that the json module writes it canonically, or raise.

    That holds for ASCII keys (UTF-16 order is then the order of characters) and for numbers that
    both languages write alike; whole floats become integers.
    """
    kind = type(value)
    if kind is str or value is None or kind is bool:
        return value
    if kind is int:
        if -_SAFE < value < _SAFE:
            return value
    elif kind is float:
        if value.is_integer():
            if -_SAFE < value < _SAFE:
                return int(value)
        elif _SAME_FROM <= value < _SAME_TO or -_SAME_TO < value <= -_SAME_FROM:
            return value
    elif kind is dict:
        members = {}
        for key, item in value.items():
            if type(key) is not str or not key.isascii():
                raise _NotPlainError
            members[key] = item if type(item) is str else _plain(item)
        return members
    elif kind is list:
        return [item if type(item) is str else _plain(item) for item in value]
    raise _NotPlainError


def canonical(value: JsonValue) -> bytes:
    """Return the one byte string that stands for ``value``.

    Most values take a fast path through the json module (a quarter of the time); a property test
    holds it equal to the reference implementation, which does the rest.

    Raises:
        InvalidRequest: Not a finite number, an integer beyond 2**53, a lone surrogate, a key that
            is not a string, a type that JSON does not have, or nested too deeply.
    """
    try:
        return _ENCODE(_plain(value)).encode()
    except (_NotPlainError, ValueError, RecursionError):
        pass
    try:
        return rfc8785.dumps(value)
    except rfc8785.CanonicalizationError as error:
        raise InvalidRequest(f"not canonical JSON: {error}", hint=_HINT) from None
    except (RecursionError, TypeError, AttributeError, ValueError):
        raise InvalidRequest("not canonical JSON", hint=_HINT) from None


def without_lone_surrogates(value: JsonValue) -> JsonValue:
    r"""Return ``value`` with each lone surrogate written out as six characters, ``\udXXX``.

    A request body may hold ``"\ud800"``, which JSON's grammar allows and no UTF-8 text can carry.
    The book must take such a prompt too, and say what it was; RFC 8785 section 3.2.2.2 refuses it.
    """
    if isinstance(value, str):
        return value.encode("utf-8", "backslashreplace").decode("utf-8")
    if isinstance(value, list):
        return [without_lone_surrogates(item) for item in value]
    if isinstance(value, dict):
        return {
            str(without_lone_surrogates(key)): without_lone_surrogates(item)
            for key, item in value.items()
        }
    return value

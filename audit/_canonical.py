"""Canonical JSON (RFC 8785), with every refusal turned into one of our errors."""

from __future__ import annotations

from typing import TYPE_CHECKING

import rfc8785

from chopmark.errors import InvalidRequest

if TYPE_CHECKING:
    from chopmark.types import JsonValue

__all__ = ["canonical", "without_lone_surrogates"]

_HINT = "use finite numbers, integers below 2**53, strings of Unicode scalar values, string keys"


def canonical(value: JsonValue) -> bytes:
    """Return the one byte string that stands for ``value``.

    Raises:
        InvalidRequest: Not a finite number, an integer beyond 2**53, a lone surrogate, a key that
            is not a string, a type that JSON does not have, or nested too deeply.
    """
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

"""Identifiers.

A **record id** is 60 random bits written as 16 lower-case hex digits, the last of which is ``0``.
The k-th output of a request (k = 1..15) has the **output id** ``record id | k``: it is what the
watermark carries (64 bits), and the record is found from it by clearing the last digit. The ids
are random, so they tell nothing about the person, the prompt or the volume of requests.

>>> output_id("a3f09c1122334450", 2)
'a3f09c1122334452'
>>> record_of("a3f09c1122334452")
'a3f09c1122334450'
"""

from __future__ import annotations

import re
import secrets

from chopmark.errors import InvalidRequest

__all__ = ["MAX_OUTPUTS", "is_id", "new_record_id", "output_id", "record_of"]

MAX_OUTPUTS = 15
_ID = re.compile(r"[0-9a-f]{16}")


def new_record_id() -> str:
    """Return a fresh record id: 60 random bits and a zero digit."""
    return f"{secrets.randbits(60):015x}0"


def output_id(record_id: str, index: int) -> str:
    """Return the id of output ``index`` (1..15) of a record.

    Raises:
        InvalidRequest: The record id is not one, or the index is out of range.
    """
    if not is_id(record_id) or not record_id.endswith("0"):
        raise InvalidRequest(f"{record_id!r} is not a record id", hint="16 hex digits, the last 0")
    if not 1 <= index <= MAX_OUTPUTS:
        raise InvalidRequest(f"output index {index} is not in 1..{MAX_OUTPUTS}")
    return f"{record_id[:-1]}{index:x}"


def record_of(any_id: str) -> str:
    """Return the record id that an output id (or a record id) belongs to.

    Raises:
        InvalidRequest: Not an id.
    """
    if not is_id(any_id):
        raise InvalidRequest(f"{any_id!r} is not an id", hint="an id is 16 hex digits")
    return f"{any_id[:-1]}0"


def is_id(text: str) -> bool:
    """Tell whether ``text`` has the form of a record id or output id."""
    return _ID.fullmatch(text) is not None

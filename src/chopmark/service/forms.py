"""How much a form may hold: the same for routes that the framework reads and for those we read."""

from __future__ import annotations

from typing import Final, TypedDict

from chopmark.kit.limits import FIELDS, FILES, TEXT_PART

__all__ = ["FORM_LIMITS"]


class _FormLimits(TypedDict, total=False):
    """As FastAPI and Starlette name them."""

    max_files: int
    max_fields: int
    max_part_size: int


FORM_LIMITS: Final[_FormLimits] = {
    "max_files": FILES.most,
    "max_fields": FIELDS.most,
    "max_part_size": TEXT_PART.most,
}

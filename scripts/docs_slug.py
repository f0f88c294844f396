"""Anchors of the documentation site's headings."""

from __future__ import annotations

import re


def slug(text: str, separator: str) -> str:
    """Return the anchor of a heading as GitHub makes it, so that links hold in both places."""
    return re.sub(r"[^\w\- ]", "", text.strip().lower()).replace(" ", separator)

"""Reasons that reviewers write again and again, by the section of the policy; data, not code.

``policies/reasons.yaml`` holds ours: for each category, and for ``any``, a list of sentences.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

from pydantic import RootModel

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["presets_for"]


class _Reasons(RootModel[dict[str, tuple[str, ...]]]):
    """Sentences by category."""


@cache
def _reasons() -> dict[str, tuple[str, ...]]:
    from chopmark.safety.policy.load import policy_path, read_yaml

    return read_yaml(policy_path("reasons"), _Reasons).root


def presets_for(categories: Iterable[str]) -> list[str]:
    """Return the sentences for what a record was flagged for, the general ones last.

    >>> presets_for(["violence"])[0]
    'Violence: fiction or news, nobody is hurt in it for its own sake.'
    """
    known = _reasons()
    named = [sentence for name in dict.fromkeys(categories) for sentence in known.get(name, ())]
    return [*named, *known.get("any", ())]

"""What verification says."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from chopmark.kit.types import JsonValue

__all__ = ["LogReport", "Problem"]


@dataclass(frozen=True, kw_only=True)
class Problem:
    """One thing that is wrong.

    Attributes:
        what: Stable short name, such as ``leaf_changed`` or ``content_missing``.
        where: The place: ``entry 17``, ``tile 0/3``, ``checkpoint 4``, ``receipt``.
        detail: A sentence for people.
    """

    what: str
    where: str
    detail: str

    def __str__(self) -> str:
        """Return it as a person reads it."""
        return f"{self.where}: {self.detail} ({self.what})"

    def to_dict(self) -> dict[str, JsonValue]:
        """Return the members for JSON."""
        return {"what": self.what, "where": self.where, "detail": self.detail}


@dataclass(frozen=True, kw_only=True)
class LogReport:
    """What a walk over a log found.

    Attributes:
        size: Number of entries walked.
        root: Root re-derived from the entries' bytes, 64 hex digits.
        problems: Everything that is wrong, at most a thousand.
        not_looked_at: Places that whoever walked had no right to read, or that are missing; they
            may hold proof that something is wrong.
    """

    size: int
    root: str
    problems: tuple[Problem, ...]
    not_looked_at: tuple[str, ...] = ()

    @property
    def ok(self) -> bool:
        """Whether nothing is wrong."""
        return not self.problems

    def to_dict(self) -> dict[str, JsonValue]:
        """Return the members for JSON."""
        return {
            "ok": self.ok,
            "size": self.size,
            "root": self.root,
            "problems": [problem.to_dict() for problem in self.problems],
            "not_looked_at": list(self.not_looked_at),
        }

"""What people may look for at the desk, checked once for the API and for the pages."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

if TYPE_CHECKING:
    from chopmark.audit import Query

__all__ = ["SearchForm", "Strict", "Time", "Whole"]

Time = Annotated[
    str | None,
    Field(
        pattern=r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,6})?Z$",
        description="RFC 3339, UTC",
    ),
]
Score = Annotated[float | None, Field(ge=0, le=1)]
Name = Annotated[str | None, Field(min_length=1, max_length=200)]


def _whole(value: object) -> object:
    """Return 100 for 100.0: in JSON they are the same number (JSON Schema, section 6.3)."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


Whole = BeforeValidator(_whole)


class Strict(BaseModel):
    """A form of ours: a member that nobody knows is an error, not a wish that is ignored."""

    model_config = ConfigDict(extra="forbid", strict=True)


class SearchForm(Strict):
    """What to look for; see :class:`chopmark.audit.Query`."""

    text: Annotated[str | None, Field(min_length=1, max_length=1000)] = None
    tenant: Name = None
    decision: Literal["allow", "review", "block", "failed", "open"] | None = None
    category: Name = None
    min_score: Score = None
    max_score: Score = None
    model: Name = None
    policy: Annotated[str | None, Field(pattern="^[0-9a-f]{64}$")] = None
    subject: Name = None
    since: Time = None
    until: Time = None
    similar_to: Annotated[str | None, Field(pattern="^[0-9a-f]{64}$", description="A PDQ hash")] = (
        None
    )
    distance: Annotated[int, Field(ge=0, le=256), Whole] = 31

    def query(self) -> Query:
        """Return it as the desk takes it."""
        from chopmark.audit import Query

        return Query(**{name: getattr(self, name) for name in SearchForm.model_fields})

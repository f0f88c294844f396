"""What analysts ask, and what they are shown of a record before they open it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final, Literal

from chopmark.errors import InvalidRequest

if TYPE_CHECKING:
    from chopmark.kit.types import JsonValue

__all__ = [
    "PDQ_BYTES",
    "Ending",
    "Hit",
    "Query",
    "SavedQuery",
    "WordMatch",
    "pdq_bytes",
    "word_match",
]

Ending = Literal["allow", "review", "block", "failed", "open"]
"""How a record ended; ``open`` while it has not."""
PDQ_BYTES: Final = 32


@dataclass(frozen=True, kw_only=True)
class Query:
    """What to look for; every member that is given must hold.

    Attributes:
        text: Words that the prompt must all contain, in whatever form English gives them
            (``painting`` finds ``painted``); in double quotes a phrase, as it stands; a last ``*``
            finds beginnings of words. 16 hex digits are the id of a record or an output.
        tenant: Of this tenant.
        decision: How the request ended; ``open`` when it did not.
        category: Scored in this category.
        min_score: Lowest score, in ``category`` when that is given, else in any; 0..1.
        max_score: Highest score, likewise.
        model: Made by this model (``id@version``).
        policy: Judged under the policy of this digest.
        subject: About this person: ``TENANT:IDENTIFIER``, or the identifier alone.
        since: Received at this RFC 3339 time in UTC, or later.
        until: Received before this time.
        similar_to: PDQ hash (64 hex digits); pictures within ``distance`` bits of it.
        distance: Hamming distance, 0..256; 31 is what PDQ's authors call a confident match.
    """

    text: str | None = None
    tenant: str | None = None
    decision: Ending | None = None
    category: str | None = None
    min_score: float | None = None
    max_score: float | None = None
    model: str | None = None
    policy: str | None = None
    subject: str | None = None
    since: str | None = None
    until: str | None = None
    similar_to: str | None = None
    distance: int = 31

    def to_dict(self) -> dict[str, JsonValue]:
        """Return the members that are given."""
        empty = Query()
        return {name: value for name, value in vars(self).items() if value != getattr(empty, name)}

    @classmethod
    def from_dict(cls, members: dict[str, Any]) -> Query:
        """Read what :meth:`to_dict` gave.

        Raises:
            InvalidRequest: A member is unknown.
        """
        try:
            return replace(cls(), **members)
        except TypeError:
            raise InvalidRequest("a query has a member that is not known") from None


@dataclass(frozen=True, kw_only=True)
class Hit:
    """A record that was found: nothing private in it.

    Attributes:
        index: Its first entry, by which pages go on.
        score: Highest score in any category, 0..1.
        categories: Score by category.
        distance: Smallest PDQ distance of its pictures; None when it was not asked for.
    """

    index: int
    record_id: str
    tenant: str
    time: str
    decision: Ending
    score: float
    categories: dict[str, float]
    model: str | None
    policy: str | None
    distance: int | None = None

    def to_dict(self) -> dict[str, JsonValue]:
        """Return the members for JSON."""
        return dict(vars(self))


@dataclass(frozen=True, kw_only=True)
class SavedQuery:
    """A query that was kept under a name.

    Attributes:
        version: Counted from 1; saving under the same name makes the next one.
    """

    name: str
    version: int
    query: Query


@dataclass(frozen=True, kw_only=True)
class WordMatch:
    """FTS5 expressions for what a person typed: no operator of theirs gets through.

    Attributes:
        stems: For the index of stems: words in any form; empty where there are none.
        words: For the index of words as they stand: phrases, and beginnings of words.
    """

    stems: str
    words: str


def word_match(text: str) -> WordMatch:
    """Return what to look for in each of the two word indexes; both must be found.

    A beginning of a word is none of its stem (``generati*`` is longer than ``gener``), so the two
    are looked up apart.

    Raises:
        InvalidRequest: There is no word.
    """
    stems: list[str] = []
    words: list[str] = []
    for place, part in enumerate(text.replace("\x00", " ").split('"')):
        if place % 2:
            if part.strip():
                words.append(f'"{part}"')
            continue
        for word in part.split():
            stem = word.rstrip("*")
            if stem:
                (words if word.endswith("*") else stems).append(
                    f'"{stem}"*' if word.endswith("*") else f'"{stem}"'
                )
    if not stems and not words:
        raise InvalidRequest("there is no word to look for")
    return WordMatch(stems=" ".join(stems), words=" ".join(words))


def pdq_bytes(text: object) -> bytes:
    """Return the 32 bytes of a PDQ hash in hex.

    Raises:
        InvalidRequest: It is none.
    """
    try:
        raw = bytes.fromhex(text) if isinstance(text, str) else b""
    except ValueError:
        raw = b""
    if len(raw) != PDQ_BYTES:
        raise InvalidRequest("this is not a PDQ hash", hint="64 hex digits")
    return raw

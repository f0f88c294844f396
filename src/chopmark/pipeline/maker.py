"""What made a picture's pixels: the generator that runs here, or one that a caller names."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Self

if TYPE_CHECKING:
    from chopmark.generation import ModelInfo

__all__ = ["CLAIMED", "Maker"]

CLAIMED: Final = "claimed"
"""What the public part of the log says in place of a model that a caller named: it is a text that
somebody wrote, and stands in the personal part."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Maker:
    """A generator, as log and manifest name it.

    Attributes:
        id: Of the model.
        version: Its own version; empty when it names none.
        digest: SHA-256 over its weights, lower-case hex; empty where nobody knows it.
        claimed: A caller says so; it did not run here.
    """

    id: str
    version: str = ""
    digest: str = ""
    claimed: bool = False

    @classmethod
    def running(cls, model: ModelInfo) -> Self:
        """Return the generator that runs here."""
        return cls(id=model.id, version=model.version, digest=model.digest)

    @property
    def name(self) -> str:
        """``id@version``, or the bare name that was claimed."""
        return self.id if self.claimed else f"{self.id}@{self.version}"

    @property
    def public_name(self) -> str:
        """What the public part of the log may say of it."""
        return CLAIMED if self.claimed else self.name

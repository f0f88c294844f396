"""What the pipeline needs of a log, whoever brings it.

The other hooks promise Protocols of the room that uses what they answer: ``Generator``,
``JudgesText`` and ``JudgesPictures``, ``Watermarker``, ``ManifestRepository``,
``CredentialProvider``. No room but the pipeline books requests, so the log's stands here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from datetime import timedelta

    from chopmark.audit import Event, Receipt, Record
    from chopmark.kit.types import JsonValue

__all__ = [
    "AttachmentKeeper",
    "ContentKeeper",
    "ExceptionSource",
    "ReceiptSource",
    "RequestLog",
]


class ReceiptSource(Protocol):
    """Gives proofs."""

    def receipt(self, record: str | int) -> Receipt:
        """Return the proof that an entry is in the log; nothing leaves without it."""


class ExceptionSource(Protocol):
    """Knows what overturned appeals have granted."""

    def find(self, prompt: str, *, tenant: str, negative_prompt: str = "") -> Record | None:
        """Return the exception that an overturned appeal granted for this prompt, if one holds."""


class AttachmentKeeper(Protocol):
    """Keeps bytes beside entries, erased with their content."""

    def keep(self, index: int, files: Mapping[str, bytes], *, most_bytes: int) -> bool:
        """Keep bytes beside an entry; tell whether they are kept."""

    def of(self, index: int, *, younger_than: timedelta) -> Mapping[str, bytes] | None:
        """Return the bytes that are kept beside an entry and may be handed out again."""

    def drop(
        self,
        *,
        record_id: str | None = None,
        subject: str | None = None,
        tenant: str | None = None,
    ) -> int:
        """Let go of what is attached to all that is named; return from how many entries."""


class ContentKeeper(Protocol):
    """Keeps what people wrote, until it is erased."""

    @property
    def attachments(self) -> AttachmentKeeper:
        """What is kept beside entries."""

    def contentless(self, record_ids: Iterable[str]) -> Sequence[str]:
        """Return those of the records that have no content (any more)."""


class RequestLog(Protocol):
    """A log that every request is booked in. Called from several threads at once.

    This is all that making pictures takes. Review, appeals, search, erasure and the public log are
    :class:`chopmark.audit.AuditLog`'s own; with another log the faces that offer them say so.

    Each method raises ``LogUnavailable`` where the log cannot be read or written: nothing leaves
    then. ``RecordNotFound`` is for an entry or a record that is not there.
    """

    def append(self, event: Event) -> Record:
        """Book an event; return once it is durable."""

    def in_force(
        self,
        kind: Literal["policy.changed", "key.rotated"],
        value: str,
        *,
        what: str = ...,
        tenant: str = ...,
        only_again: bool = ...,
    ) -> Record | None:
        """Book which policy or key is in force, when it is another than was booked last."""

    def records(self, record_id: str) -> Sequence[Record]:
        """Return the entries of a request, oldest first."""

    def private(self, index: int) -> Mapping[str, JsonValue] | None:
        """Return the erasable part of an entry; None when it never had one or it was erased."""

    @property
    def proof(self) -> ReceiptSource:
        """Proves what is in it."""

    @property
    def exceptions(self) -> ExceptionSource:
        """Knows the prompts that may pass although the policy blocks them."""

    @property
    def custody(self) -> ContentKeeper:
        """Keeps what is erasable."""

    def writable(self) -> None:
        """Do nothing when an event could be booked now; else raise."""

    @property
    def size(self) -> int:
        """How many entries there are."""

    def root(self) -> str:
        """Return the root hash over all entries, hex."""

    def close(self) -> None:
        """Finish what is being booked; let go of files and connections. Idempotent."""

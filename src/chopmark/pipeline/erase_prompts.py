"""What stands beside the log is forgotten with it: embeddings of prompts, pictures for answers.

The log does its own: content, and what is attached to it, go together. The index of past prompts
is another file, and it follows here, whether or not it is switched on now.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from chopmark.errors import InvalidRequest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from chopmark.audit import AuditLog
    from chopmark.generation.semantic import PromptIndex

__all__ = ["forget_person", "forget_prompts", "forget_with_the_log"]

_BATCH: Final = 200


def forget_prompts(
    home: Path,
    log: AuditLog | None,
    *,
    record_id: str | None = None,
    subject: str | None = None,
    tenant: str | None = None,
) -> int:
    """Erase embeddings, and the pictures kept with them, of all that is named.

    The log's own content stays: that is erased by two persons, or by retention.

    Returns:
        How many prompts are forgotten.

    Raises:
        InvalidRequest: Nothing is named, or the record id is none.
        LogUnavailable: The pictures are still there; try again.
    """
    if record_id is None and subject is None and tenant is None:
        raise InvalidRequest("say what to forget", hint="--record, --subject or --tenant")
    gone = 0
    with _index(home) as index:
        if index is not None:
            gone = index.erase(record_id=record_id, subject=subject, tenant=tenant)
    if log is not None:
        log.custody.attachments.drop(record_id=record_id, subject=subject, tenant=tenant)
    return gone


def forget_person(home: Path, subject: str) -> None:
    """Erase the embeddings of a person whose content in the log is erased."""
    with _index(home) as index:
        if index is not None:
            index.erase(subject=subject)


def forget_with_the_log(home: Path, log: AuditLog) -> int:
    """Erase embeddings whose record has no content any more; return how many."""
    with _index(home) as index:
        if index is None:
            return 0
        records, forgotten = index.records(), 0
        for first in range(0, len(records), _BATCH):
            # A long read would keep receipts waiting.
            for record_id in log.custody.contentless(records[first : first + _BATCH]):
                forgotten += index.erase(record_id=record_id)
        return forgotten


@contextmanager
def _index(home: Path) -> Iterator[PromptIndex | None]:
    from chopmark.generation.semantic import FILE, PromptIndex

    if not (home / FILE).exists():
        yield None
        return
    index = PromptIndex.open(home)
    try:
        yield index
    finally:
        index.close()

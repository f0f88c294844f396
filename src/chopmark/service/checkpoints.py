"""Checkpoints on the clock: what is new in the log is signed, and witnesses cosign it."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from chopmark.errors import ConfigurationError
from chopmark.service.clock import repeating

if TYPE_CHECKING:
    from collections.abc import Iterator

    from chopmark.pipeline.parts import Parts

__all__ = ["CheckpointWarning", "checkpointing", "sign_what_is_new"]


class CheckpointWarning(UserWarning):
    """The log could not be signed, or a witness refused it; it is tried again."""


def sign_what_is_new(parts: Parts) -> str:
    """Sign a checkpoint where the log has grown, and have it cosigned; return what went wrong.

    A witness that is down is asked again the next time. One that refuses has seen another history.

    Raises:
        ChopmarkError: Nothing could be signed, or the list of witnesses cannot be read.
    """
    from chopmark.audit import cosignatures, load_witnesses

    listed, proof = parts.settings.log_witnesses, parts.log.proof
    note = proof.checkpoint().note
    witnesses = load_witnesses(listed) if listed is not None else []
    missing = [each for each in witnesses if not cosignatures(note, [each.key])]
    _, problems = proof.cosign(missing) if missing else (None, ())
    return "; ".join(str(problem) for problem in problems)


@contextmanager
def checkpointing(parts: Parts) -> Iterator[None]:
    """Sign what is new, every so often, for as long as a server runs; a bucket gets it as well.

    Raises:
        ConfigurationError: The bucket cannot be used, or nothing would ever be brought there.
    """
    settings = parts.settings
    every_s, bucket = settings.log_checkpoint_s, None
    if settings.objects:
        from chopmark.kit.objects import open_objects
        from chopmark.provenance.shared_store import SharedManifests
        from chopmark.service.log_objects import LogObjects

        if not every_s:
            raise ConfigurationError(
                "CHOPMARK_OBJECTS gets the log's checkpoints by the clock, and there is none",
                hint="CHOPMARK_LOG_CHECKPOINT_S=60",
            )
        bucket = LogObjects(open_objects(settings.objects), entries=settings.log_entries_public)
    if not every_s:
        yield
        return

    def turn() -> str:
        wrong = sign_what_is_new(parts)
        if bucket is not None:
            bucket.publish(parts.log, parts.home / "audit" / "public")
            if isinstance(parts.store, SharedManifests):  # a plugin may have brought another
                parts.store.send_unsent()
        return wrong

    with repeating(
        turn,
        every_s=every_s,
        name="checkpoints",
        warning=CheckpointWarning,
    ):
        yield

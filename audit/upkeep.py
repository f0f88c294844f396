"""The log's own keys are changed, without a receipt or a content that stops being good."""

from __future__ import annotations

from typing import TYPE_CHECKING

from chopmark.audit.proof.log_keys import LOG_KEY

if TYPE_CHECKING:
    from collections.abc import Callable

    from chopmark.audit.log.events import Record
    from chopmark.audit.log.ledger import Ledger
    from chopmark.audit.proof.log_keys import LogKeys
    from chopmark.audit.proof.marks import Marks
    from chopmark.audit.proof.prover import Prover

__all__ = ["Upkeep"]


class Upkeep:
    """Changes the key that signs checkpoints, and the one that data keys are wrapped by.

    Args:
        keys: Sign checkpoints.
        marks: Where the newest checkpoint is kept.
        ledger: Whose data keys are wrapped.
        prover: Signs before and after.
        in_force: Books which key is in force: value and what it is.
    """

    def __init__(
        self,
        *,
        keys: LogKeys,
        marks: Marks,
        ledger: Ledger,
        prover: Prover,
        in_force: Callable[[str, str], Record | None],
    ) -> None:
        self._keys, self._marks = keys, marks
        self._ledger, self._prover, self._in_force = ledger, prover, in_force

    def rotate_signing_key(self) -> str:
        """Sign checkpoints by a new key; return it as a verifier key.

        The old key signs the entry that names its successor, and then no more: who trusts it can
        follow. What it signed stays good, as it stays in the list of verifier keys. A run that was
        cut short is taken up again.

        Raises:
            LogUnavailable: A file cannot be written.
            LogCorrupt: The log is not what it signed before.
        """
        coming = str(self._keys.successor().key)
        self._in_force(self._prover.public_key, LOG_KEY)
        self._in_force(coming, LOG_KEY)
        self._prover.checkpoint()
        with self._marks.locked():
            self._keys.succeed()
        self._prover.checkpoint()
        return coming

    def rotate_encryption_key(self) -> int:
        """Wrap every data key by a new key-encryption key; return how many there are.

        Raises:
            LogCorrupt: A data key does not unwrap; nothing is changed then.
            LogUnavailable: A file cannot be written.
        """
        count = self._ledger.vault.rotate()
        self._in_force(self._ledger.vault.wrapped_by, "log key-encryption key")
        return count

    def sign_anew(self) -> str:
        """Begin a new key after entries were lost: the old one must not sign another history.

        For :func:`chopmark.audit.restore_log` alone.

        Returns:
            The new verifier key.
        """
        coming = str(self._keys.successor().key)
        self._in_force(self._prover.public_key, LOG_KEY)
        self._in_force(coming, LOG_KEY)
        with self._marks.locked():
            self._keys.succeed()
            self._marks.forget()
        self._prover.checkpoint()
        return coming

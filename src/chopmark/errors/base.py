"""The base of the tree, and what may end any request: a stage too slow, a full queue, a cancel."""

from __future__ import annotations

from typing import ClassVar

__all__ = ["Busy", "Cancelled", "ChopmarkError", "StageTimeout"]


class ChopmarkError(Exception):
    """Base of every error of ours.

    Args:
        message: What is wrong, with which value. One sentence; never a prompt or a key.
        hint: What the caller can do about it; empty when there is nothing to do.
    """

    code: ClassVar[str] = "chopmark_error"
    status: ClassVar[int] = 500

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def explain(self) -> str:
        """Return the message and the hint as a person would read them."""
        return f"{self.message}\n  hint: {self.hint}" if self.hint else self.message


class StageTimeout(ChopmarkError):
    """A stage took longer than it may."""

    code = "stage_timeout"
    status = 504


class Busy(ChopmarkError):
    """The queue is full, or there is no room for what was sent.

    Args:
        message: As in the base.
        hint: As in the base.
        retry_after_s: Seconds after which asking again makes sense.
    """

    code = "busy"
    status = 503

    def __init__(self, message: str, *, hint: str = "", retry_after_s: float = 1.0) -> None:
        super().__init__(message, hint=hint)
        self.retry_after_s = retry_after_s


class Cancelled(ChopmarkError):
    """The caller went away or cancelled."""

    code = "cancelled"
    status = 499

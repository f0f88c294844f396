"""Guards that could not judge."""

from __future__ import annotations

from chopmark.errors.base import ChopmarkError

__all__ = ["GuardFailed", "HashListError", "TextUnread"]


class GuardFailed(ChopmarkError):
    """A prompt or picture could not be judged; nothing unjudged is let through."""

    code = "guard_failed"
    status = 503


class HashListError(GuardFailed):
    """A hash list cannot be read."""

    code = "hash_list_error"
    status = 400


class TextUnread(GuardFailed):
    """A text could not be read. Among several texts it alone goes to a person."""

    code = "text_unread"

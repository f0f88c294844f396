"""A full disk by any name: whatever could not be written for want of room, nothing is booked."""

from __future__ import annotations

import errno
from typing import Final

from chopmark.errors import ChopmarkError, LogUnavailable

__all__ = ["named_by_disk"]

_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT})
_MOST_CAUSES: Final = 8


def named_by_disk(error: ChopmarkError) -> ChopmarkError:
    """Return an error as it is, or ``LogUnavailable`` where what it comes from is a full disk.

    Quotas, kept answers and manifests lie on the disk of the log. Whichever of them noticed first,
    the caller is told the same: nothing was made, and trying again later may help.
    """
    cause: BaseException | None = error
    for _ in range(_MOST_CAUSES):
        if cause is None:
            return error
        # SQLite's own name for it; its module alone knows the driver.
        if (isinstance(cause, OSError) and cause.errno in _FULL) or _is_sqlite_full(cause):
            break
        cause = cause.__cause__
    else:
        return error
    if isinstance(error, LogUnavailable):
        return error
    full = LogUnavailable(error.message, hint=error.hint or "free the disk; try again")
    full.__cause__ = error
    return full


def _is_sqlite_full(error: BaseException) -> bool:
    kind = type(error)
    return kind.__name__ == "FullError" and kind.__module__.partition(".")[0] == "apsw"

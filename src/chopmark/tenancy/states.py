"""Which keeper counts: Redis where it is named, else the database that servers share, else memory.

Not the files of the home: a server alone counts quicker in memory.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from chopmark.tenancy.database_state import DatabaseState
from chopmark.tenancy.shared_state import MemoryState

if TYPE_CHECKING:
    from pathlib import Path

    from chopmark.settings import Settings
    from chopmark.tenancy.shared_state import SharedState

__all__ = ["open_shared_state"]


def open_shared_state(home: Path, settings: Settings) -> SharedState:
    """Open what ``CHOPMARK_SHARED_STATE`` and ``CHOPMARK_DATABASE`` name.

    Raises:
        ConfigurationError: An address cannot be used.
        DatabaseUnavailable: The database does not answer.
    """
    url, database = settings.shared_state, settings.database
    if not url:
        return DatabaseState.open(home, database=database) if database else MemoryState()
    from chopmark.tenancy.redis_state import RedisState
    from chopmark.tenancy.surviving_state import SurvivingState

    first = RedisState(url)
    try:
        second: SharedState = (
            DatabaseState.open(home, database=database) if database else MemoryState(time.time)
        )
        return SurvivingState(first, second)
    except BaseException:
        first.close()
        raise

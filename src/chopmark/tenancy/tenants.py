"""A tenant: somebody with keys, a policy, a quota and a rate of their own."""

from __future__ import annotations

import re
from dataclasses import dataclass

from chopmark.errors import InvalidRequest

__all__ = ["Tenant"]

_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Tenant:
    """What applies to the requests of one tenant. ``None`` takes the installation's setting.

    Attributes:
        name: 1 to 63 characters of a-z, 0-9 and ``-``. It stands in the log for ever.
        policy: ``default``, ``strict`` or a YAML file; ``None`` is ``CHOPMARK_POLICY``.
        requests_per_minute: Most requests in a minute; 0 is no limit.
        images_per_day: Most pictures in a day (UTC); ``None`` is no limit.
        abuse: Rules for people who are refused again and again; as ``CHOPMARK_ABUSE``.
        retention_days: After so many days the content of its requests is taken away; ``None`` is
            ``CHOPMARK_RETENTION_DAYS``.
        blocked_retention_days: The same for what was refused.

    Raises:
        InvalidRequest: A value cannot be used.
    """

    name: str
    policy: str | None = None
    requests_per_minute: int | None = None
    images_per_day: int | None = None
    abuse: str | None = None
    retention_days: int | None = None
    blocked_retention_days: int | None = None

    def __post_init__(self) -> None:
        """Check the values."""
        if not _NAME.fullmatch(self.name):
            raise InvalidRequest(
                f"tenant {self.name!r} is not a name",
                hint="1 to 63 characters of a-z, 0-9 and -",
                param="tenant",
            )
        least = {"requests_per_minute": 0, "images_per_day": 0}
        least |= {"retention_days": 1, "blocked_retention_days": 1}
        for field, low in least.items():
            value = getattr(self, field)
            if value is not None and not low <= value <= 10**9:
                raise InvalidRequest(f"{field} is {value}, not {low} or more", param=field)

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
        blocks: So many refusals of one person within ``block_minutes`` start a cool-down; 0 never.
        block_minutes: The time in which refusals are counted.
        cool_down_minutes: How long that person is then turned away.

    Raises:
        InvalidRequest: A value cannot be used.
    """

    name: str
    policy: str | None = None
    requests_per_minute: int | None = None
    images_per_day: int | None = None
    blocks: int | None = None
    block_minutes: int | None = None
    cool_down_minutes: int | None = None

    def __post_init__(self) -> None:
        """Check the values."""
        if not _NAME.fullmatch(self.name):
            raise InvalidRequest(
                f"tenant {self.name!r} is not a name",
                hint="1 to 63 characters of a-z, 0-9 and -",
                param="tenant",
            )
        least = {"requests_per_minute": 0, "images_per_day": 0, "blocks": 0}
        least |= {"block_minutes": 1, "cool_down_minutes": 1}
        for field, low in least.items():
            value = getattr(self, field)
            if value is not None and not low <= value <= 10**9:
                raise InvalidRequest(f"{field} is {value}, not {low} or more", param=field)

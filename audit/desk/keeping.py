"""Keeping and forgetting at the desk: erasure by two, legal holds, the end of retention."""

from __future__ import annotations

from typing import TYPE_CHECKING

from chopmark.audit.desk.actor import Seat
from chopmark.errors import NotPermitted, RecordNotFound

if TYPE_CHECKING:
    from datetime import timedelta

    from chopmark.audit.custody.erasure import Hold, RetentionClass
    from chopmark.audit.desk.actor import Actor
    from chopmark.audit.log.events import Record

__all__ = ["Keeping"]


class Keeping(Seat):
    """The part of the desk that erases and holds."""

    def erase(self, subject: str, *, second: Actor, reason: str) -> Record:
        """Erase a subject together with a second eraser; see :meth:`AuditLog.erase`.

        Raises:
            NotPermitted: Not two different erasers.
            ErasureRefused: A hold stands, or the subject is not this tenant's alone.
            RecordNotFound: Nothing is stored about the subject.
        """
        self._two(second, "eraser")
        return self._log.erase(
            subject, by=(self._actor.name, second.name), reason=reason, tenant=self._tenant
        )

    def place_hold(self, subject: str, *, basis: str, until: str | None = None) -> Record:
        """Forbid erasing and expiring a subject's content; see :meth:`AuditLog.place_hold`."""
        self._may("eraser")
        return self._log.place_hold(
            subject, basis=basis, by=self._actor.name, until=until, tenant=self._tenant
        )

    def release_hold(self, index: int, *, reason: str) -> Record:
        """End a hold.

        Raises:
            RecordNotFound: No hold stands there, or another tenant placed it.
        """
        self._may("eraser")
        if index not in {hold.index for hold in self.holds()}:
            raise RecordNotFound(f"no hold stands at entry {index}")
        return self._log.release_hold(index, by=self._actor.name, reason=reason)

    def holds(self) -> list[Hold]:
        """Return the holds that stand now, oldest first."""
        self._may("eraser", "investigator")
        return [hold for hold in self._log.holds() if self._tenant in {None, hold.tenant}]

    def expire(
        self, periods: dict[RetentionClass, timedelta], *, but: frozenset[str] = frozenset()
    ) -> list[Record]:
        """Take away content whose retention is over, of every tenant; see AuditLog.expire.

        Raises:
            NotPermitted: Not an eraser of every tenant.
        """
        self._may("eraser")
        if self._tenant is not None:
            raise NotPermitted("retention ends for all tenants at once")
        return self._log.expire(periods, but=but)

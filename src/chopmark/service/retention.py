"""The end of retention, tenant by tenant: content goes, the entries that prove it stay."""

from __future__ import annotations

from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from chopmark.service.clock import repeating
from chopmark.service.forgetting import forget_beside_the_log
from chopmark.service.lease import leased
from chopmark.tenancy.store import AccessStore

if TYPE_CHECKING:
    from collections.abc import Iterator

    from chopmark.audit import AuditLog, RetentionClass
    from chopmark.pipeline.parts import Parts
    from chopmark.settings import Settings
    from chopmark.tenancy.tenants import Tenant

__all__ = ["RetentionWarning", "end_retention", "retaining"]

_EVERY_S: Final = 3600.0


class RetentionWarning(UserWarning):
    """Content whose time is over could not be taken away; it is tried again in an hour."""


def end_retention(log: AuditLog, tenants: list[Tenant], settings: Settings) -> int:
    """Take away what is older than its tenant keeps it; return from how many entries.

    What was reported (``report``) is not touched: who must keep it decides that by hand
    (``chopmark audit retain``). What is held stays.

    Raises:
        AuditError: The log cannot be read or written.
    """
    own = [tenant for tenant in tenants if tenant.retention_days is not None]
    booked = []
    for tenant in own:
        periods = _periods(tenant.retention_days, tenant.blocked_retention_days)
        booked += log.custody.expire(periods, tenant=tenant.name)
    periods = _periods(settings.retention_days, settings.blocked_retention_days)
    if periods:
        booked += log.custody.expire(periods, but=frozenset(tenant.name for tenant in own))
    return sum(int(str(record.public["count"])) for record in booked)


def _periods(days: int | None, blocked: int | None) -> dict[RetentionClass, timedelta]:
    if days is None:
        return {} if blocked is None else {"blocked": timedelta(days=blocked)}
    return {
        "standard": timedelta(days=days),
        "blocked": timedelta(days=days if blocked is None else blocked),
    }


@contextmanager
def retaining(parts: Parts, *, every_s: float = _EVERY_S) -> Iterator[None]:
    """End retention once an hour while a server runs; what stands beside the log goes along.

    Of several servers with one database, one ends it for all.
    """
    with leased(parts, "retention", lasts_s=1.5 * every_s) as is_mine:

        def turn() -> None:
            if is_mine():
                with AccessStore.open(parts.home, database=parts.settings.database) as store:
                    tenants = store.tenants()
                end_retention(parts.log, tenants, parts.settings)
            # What lies in this home goes with what any server took away.
            forget_beside_the_log(parts.home, parts.log, settings=parts.settings)
            parts.log.custody.attachments.drop_older(
                timedelta(hours=parts.settings.cached_answers_hours)
            )

        with repeating(
            turn, every_s=every_s, name="retention", warning=RetentionWarning, at_once=True
        ):
            yield

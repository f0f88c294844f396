"""``/console``: where people work through what was judged, and see to the log.

Every look is an entry of the log before anything is shown; the desk of the audit room sees to that
and to who may see what. These pages only ask it.
"""

from __future__ import annotations

from fastapi import APIRouter

from chopmark.web.console import (
    actions,
    appeals,
    charts,
    custody,
    cybertip,
    exports,
    hash_lists,
    log_health,
    people,
    policies,
    queue,
    record,
    report,
    seals,
    search,
    webhooks,
    worklist,
)

__all__ = ["PARTS", "router"]

router = APIRouter(include_in_schema=False)
PARTS = (
    queue,
    worklist,
    record,
    actions,
    seals,
    appeals,
    search,
    people,
    policies,
    hash_lists,
    charts,
    log_health,
    exports,
    custody,
    cybertip,
    webhooks,
    report,
)
for part in PARTS:
    router.include_router(part.router, prefix="/console")

"""Charts, counted in the projection: volume, refusals by category, overturns, latency by stage."""

from __future__ import annotations

import datetime as dt
import time
from statistics import median
from typing import TYPE_CHECKING, Any, Final, get_args

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse

from chopmark.audit import volumes
from chopmark.pipeline.steps import Stage, in_thread
from chopmark.service.deployment import TheService
from chopmark.web.console.desk import DeskViewer, console_page, log_of
from chopmark.web.words import category, stage

if TYPE_CHECKING:
    from pathlib import Path

    from chopmark.audit import AuditLog, Record

__all__ = ["router"]

router = APIRouter()
_DAYS: Final = (7, 30, 90)
#: Requests that the latency is taken from.
_NEWEST: Final = 1_000


@router.get("/charts")
async def charts(
    request: Request, viewer: DeskViewer, service: TheService, days: int = 7
) -> Response:
    """Show the charts, and the same numbers as tables."""
    days = days if days in _DAYS else 7
    counted = await in_thread(lambda: _counted(log_of(request), viewer.tenant, days))
    age = await in_thread(lambda: _checkpoint_age(service.pipeline.parts.home))
    return console_page(
        request, viewer, "console/charts.html", days=days, choices=_DAYS, counted=counted, age=age
    )


@router.get("/charts.json")
async def numbers(request: Request, viewer: DeskViewer, days: int = 7) -> Response:
    """Return what the charts are drawn from."""
    days = days if days in _DAYS else 7
    counted = await in_thread(lambda: _counted(log_of(request), viewer.tenant, days))
    return JSONResponse(counted)


def _counted(log: AuditLog, tenant: str | None, days: int) -> dict[str, Any]:
    today = dt.datetime.now(dt.UTC).date()
    first = today - dt.timedelta(days=days - 1)
    dates = [(first + dt.timedelta(days=i)).isoformat() for i in range(days)]
    log.search.update()
    found = volumes(log.search, since=dates[0], tenant=tenant)
    ended = sum(map(sum, (by.values() for by in (found.made, found.refused, found.failed))))
    # The newest show how quick it is; the days before that are as they were.
    newest = log.find(kind="request.completed", tenant=tenant, since=dates[0], limit=_NEWEST)
    return {
        "days": dates,
        "made": [found.made.get(day, 0) for day in dates],
        "refused": [found.refused.get(day, 0) for day in dates],
        "failed": [found.failed.get(day, 0) for day in dates],
        "ended": ended,
        "by_category": [
            {"name": category(name), "count": count, "rate": count / max(ended, 1)}
            for name, count in found.categories.items()
        ],
        "reviews": found.reviews,
        "appeals": found.appeals,
        "latency": _latency(newest, dates),
    }


def _latency(entries: list[Record], dates: list[str]) -> dict[str, Any]:
    """Return the median milliseconds of each stage, in all and by day."""
    spent: dict[str, dict[str, list[float]]] = {}
    for entry in entries:
        timings = entry.public.get("timings_ms")
        for name, ms in (timings if isinstance(timings, dict) else {}).items():
            if isinstance(ms, int | float):
                spent.setdefault(name, {}).setdefault(entry.time[:10], []).append(float(ms))
    spent = {name: spent[name] for name in sorted(spent, key=_place)}
    return {
        "names": [stage(name) for name in spent],
        "median": [
            round(median([ms for day in by.values() for ms in day]), 1) for by in spent.values()
        ],
        "by_day": [
            [round(median(by[day]), 1) if day in by else None for day in dates]
            for by in spent.values()
        ],
    }


def _place(name: str) -> int:
    order: tuple[str, ...] = get_args(Stage)
    return order.index(name) if name in order else len(order)


def _checkpoint_age(home: Path) -> float | None:
    try:
        age = time.time() - (home / "audit" / "checkpoint").stat().st_mtime
    except OSError:
        return None
    return max(age, 0.0)

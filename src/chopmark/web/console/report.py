"""The transparency report of a period, on a page."""

from __future__ import annotations

import re
from typing import Any, Final

from fastapi import APIRouter, Request, Response

from chopmark.errors import InvalidRequest
from chopmark.pipeline.steps import in_thread
from chopmark.web.console.desk import DeskViewer, console_page, desk_of

__all__ = ["router"]

router = APIRouter()
_DAY: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")


@router.get("/report")
async def report(
    request: Request, viewer: DeskViewer, since: str = "", until: str = ""
) -> Response:
    """Count a period from the public entries, and show it."""
    for day in (since, until):
        if day and not _DAY.fullmatch(day):
            raise InvalidRequest("a day is none", hint="YYYY-MM-DD")
    desk = await desk_of(request, viewer, "transparency report")
    counted: dict[str, Any] = await in_thread(
        lambda: desk.export.report(since=since, until=until or "9999")
    )
    refusals = counted["refusals"]
    tables = (
        ("Requests", counted["requests"]),
        ("Refusals by category", refusals["by_category"]),
        ("Refusals by stage", refusals["by_stage"]),
        ("Refusals by automation", refusals["by_automation"]),
        ("Reviews", counted["reviews"]),
        ("Second opinions", _agreement(counted["second_opinions"])),
        ("Appeals", counted["appeals"]),
        ("Everything else", counted["other_events"]),
        ("Median seconds", counted["median_seconds"]),
    )
    return console_page(
        request,
        viewer,
        "console/report.html",
        report=counted,
        tables=tables,
        since=since,
        until=until,
    )


def _agreement(counted: dict[str, Any]) -> dict[str, Any]:
    """Return the counts of second opinions and their kappa, a line each."""
    kappa, interval = counted["kappa"], counted["interval"]
    told = "too few to say" if kappa is None else f"{kappa} ({interval[0]} to {interval[1]})"
    named = {"n": "given", "agreed": "agreed", "passed_on": "passed on"}
    lines = {label: counted[name] for name, label in named.items() if counted[name]}
    return {**lines, "Cohen's kappa (95 %)": told} if counted["n"] else lines

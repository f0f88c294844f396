"""One record: what was asked, what the guards said, what came of it, and what is like it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Final

from fastapi import APIRouter, Form, Request, Response
from fastapi.responses import RedirectResponse

from chopmark.audit import withdrawn_at
from chopmark.audit.desk.view import is_restricted
from chopmark.errors import NotPermitted
from chopmark.kit.limits import PURPOSE
from chopmark.pipeline.steps import in_thread
from chopmark.service.deployment import TheIdentity, the_service
from chopmark.service.released import links_to
from chopmark.web.console.content import content_of, copy_of, data_url
from chopmark.web.console.desk import DeskViewer, console_page, desk_of, log_of, reason_of
from chopmark.web.console.notices import notice_code
from chopmark.web.console.presets import presets_for
from chopmark.web.console.results import results_of
from chopmark.web.page_state import ThePageState

if TYPE_CHECKING:
    from chopmark.audit import Desk, Hit, Record, Task, View
    from chopmark.web.viewers import Viewer

__all__ = ["router"]

router = APIRouter()
_REVIEW: Final = "review"
_GREY: Final = "chopmark_grey"
_YEAR_S: Final = 365 * 86_400
_LIKE: Final = 12


@router.get("/records/{record_id}")
async def record(
    record_id: str,
    request: Request,
    viewer: DeskViewer,
    state: ThePageState,
) -> Response:
    """Show a record: with its content to whoever holds it or says why (``why``), else without."""
    why = reason_of(request, viewer)
    desk = await desk_of(request, viewer, why or _REVIEW)
    records = await in_thread(lambda: desk.records(record_id))
    held = await in_thread(lambda: _held(desk, viewer, records[0].record_id))
    if held is None and not why:
        return console_page(
            request,
            viewer,
            "console/record.html",
            records=records,
            opened=None,
            task=None,
            like=[],
            history=[],
            shown=None,
            purpose="",
            grey=False,
            why="",
            **await in_thread(lambda: _facts(request, desk, viewer, records)),
            sealed=is_restricted(records),
            wish=state.unseal_requests.of(records[0].record_id, viewer.caller.actor()),
        )
    return await _open(request, viewer, desk, records[0].record_id, purpose=why or _REVIEW)


@router.post("/records/{record_id}/unblur")
async def unblur(
    record_id: str,
    request: Request,
    viewer: DeskViewer,
    name: Annotated[str, Form(max_length=40)] = "",
    purpose: Annotated[str, Form(max_length=PURPOSE.most)] = _REVIEW,
) -> Response:
    """Book that a picture is shown, then show it."""
    desk = await desk_of(request, viewer, purpose or _REVIEW)
    await in_thread(lambda: desk.unblur(record_id))
    grey = request.cookies.get(_GREY) == "1"
    copy = await in_thread(lambda: copy_of(log_of(request), record_id, name, grey=grey))
    return await _open(
        request, viewer, desk, record_id, purpose=purpose or _REVIEW, shown=(name, data_url(copy))
    )


@router.post("/preferences")
async def prefer(
    identity: TheIdentity,
    _viewer: DeskViewer,
    grey: Annotated[str, Form()] = "",
    back: Annotated[str, Form(pattern="^[0-9a-f]{16}$")] = "0" * 16,
) -> Response:
    """Keep, for this person's browser, how pictures are shown that they ask for."""
    answer = RedirectResponse(f"/console/records/{back}", status_code=303)
    answer.set_cookie(
        _GREY,
        "1" if grey else "0",
        max_age=_YEAR_S,
        httponly=True,
        samesite="strict",
        secure=identity.secure,
        path="/console",
    )
    return answer


async def _open(
    request: Request,
    viewer: Viewer,
    desk: Desk,
    record_id: str,
    *,
    purpose: str,
    shown: tuple[str, str] | None = None,
) -> Response:
    def found() -> tuple[View, Task | None, list[Hit], list[Hit]]:
        view = desk.view(record_id)
        name = view.records[0].record_id
        return view, _held(desk, viewer, name), *_like(request, desk, view)

    view, task, like, history = await in_thread(found)
    why = purpose if purpose != _REVIEW and "investigator" in viewer.roles else ""
    return console_page(
        request,
        viewer,
        "console/record.html",
        records=view.records,
        opened=content_of(view),
        task=task,
        like=await results_of(request, viewer, like, why),
        history=await results_of(request, viewer, history, why),
        shown=shown,
        purpose=purpose,
        why=why,
        grey=request.cookies.get(_GREY) == "1",
        **await in_thread(lambda: _facts(request, desk, viewer, list(view.records), view)),
    )


def _facts(
    request: Request,
    desk: Desk,
    viewer: Viewer,
    records: list[Record],
    view: View | None = None,
) -> dict[str, Any]:
    """Return what the page says of a record besides its content, and the reasons it offers."""
    kinds = {entry.kind for entry in records}
    content = log_of(request).content(records[0].index) if view is not None else None
    subject, tenant = (content.subject if content else None), records[0].tenant
    person = None
    if subject is not None:
        person = subject if subject.startswith(f"{tenant}:") else f"{tenant}:{subject}"
    categories = [
        str(name)
        for entry in records
        if isinstance(listed := entry.public.get("categories"), list)
        for name in listed
    ]
    held = any(entry.public.get("held") for entry in records)
    excepted = None
    if "exception.granted" in kinds and "reviewer" in viewer.roles:
        standing = {one.record_id: one.until for one in desk.appeals.exceptions()}
        excepted = standing.get(records[0].record_id)
    return {
        "excepted": excepted,
        "withdrawn": withdrawn_at(records),
        "released": _released(request, viewer, records),
        "left": bool(kinds & {"request.completed", "output.released"}),
        "held": held and "output.released" not in kinds,
        "refused": "request.refused" in kinds,
        "person": person,
        "presets": presets_for(categories),
        "hash_lists": the_service(request).pipeline.settings.hash_lists is not None,
    }


def _released(request: Request, viewer: Viewer, records: list[Record]) -> str:
    """Return the link to what this person has just released; nobody else is shown it."""
    last = next((one for one in reversed(records) if one.kind == "output.released"), None)
    if last is None or notice_code(request) != "released":
        return ""
    if (log_of(request).private(last.index) or {}).get("by") != viewer.name:
        return ""
    return str(links_to(the_service(request).pipeline.parts, last)["url"])


def _held(desk: Desk, viewer: Viewer, record_id: str) -> Task | None:
    """Return the task if the viewer holds it now."""
    try:
        tasks = desk.review.tasks(record_id=record_id)
    except NotPermitted:
        return None
    mine = [task for task in tasks if task.holder == viewer.name and task.until]
    return mine[0] if mine and mine[0].decision is None else None


def _like(request: Request, desk: Desk, view: View) -> tuple[list[Hit], list[Hit]]:
    """Return records with a picture like one of this record's, and those of the same person."""
    from chopmark.audit import Query

    first, like = view.records[0], []
    for private in view.private:
        hashes = (private or {}).get("pdq")
        for pdq in (hashes if isinstance(hashes, dict) else {}).values():
            like += desk.search(Query(similar_to=str(pdq)), limit=_LIKE)
    content = log_of(request).content(first.index)
    subject = content.subject if content is not None else None
    history = desk.search(Query(subject=subject), limit=_LIKE) if subject else []
    once = {hit.record_id: hit for hit in like if hit.record_id != first.record_id}
    return list(once.values())[:_LIKE], [h for h in history if h.record_id != first.record_id]

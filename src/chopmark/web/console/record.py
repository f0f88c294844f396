"""One record: what was asked, what the guards said and why, what came of it, and what is like it."""

from __future__ import annotations

import base64
import binascii
import io
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Final

from fastapi import APIRouter, Form, Request, Response
from PIL import Image, ImageFilter, ImageOps

from chopmark.errors import NotPermitted, RecordNotFound
from chopmark.stages import in_thread
from chopmark.web.console.seat import AtDesk, desk_of, log_of, seated
from chopmark.web.spans import Piece, pieces

if TYPE_CHECKING:
    from collections.abc import Mapping

    from chopmark.audit import Desk, Hit, Record, Task, View
    from chopmark.web.viewers import Viewer

__all__ = ["Copy", "Opened", "opened_of", "router"]

router = APIRouter()
_REVIEW: Final = "review"
_LIKE: Final = 12
_BLURRED_SIDE: Final = 240


@dataclass(frozen=True, kw_only=True)
class Copy:
    """The small copy of a picture that a guard flagged.

    Attributes:
        name: The output's id, or its number where it never left.
        blurred: A ``data:`` URL, grey and blurred: what nobody asked for never reaches the browser.
        boxes: Left, top, width and height in percent, and the category, of what a guard points at.
    """

    name: str
    blurred: str
    boxes: tuple[tuple[float, float, float, float, str], ...] = ()


@dataclass(frozen=True, kw_only=True)
class Opened:
    """A record's content, ready to be shown.

    Attributes:
        prompt: The prompt, cut at the spans that evidence points to.
        verdicts: Each stage's verdict, from the public part.
        evidence: Category, kind and detail of each reason.
        copies: Pictures that can be shown blurred.
        said: What else was written: appeals, rationales, who looked why.
    """

    prompt: list[Piece]
    verdicts: list[dict[str, Any]]
    evidence: list[dict[str, Any]]
    copies: list[Copy]
    said: list[tuple[str, str, str]]
    erased: bool


@router.get("/records/{record_id}")
async def record(record_id: str, request: Request, viewer: AtDesk) -> Response:
    """Show a record: with its content to whoever holds it, else without."""
    desk = await desk_of(request, viewer, _REVIEW)
    records = await in_thread(lambda: desk.records(record_id))
    held = await in_thread(lambda: _held(desk, viewer, records[0].record_id))
    if held is None:
        return seated(request, viewer, "console/record.html", records=records, opened=None,
                      task=None, like=[], history=[], shown=None, purpose="")  # fmt: skip
    return await _open(request, viewer, desk, records[0].record_id, purpose=_REVIEW)


@router.post("/records/{record_id}/open")
async def open_record(
    record_id: str, request: Request, viewer: AtDesk, purpose: Annotated[str, Form()] = ""
) -> Response:
    """Show a record's content to an investigator who says why."""
    desk = await desk_of(request, viewer, purpose[:500])
    return await _open(request, viewer, desk, record_id, purpose=purpose[:500])


@router.post("/records/{record_id}/unblur")
async def unblur(
    record_id: str,
    request: Request,
    viewer: AtDesk,
    name: Annotated[str, Form(max_length=40)] = "",
    purpose: Annotated[str, Form(max_length=500)] = _REVIEW,
) -> Response:
    """Book that a picture is shown, then show it."""
    desk = await desk_of(request, viewer, purpose or _REVIEW)
    await in_thread(lambda: desk.unblur(record_id))
    copy = await in_thread(lambda: _copy_of(request, record_id, name))
    return await _open(
        request, viewer, desk, record_id, purpose=purpose or _REVIEW, shown=(name, _url(copy))
    )


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
    return seated(
        request,
        viewer,
        "console/record.html",
        records=view.records,
        opened=opened_of(view),
        task=task,
        like=like,
        history=history,
        shown=shown,
        purpose=purpose,
    )


def _held(desk: Desk, viewer: Viewer, record_id: str) -> Task | None:
    """Return the task if the viewer holds it now."""
    try:
        tasks = desk.tasks(record_id=record_id)
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


def opened_of(view: View) -> Opened:
    text, verdicts, evidence, copies, said = "", [], [], [], []
    for entry, private in zip(view.records, view.private, strict=True):
        inside: Mapping[str, Any] = private or {}
        if entry.kind == "request.received":
            prompts = (inside.get("prompt", ""), inside.get("negative_prompt", ""))
            text = "\n".join(str(part) for part in prompts if part)
        for name in ("texts",):
            listed = inside.get(name)
            text = text or ("\n".join(map(str, listed)) if isinstance(listed, list) else "")
        verdicts += _verdicts(entry)
        listed = inside.get("evidence")
        evidence += [item for one in listed or [] for item in (one if isinstance(one, list) else [one])]
        looks = inside.get("looks")
        shown = looks.items() if isinstance(looks, dict) else ()
        copies += [copy for name, look in shown if (copy := _copy(name, look)) is not None]
        for key in ("statement", "rationale", "reason"):
            if inside.get(key):
                said.append((entry.kind, str(inside.get("by", "")), str(inside[key])))
    spans = [
        (item["start"], item["end"], str(item.get("category", "")))
        for item in evidence
        if isinstance(item, dict)
        and isinstance(item.get("start"), int)
        and isinstance(item.get("end"), int)
    ]
    return Opened(
        prompt=pieces(text, spans),
        verdicts=verdicts,
        evidence=[item for item in evidence if isinstance(item, dict)],
        copies=copies,
        said=said,
        erased=not text,
    )


def _verdicts(entry: Record) -> list[dict[str, Any]]:
    found: list[Any] = [entry.public.get("verdict")]
    for name in ("verdicts", "outputs", "withheld"):
        listed = entry.public.get(name)
        found += [
            one.get("verdict", one)
            for one in (listed if isinstance(listed, list) else [])
            if isinstance(one, dict)
        ]
    return [one for one in found if isinstance(one, dict) and "action" in one]


def _copy(name: str, look: Any) -> Copy | None:
    data = _webp(look)
    if data is None:
        return None
    listed = look.get("boxes")
    boxes = [
        (float(box[0]), float(box[1]), float(box[2]), float(box[3]), str(box[4]))
        for box in (listed if isinstance(listed, list) else [])
        if isinstance(box, list) and len(box) == 5
    ]
    return Copy(name=name, blurred=_url(_blur(data)), boxes=tuple(boxes))


def _webp(look: Any) -> bytes | None:
    try:
        text = look.get("webp") if isinstance(look, dict) else None
        return base64.b64decode(text, validate=True) if isinstance(text, str) else None
    except binascii.Error:
        return None


def _url(data: bytes) -> str:
    return "data:image/webp;base64," + base64.b64encode(data).decode()


def _copy_of(request: Request, record_id: str, name: str) -> bytes:
    log = log_of(request)
    for entry in log.records(record_id):
        private = log.private(entry.index) or {}
        looks = private.get("looks")
        data = _webp(looks.get(name)) if isinstance(looks, dict) else None
        if data is not None:
            return data
    raise RecordNotFound(f"no picture {name[:40]} is kept with record {record_id[:16]}")


def _blur(data: bytes) -> bytes:
    with Image.open(io.BytesIO(data)) as picture:
        grey = ImageOps.contain(picture.convert("L"), (_BLURRED_SIDE, _BLURRED_SIDE))
    out = io.BytesIO()
    radius = max(grey.size) / 14
    grey.filter(ImageFilter.GaussianBlur(radius)).save(out, "WEBP", quality=60)
    return out.getvalue()

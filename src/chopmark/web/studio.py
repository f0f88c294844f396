"""``/studio``: make pictures, see what happens on the way, pick one."""

from __future__ import annotations

import base64
import json
from collections import defaultdict
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any, Final

from fastapi import APIRouter, File, Form, Request, Response, UploadFile
from fastapi.responses import StreamingResponse

from chopmark.errors import AnswerErased, ChopmarkError, RecordNotFound
from chopmark.kit import limits
from chopmark.kit.ids import record_of
from chopmark.pipeline.released import Refused
from chopmark.pipeline.request import EditRequest, GenerationRequest
from chopmark.pipeline.steps import in_thread
from chopmark.pipeline.withdrawals import refuse_withdrawn
from chopmark.service.deployment import TheService
from chopmark.service.watch import WatchedGeneration
from chopmark.web.fields import number_in, share_in, size_in
from chopmark.web.held_pictures import owner
from chopmark.web.page_state import ThePageState
from chopmark.web.render import is_part, page, render
from chopmark.web.text_pieces import pieces
from chopmark.web.verify import report_page
from chopmark.web.viewers import StudioViewer
from chopmark.web.words import MODELS_PAGE, PROGRESS, progress_step

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from chopmark.audit import AppealState, AuditLog
    from chopmark.pipeline.released import Output
    from chopmark.service.service import Service
    from chopmark.service.watch import GenerationState
    from chopmark.web.held_pictures import HeldResult
    from chopmark.web.page_state import PageState
    from chopmark.web.viewers import Viewer

__all__ = ["router"]

router = APIRouter(include_in_schema=False)
_SIZES: Final = (256, 384, 512, 768, 1024)
_PREVIEWS: Final = 2
_MOST_OF_IT: Final = 0.7
#: Prompts that the first view offers, of those that the model's folder names.
_OFFERED: Final = 6
_FORMATS: Final = ("png", "jpeg", "webp", "avif")


@router.get("/studio")
async def studio(request: Request, service: TheService, _viewer: StudioViewer) -> Response:
    """Show the form."""
    return page(request, "studio.html", **await _form(service), result="", asked=defaultdict(str))


@router.post("/studio")
async def make(
    request: Request,
    service: TheService,
    viewer: StudioViewer,
    state: ThePageState,
    prompt: Annotated[str, Form()] = "",
    negative_prompt: Annotated[str, Form()] = "",
    n: Annotated[str, Form()] = "1",
    size: Annotated[str, Form()] = "",
    seed: Annotated[str, Form()] = "",
    format: Annotated[str, Form()] = "",  # noqa: A002  the field's name
    strength: Annotated[str, Form()] = "",
    held: Annotated[str, Form()] = "",
    image: Annotated[UploadFile | None, File()] = None,
    references: Annotated[list[UploadFile] | None, File()] = None,
    mask: Annotated[UploadFile | None, File()] = None,
) -> Response:
    """Make pictures: a stream of parts where a script asks, else the whole page at the end."""
    fields: dict[str, Any] = {
        "prompt": prompt,
        "negative_prompt": negative_prompt,
        "n": number_in("n", n) or 1,
        "size": size_in(size),
        "seed": number_in("seed", seed),
        "format": format if format in _FORMATS else None,
        "previews": _PREVIEWS if is_part(request) else 0,
        "fresh": True,  # whoever presses the button again wants to see something else
    }
    picture = await image.read() if image is not None else b""
    if not picture and held:
        token, _, index = held.partition("/")
        kept = await _kept(service, state, viewer, token, number_in("held", index) or 0)
        picture = kept.data
    # A browser sends an empty part where no file was chosen.
    pictures = [picture, *[await one.read() for one in references or ()]]
    first, *others = [one for one in pictures if one] or [b""]
    area = await mask.read() if mask is not None else b""
    asked = (
        EditRequest(
            **fields,
            image=first,
            references=tuple(others),
            mask=area or None,
            strength=share_in("strength", strength),
        )
        if first
        else GenerationRequest(**fields)
    )
    asked, fewer = _really_different(asked, service)
    parts = _parts(request, service, viewer, state, asked, fewer=fewer)
    if is_part(request):
        return StreamingResponse(
            _events(parts),
            media_type="text/event-stream",
            headers={"cache-control": "no-store", "x-accel-buffering": "no"},
        )
    status, html = 200, ""
    async for status, html in parts:  # noqa: B007  only the last part counts
        pass
    typed = {"prompt": prompt, "negative_prompt": negative_prompt, "n": n, "size": size}
    typed |= {"seed": seed, "format": format, "strength": strength}
    return page(
        request,
        "studio.html",
        status=status,
        **await _form(service),
        result=html,
        asked=defaultdict(str, typed),
    )


async def _parts(
    request: Request,
    service: Service,
    viewer: Viewer,
    state: PageState,
    asked: GenerationRequest,
    *,
    fewer: bool,
) -> AsyncIterator[tuple[int, str]]:
    """Yield a part of the page for each step, and at the end the pictures or why there are none."""
    generation = WatchedGeneration(
        request, service.make, viewer.caller, asked, identifier=viewer.name
    )
    try:
        step = 0
        async for now in generation.states():
            found = progress_step(now.stage)
            step = step if found is None else found
            yield 200, _progress(step, now)
        held = state.pictures.put(owner(viewer), asked.prompt, await generation.result())
        yield 200, _made(service, viewer, held, fewer=fewer)
    except Refused as error:
        request.state.error = error
        yield error.status, _refused(error, asked, viewer)
    except ChopmarkError as error:
        request.state.error = error
        yield (
            error.status,
            render(
                "_problem.html",
                message=error.message,
                hint=error.hint,
                code=error.code,
                status=error.status,
                title="",
                request_id=request.state.request_id,
            ),
        )
    finally:
        await generation.stop()


async def _events(parts: AsyncIterator[tuple[int, str]]) -> AsyncIterator[str]:
    async for _, html in parts:
        yield "".join(f"data: {line}\n" for line in html.splitlines()) + "\n"


def _progress(step: int, now: GenerationState) -> str:
    previews = [
        (one.index, f"data:{one.mime};base64,{base64.b64encode(one.data).decode()}")
        for one in now.previews
    ]
    return render("_progress.html", steps=PROGRESS, at=step, now=now, previews=previews)


def _really_different(asked: GenerationRequest, service: Service) -> tuple[GenerationRequest, bool]:
    """Ask for no more pictures than differ, and tell whether that is fewer than were wanted.

    To a model whose words are listed an edit means one picture, and a prompt as many as it leaves
    style and ground open.
    """
    taught = service.pipeline.parts.generator.info.taught
    if taught is None:
        return asked, False
    edit = isinstance(asked, EditRequest)
    most = 1 if edit else len(taught.choices(asked.prompt))
    return (replace(asked, n=most), True) if asked.n > most else (asked, False)


def _made(service: Service, viewer: Viewer, held: HeldResult, *, fewer: bool) -> str:
    rate = service.pipeline.settings.cost_per_hour
    spent = held.released.timings_ms
    return render(
        "_made.html",
        held=held,
        released=held.released,
        viewer=viewer,
        stages=[(name, ms, ms / max(sum(spent.values()), 1e-9)) for name, ms in spent.items()],
        total_ms=sum(spent.values()),
        rate=rate,
        models_page=MODELS_PAGE,
        fewer=fewer,
    )


def _refused(error: Refused, asked: GenerationRequest, viewer: Viewer) -> str:
    spans = [
        (item.start, item.end, item.category)
        for item in error.verdict.evidence
        if item.start is not None and item.end is not None
    ]
    text = "\n".join(filter(None, (asked.prompt, asked.negative_prompt)))
    # A model that speaks of the whole text points at nothing, where a rule points at words.
    spans = [one for one in spans if one[1] - one[0] < _MOST_OF_IT * len(text)] or spans
    return render(
        "_refused.html",
        error=error,
        verdict=error.verdict,
        pieces=pieces(text, spans) if error.stage == "input" else [],
        viewer=viewer,
    )


@router.get("/studio/pictures/{token}/{index}")
async def picture(
    token: str,
    index: int,
    service: TheService,
    viewer: StudioViewer,
    state: ThePageState,
    download: str = "",
) -> Response:
    """Return one picture of theirs, with its credentials inside."""
    output = await _kept(service, state, viewer, token, index)
    name = f"chopmark-{output.output_id}.{'jpg' if output.format == 'jpeg' else output.format}"
    kind = "attachment" if download else "inline"
    return Response(
        output.data,
        media_type=output.mime,
        headers={
            "content-disposition": f'{kind}; filename="{name}"',
            "cache-control": "private, no-store",
        },
    )


@router.get("/studio/receipts/{token}")
async def receipt(token: str, viewer: StudioViewer, state: ThePageState) -> Response:
    """Return the receipt as a file."""
    held = state.pictures.get(owner(viewer), token)
    name = f"receipt-{held.released.record_id}.json"
    return Response(
        json.dumps(held.released.receipt.to_dict(), indent=2) + "\n",
        media_type="application/json",
        headers={"content-disposition": f'attachment; filename="{name}"'},
    )


@router.post("/studio/pictures/{token}/{index}/verify")
async def verify_this(
    token: str,
    index: int,
    request: Request,
    service: TheService,
    viewer: StudioViewer,
    state: ThePageState,
) -> Response:
    """Show what anybody would be told of this picture."""
    output = await _kept(service, state, viewer, token, index)
    return await report_page(request, service, viewer, output.data)


@router.post("/studio/appeals")
async def appeal(
    request: Request,
    service: TheService,
    viewer: StudioViewer,
    decision: Annotated[str, Form()] = "",
    statement: Annotated[str, Form(max_length=limits.STATEMENT.most)] = "",
) -> Response:
    """Book an appeal of the person who was refused; of nobody else."""
    log = service.pipeline.parts.log

    def booked() -> None:
        _check_theirs(log, decision, viewer)
        log.appeals.open(decision, statement=statement, tenant=viewer.caller.tenant.name)

    await in_thread(booked)
    html = render("_appealed.html", decision=decision, state=None)
    if is_part(request):
        return Response(html, media_type="text/html")
    return page(request, "studio.html", **await _form(service), result=html, asked=defaultdict(str))


@router.get("/studio/appeals/{decision}")
async def appeal_state(
    decision: str, request: Request, service: TheService, viewer: StudioViewer
) -> Response:
    """Show the person who appealed how it stands."""
    log = service.pipeline.parts.log

    def found() -> AppealState:
        _check_theirs(log, decision, viewer)
        return log.appeals.state(decision, tenant=viewer.caller.tenant.name)

    state = await in_thread(found)
    html = render("_appealed.html", decision=decision, state=state)
    return page(request, "studio.html", **await _form(service), result=html, asked=defaultdict(str))


def _check_theirs(log: AuditLog, decision: str, viewer: Viewer) -> None:
    """Refuse what was not decided about this person, as if there were no such decision.

    Raises:
        RecordNotFound: It was not.
    """
    first = log.records(decision)[0]
    content, subject = log.content(first.index), viewer.caller.subject(viewer.name)
    theirs = content is not None and content.subject == subject
    if first.tenant != viewer.caller.tenant.name or not theirs:
        raise RecordNotFound(f"no decision {decision[:16]}")


async def _kept(
    service: Service, state: PageState, viewer: Viewer, token: str, index: int
) -> Output:
    """Return a picture of theirs that is still kept.

    Raises:
        RecordNotFound: It is not theirs, or is not kept any more.
        OutputWithdrawn: The desk withdrew it.
        AnswerErased: What they asked for was erased, wherever that was done.
    """
    output, parts = state.pictures.output(owner(viewer), token, index), service.pipeline.parts

    def check() -> None:
        refuse_withdrawn(parts, output.output_id)
        if parts.log.custody.contentless([record_of(output.output_id)]):
            state.pictures.drop(token)
            raise AnswerErased(
                "what was asked for here was erased, and its pictures with it",
                hint="make a new one",
            )

    await in_thread(check)
    return output


async def _form(service: Service) -> dict[str, Any]:
    settings = service.pipeline.settings
    info = await in_thread(lambda: service.pipeline.parts.generator.info)
    wide, high = info.default_size
    squares = [(side, side) for side in _SIZES if side <= info.max_size]
    more = [(wide, high * 3 // 4 // 16 * 16), (wide * 3 // 4 // 16 * 16, high)]
    every = max(1, len(info.taught.examples) // _OFFERED) if info.taught else 1
    return {
        "model": info,
        # From all over the list: it begins with the plainest.
        "examples": info.taught.examples[::every][:_OFFERED] if info.taught else (),
        "models_page": MODELS_PAGE,
        "sizes": squares + [pair for pair in more if max(pair) <= info.max_size],
        "formats": _FORMATS,
        "settings": settings,
        "most_references": min(info.max_images - 1, settings.max_references),
        "can_edit": "edit" in info.supports,
        "can_inpaint": "inpaint" in info.supports,
    }

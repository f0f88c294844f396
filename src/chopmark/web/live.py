"""``/studio/live``: the picture follows what is typed, as previews, until it is made in earnest."""

from __future__ import annotations

import base64
import json
import re
from functools import partial
from typing import TYPE_CHECKING, Annotated, Final

from fastapi import APIRouter, Form, Request, Response
from fastapi.responses import StreamingResponse

from chopmark.errors import Cancelled, ChopmarkError, InvalidRequest
from chopmark.pipeline.released import Refused
from chopmark.pipeline.request import GenerationRequest
from chopmark.pipeline.steps import in_thread
from chopmark.service.deployment import TheDeployment, TheService
from chopmark.service.watch import WatchedGeneration
from chopmark.web.fields import number_in, size_in
from chopmark.web.viewers import StudioViewer

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from chopmark.kit.types import JsonValue
    from chopmark.service.service import Service

__all__ = ["router"]

router = APIRouter(include_in_schema=False)
_NAME: Final = re.compile(r"[A-Za-z0-9_-]{8,64}")


@router.post("/studio/live")
async def live(
    request: Request,
    service: TheService,
    deployment: TheDeployment,
    viewer: StudioViewer,
    sitting: Annotated[str, Form()] = "",
    prompt: Annotated[str, Form()] = "",
    negative_prompt: Annotated[str, Form()] = "",
    seed: Annotated[str, Form()] = "",
    size: Annotated[str, Form()] = "",
) -> Response:
    """Draw one wish of a sitting, as a stream of events; the next one ends it.

    The events: ``heard`` (words that the model never learned), ``look`` (a preview), and at the end
    ``done``, ``refused``, ``superseded`` or ``failed``.
    """
    asked = GenerationRequest(
        prompt=prompt,
        negative_prompt=negative_prompt,
        seed=number_in("seed", seed),
        size=size_in(size),
        fresh=True,
    )
    name = _name(sitting)
    generation = WatchedGeneration(
        request,
        partial(deployment.sittings.wish, name=name),
        viewer.caller,
        asked,
        identifier=viewer.name,
    )
    return StreamingResponse(
        _events(request, service, generation, prompt),
        media_type="text/event-stream",
        headers={"cache-control": "no-store", "x-accel-buffering": "no"},
    )


@router.post("/studio/live/end")
async def end(
    deployment: TheDeployment, viewer: StudioViewer, sitting: Annotated[str, Form()] = ""
) -> Response:
    """End a sitting, as its page is closed; one that is not there has ended already."""
    await deployment.sittings.end(viewer.caller, viewer.name, _name(sitting))
    return Response(status_code=204)


async def _events(
    request: Request, service: Service, generation: WatchedGeneration[None], prompt: str
) -> AsyncIterator[str]:
    try:
        taught = (await in_thread(lambda: service.pipeline.parts.generator.info)).taught
        unknown = list(taught.unknown(prompt)) if taught else []
        yield _event("heard", {"unknown": [*unknown]})
        async for look in generation.previews():
            if look is None:
                yield ": still at work\n\n"
                continue
            source = f"data:{look.mime};base64,{base64.b64encode(look.data).decode()}"
            yield _event("look", {"src": source, "step": look.step, "steps": look.steps})
        await generation.result()
        yield _event("done", {})
    except Cancelled:
        yield _event("superseded", {})
    except ChopmarkError as error:
        request.state.error = error
        name = "refused" if isinstance(error, Refused) else "failed"
        yield _event(name, {"message": error.message, "hint": error.hint, "code": error.code})
    finally:
        await generation.stop()


def _name(text: str) -> str:
    """Return the name of a sitting, which its page chose.

    Raises:
        InvalidRequest: It is none.
    """
    if not _NAME.fullmatch(text):
        raise InvalidRequest(
            "sitting is not 8 to 64 letters and digits",
            hint="choose a random name for each page",
            param="sitting",
        )
    return text


def _event(name: str, data: dict[str, JsonValue]) -> str:
    return f"event: {name}\ndata: {json.dumps(data)}\n\n"

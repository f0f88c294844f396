"""Where the addresses of ``response_format: url`` lead."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from fastapi import APIRouter, Path, Query, Request, Response

from chopmark.errors import PictureNotFound
from chopmark.kit.ids import record_of
from chopmark.pipeline.steps import in_thread
from chopmark.service.deployment import Deployment, TheService
from chopmark.service.problems import RESPONSES
from chopmark.service.shared_pictures import SharedPictures, was_erased
from chopmark.service.state import state_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from chopmark.pipeline.released import Output
    from chopmark.service.caller import Caller

__all__ = ["address_of", "router"]

router = APIRouter(prefix="/v1", responses=RESPONSES, tags=["openai"])


@router.get(
    "/images/content/{name}",
    response_class=Response,
    include_in_schema=False,  # whoever has an address need know no more of it
)
async def content(
    name: Annotated[str, Path(max_length=40)],
    request: Request,
    service: TheService,
    expires: Annotated[int, Query(ge=0, le=2**40)],
    signature: Annotated[str, Query(max_length=128)],
) -> Response:
    """Give out a picture to whoever has its address, as long as that is good."""
    shared = state_of(request.app, SharedPictures)
    picture = await in_thread(lambda: shared.get(name, expires=expires, signature=signature))
    if await in_thread(lambda: was_erased(service.pipeline.parts, picture.record_ids)):
        raise PictureNotFound("there is no picture at this address, or not any more")
    return Response(
        picture.data,
        media_type=picture.mime,
        headers={
            "cache-control": "private, no-store",
            "content-disposition": f'inline; filename="{name}"',
            "x-record-id": record_of(name[:16]),
        },
    )


def address_of(request: Request, caller: Caller, record_id: str) -> Callable[[Output], str] | None:
    """Return what makes the addresses of a request's pictures; it may wait for a disk.

    ``None`` where ``Settings.public_url`` does not say under which name clients reach the server.
    """
    root = state_of(request.app, Deployment).settings.public_url.rstrip("/")
    shared = state_of(request.app, SharedPictures)
    tenant = caller.tenant.name
    return (lambda output: root + shared.share(tenant, output, record_id)) if root else None

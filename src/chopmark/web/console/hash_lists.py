"""The hash lists: how much is on each, and a picture more."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated, Any, Final

from fastapi import APIRouter, File, Form, Request, Response, UploadFile

from chopmark.errors import InvalidRequest
from chopmark.pipeline.steps import in_thread
from chopmark.safety.hashes.bank import HashBank
from chopmark.safety.hashes.state import ListState
from chopmark.service.deployment import TheService
from chopmark.service.hash_entries import add_entry
from chopmark.web.console.desk import DeskViewer, console_page
from chopmark.web.console.notices import after

if TYPE_CHECKING:
    from chopmark.pipeline.parts import Parts
    from chopmark.safety.hashes.compiled import CompiledBank

__all__ = ["LIST_NAME", "router"]

router = APIRouter()
LIST_NAME: Final = "^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$"


@dataclass(frozen=True, kw_only=True)
class HashList:
    """A hash list: its name, where it is from and how much is on it; never what."""

    name: str
    state: ListState
    entries: int
    categories: dict[str, int]


@router.get("/hashes")
async def hashes(
    request: Request,
    viewer: DeskViewer,
    service: TheService,
) -> Response:
    """Show the hash lists."""
    folder = service.pipeline.settings.hash_lists is not None
    return console_page(
        request,
        viewer,
        "console/hashes.html",
        banks=await in_thread(lambda: _banks(service.pipeline.parts)),
        folder=folder,
        may_add=folder and "operator" in viewer.roles and viewer.tenant is None,
    )


@router.post("/hashes/add")
async def add(
    request: Request,
    service: TheService,
    viewer: DeskViewer,
    image: Annotated[UploadFile | None, File()] = None,
    name: Annotated[str, Form(alias="list", pattern=LIST_NAME)] = "desk",
) -> Response:
    """Put a picture on a list; it is not kept."""
    viewer.caller.must_be("operator", of_every_tenant=True)
    data = await image.read() if image is not None else b""
    if not data:
        raise InvalidRequest("there is no picture", hint="choose a file", param="image")
    parts, actor = service.pipeline.parts, viewer.caller.actor()
    # Whoever runs the lists need not be let into the log to have it booked.
    booking = parts.log.desk(
        replace(actor, roles=actor.roles | {"reader"}), purpose=f"hash list {name}"
    )

    def put() -> dict[str, Any]:
        return add_entry(parts, booking, name, image=data)

    added = await service.look(request, viewer.caller, [data], put)
    count = sum(added["added"].values())
    return after("/console/hashes", "listed", count, added["entries"])


def _banks(parts: Parts) -> list[HashList]:
    """Return every list, also one that is switched off."""
    from chopmark.safety.hashes.bank import test_bank
    from chopmark.safety.hashes.folder import list_paths, open_list
    from chopmark.safety.hashes.state import read_state

    folder = parts.settings.hash_lists
    built_in = test_bank()
    banks = [
        HashList(
            name=built_in.name,
            state=ListState(source="built in, for tests"),
            entries=len(built_in.entries),
            categories=_counted(built_in),
        )
    ]
    for path in list_paths(folder) if folder is not None and folder.is_dir() else ():
        found = open_list(path)
        entries = len(found.entries) if isinstance(found, HashBank) else len(found)
        banks.append(
            HashList(
                name=found.name,
                state=read_state(path),
                entries=entries,
                categories=_counted(found),
            )
        )
    return banks


def _counted(bank: HashBank | CompiledBank) -> dict[str, int]:
    if isinstance(bank, HashBank):
        return dict(Counter(entry.category for entry in bank.entries))
    return bank.categories

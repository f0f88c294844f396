"""Hash lists over HTTP: what lists there are, whether a picture is on one, a new version of one."""

from __future__ import annotations

from collections import Counter
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path as FilePath
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated, Any

from fastapi import APIRouter, File, Path, Query, Request, UploadFile
from pydantic import Field, ValidationError
from starlette.datastructures import UploadFile as StarletteUpload

from chopmark.errors import InvalidRequest
from chopmark.kit.limits import RATIONALE
from chopmark.kit.raw_picture import as_image
from chopmark.pipeline.steps import in_thread
from chopmark.service.caller import AnyCaller, Moderator
from chopmark.service.deployment import TheService
from chopmark.service.hash_entries import add_entry, remove_entry
from chopmark.service.problems import RESPONSES
from chopmark.service.search_form import Strict

if TYPE_CHECKING:
    from collections.abc import Iterator

    from chopmark.safety.hashes.bank import HashBank
    from chopmark.service.service import Service

__all__ = ["router"]

router = APIRouter(prefix="/api/v1/hashes", responses=RESPONSES, tags=["hashes"])
ListName = Annotated[str, Path(pattern="^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$")]


class EntryBody(Strict):
    """The record whose pictures go on the list."""

    record_id: Annotated[str, Field(pattern="^[0-9a-f]{16}$")]
    category: Annotated[str | None, Field(min_length=1, max_length=64)] = None
    rationale: Annotated[str | None, Field(min_length=1, max_length=RATIONALE.most)] = None


_EITHER: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": ["image"],
                    "properties": {
                        "image": {"type": "string", "contentMediaType": "image/*"},
                        "category": {"type": "string", "minLength": 1, "maxLength": 64},
                        "rationale": {"type": "string", "maxLength": RATIONALE.most},
                    },
                }
            },
            "application/json": {"schema": EntryBody.model_json_schema()},
        },
    }
}


@router.get("")
async def lists(service: TheService, caller: AnyCaller) -> dict[str, Any]:
    """List names, sizes and categories; never an entry."""
    caller.must_be("operator", of_every_tenant=True)
    banks = await in_thread(lambda: _banks(service))
    return {
        "lists": [
            {
                "name": bank.name,
                "entries": len(bank.entries),
                "categories": dict(Counter(entry.category for entry in bank.entries)),
            }
            for bank in banks
        ]
    }


@router.post("/match")
async def match(
    image: Annotated[UploadFile, File()],
    request: Request,
    service: TheService,
    caller: Moderator,
) -> dict[str, Any]:
    """Look a picture up in every list. Neither it nor its hashes are kept."""
    data = await image.read()
    return await service.look(request, caller, [data], lambda: _match(data, service))


@router.post("/{name}/entries", openapi_extra=_EITHER)
async def add_one(
    name: ListName, request: Request, service: TheService, caller: AnyCaller
) -> dict[str, Any]:
    """Put one picture on a list, by upload or from a record; the next one like it is blocked.

    A list blocks for every tenant, so it takes an operator of all of them. `category` is optional.
    """
    caller.must_be("operator", of_every_tenant=True)
    parts, asked = service.pipeline.parts, await _entry_of(request)
    actor = replace(caller.actor(), roles=caller.actor().roles | {"reader"})
    image = asked.get("image")
    category = asked.get("category")

    def add() -> dict[str, Any]:
        return add_entry(
            parts,
            parts.log.desk(actor, purpose=f"hash list {name}"),
            name,
            image=image,
            record_id=asked.get("record_id"),
            category=category,
            rationale=asked.get("rationale", ""),
        )

    if image is None:
        return await in_thread(add)
    return await service.look(request, caller, [image], add)


@router.post("/{name}/entries/remove", openapi_extra=_EITHER)
async def remove_one(
    name: ListName, request: Request, service: TheService, caller: AnyCaller
) -> dict[str, Any]:
    """Take one picture off a list again, as it was put on it; `rationale` is needed."""
    caller.must_be("operator", of_every_tenant=True)
    parts, asked = service.pipeline.parts, await _entry_of(request)
    actor = replace(caller.actor(), roles=caller.actor().roles | {"reader"})
    image = asked.get("image")

    def remove() -> dict[str, Any]:
        return remove_entry(
            parts,
            parts.log.desk(actor, purpose=f"hash list {name}"),
            name,
            rationale=asked.get("rationale", ""),
            image=image,
            record_id=asked.get("record_id"),
        )

    if image is None:
        return await in_thread(remove)
    return await service.look(request, caller, [image], remove)


async def _entry_of(request: Request) -> dict[str, Any]:
    """Return the members of either form: a multipart upload, or JSON."""
    if request.headers.get("content-type", "").startswith("multipart/form-data"):
        async with request.form(max_files=1, max_fields=4) as form:
            file = form.get("image")
            if not isinstance(file, StarletteUpload):
                raise InvalidRequest("there is no picture", hint="the field image", param="image")
            texts = {name: form.get(name) for name in ("category", "rationale")}
            named = {name: text for name, text in texts.items() if text and isinstance(text, str)}
            if len(named.get("rationale", "")) > RATIONALE.most:
                raise InvalidRequest("the rationale is too long", param="rationale")
            return {"image": await file.read(), **named}
    try:
        return EntryBody.model_validate_json(await request.body()).model_dump(exclude_none=True)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "body"
        raise InvalidRequest(
            f"{where}: {first['msg']}", hint="send image as a form, or record_id as JSON"
        ) from None


@router.post("/{name}")
async def add_file(
    name: ListName,
    file: Annotated[UploadFile, File()],
    service: TheService,
    caller: AnyCaller,
    category: Annotated[str | None, Query(max_length=64)] = None,
) -> dict[str, Any]:
    """Add a file (CSV, ThreatExchange, NCMEC v2, StopNCII) to a list; retracted entries go out.

    A list blocks for every tenant, so it takes an operator of all of them.
    """
    caller.must_be("operator", of_every_tenant=True)
    data = await file.read()
    return await in_thread(lambda: _add_file(name, data, category, service))


def _banks(service: Service) -> list[HashBank]:
    from chopmark.safety.hashes.bank import read_csv, test_bank

    folder = service.pipeline.settings.hash_lists
    files = sorted(folder.glob("*.csv")) if folder is not None else []
    return [test_bank(), *map(read_csv, files)]


def _match(data: bytes, service: Service) -> dict[str, Any]:
    from chopmark.safety.hashes.perceptual import hash_picture

    hashes = hash_picture(as_image(service.pipeline.parts.files.decode(data)))
    found = [match for bank in _banks(service) for match in bank.match(hashes)]
    return {
        "matches": [
            # Not the entry's reference: it is the list owner's, and this may be anybody's key.
            {
                "list": match.bank,
                "kind": match.entry.kind,
                "distance": match.distance,
                "category": match.entry.category,
            }
            for match in found
        ],
        "quality": hashes.quality,
    }


def _add_file(name: str, data: bytes, category: str | None, service: Service) -> dict[str, Any]:
    from chopmark.safety.hashes.bank import HashBank, read_csv
    from chopmark.safety.hashes.formats import import_list, write_csv

    folder = service.pipeline.settings.hash_lists
    if folder is None:
        raise InvalidRequest(
            "no folder for hash lists is set", hint="the deployer sets CHOPMARK_HASH_LISTS"
        )
    folder.mkdir(parents=True, exist_ok=True)
    with _file(name, data) as path:
        got = import_list(path, category=category)
    path = folder / f"{name}.csv"
    old = read_csv(path) if path.exists() else HashBank(name=name, entries=())
    new = replace(got.applied_to(old), source=f"{name} (over HTTP)")
    write_csv(new, path)
    return {
        "name": name,
        "entries": len(new.entries),
        "read": len(got.bank.entries),
        "retracted": len(got.retracted),
        "skipped": dict(got.skipped or {}),
        "next_page": got.next_page,
    }


@contextmanager
def _file(name: str, data: bytes) -> Iterator[FilePath]:
    with TemporaryDirectory() as folder:
        path = FilePath(folder) / name
        path.write_bytes(data)
        yield path

"""Exports over HTTP: one exporter asks, another one agrees, then the files can be fetched."""

from __future__ import annotations

import json
import secrets
import shutil
import time
from dataclasses import asdict, dataclass
from pathlib import Path as FilePath
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

from fastapi import APIRouter, Path, Response
from fastapi.responses import FileResponse
from pydantic import Field

from chopmark.api.desk.records import Asked, Body, Whole
from chopmark.errors import InvalidRequest, NotPermitted, RecordNotFound
from chopmark.kit.files import write_private
from chopmark.pipeline.steps import in_thread
from chopmark.service.caller import Caller, Known
from chopmark.service.problems import RESPONSES
from chopmark.service.service import Serving

if TYPE_CHECKING:
    from chopmark.service.service import Service

__all__ = ["router"]

router = APIRouter(prefix="/api/v1/exports", responses=RESPONSES, tags=["exports"])
ExportId = Annotated[str, Path(pattern="^[0-9a-f]{32}$")]
FileName = Annotated[str, Path(pattern="^(manifest\\.json|entries\\.(jsonl|csv|parquet))$")]
#: What was exported lies here for so long; then it is taken away.
_KEPT_S: Final = 7 * 24 * 3600


class Wanted(Body):
    """What to export, in which form, and why."""

    query: Asked = Field(default_factory=Asked)
    form: Literal["jsonl", "csv", "parquet"] = "jsonl"
    content: Annotated[bool, Field(description="With what is encrypted in the log")] = False
    limit: Annotated[int, Field(ge=1, le=1000), Whole] = 1000
    purpose: Annotated[str, Field(min_length=1, max_length=500)]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Export:
    export_id: str
    asked_by: str
    tenant: str | None
    asked_at: float
    query: dict[str, Any]
    form: Literal["jsonl", "csv", "parquet"]
    content: bool
    limit: int
    purpose: str
    roles: list[str]
    agreed_by: str | None = None

    def said(self) -> dict[str, Any]:
        """Return what an exporter is told of it."""
        members = asdict(self)
        members.pop("roles")
        files = ["manifest.json", f"entries.{self.form}"] if self.agreed_by else []
        return {**members, "files": files}


@router.post("")
async def ask(body: Wanted, service: Serving, caller: Known) -> dict[str, Any]:
    """Ask for an export. Another exporter must agree before anything is written."""
    caller.must_be("exporter")
    actor = caller.actor()
    asked = _Export(
        export_id=secrets.token_hex(16),
        asked_by=actor.name,
        tenant=actor.tenant,
        asked_at=time.time(),
        query=body.query.query().to_dict(),
        form=body.form,
        content=body.content,
        limit=body.limit,
        purpose=body.purpose,
        roles=sorted(actor.roles),
    )
    await in_thread(lambda: _write(service, asked))
    return asked.said()


@router.get("")
async def exports(service: Serving, caller: Known) -> dict[str, Any]:
    """List what was asked for, and what may be fetched."""
    caller.must_be("exporter")
    found = await in_thread(lambda: _all(service))
    return {"exports": [each.said() for each in found if _may_see(each, caller)]}


@router.post("/{export_id}/agree")
async def agree(export_id: ExportId, service: Serving, caller: Known) -> dict[str, Any]:
    """Agree to what somebody else asked for; it is written at once and booked with both names."""
    caller.must_be("exporter")
    done = await in_thread(lambda: _agree(service, caller, export_id))
    return done.said()


@router.get("/{export_id}/files/{name}", response_class=FileResponse)
async def fetch(export_id: ExportId, name: FileName, service: Serving, caller: Known) -> Response:
    """Fetch a file of an export that was agreed to."""
    caller.must_be("exporter")
    asked = await in_thread(lambda: _read(service, caller, export_id))
    path = _folder(service) / asked.export_id / name
    if asked.agreed_by is None or not path.is_file():
        raise RecordNotFound(f"export {export_id} has no file {name}")
    return FileResponse(path, filename=name, headers={"cache-control": "no-store"})


def _may_see(asked: _Export, caller: Caller) -> bool:
    return caller.every_tenant or asked.tenant == caller.tenant.name


def _folder(service: Service) -> FilePath:
    home: FilePath = service.pipeline.parts.home
    return home / "exports"


def _write(service: Service, asked: _Export) -> None:
    path = _folder(service) / asked.export_id / "asked.json"
    write_private(path, json.dumps(asdict(asked)).encode())


def _all(service: Service) -> list[_Export]:
    found: list[_Export] = []
    for path in sorted(_folder(service).glob("*/asked.json")):
        asked = _Export(**json.loads(path.read_text(encoding="utf-8")))
        if asked.asked_at < time.time() - _KEPT_S:
            shutil.rmtree(path.parent, ignore_errors=True)
        else:
            found.append(asked)
    return sorted(found, key=lambda each: each.asked_at)


def _read(service: Service, caller: Caller, export_id: str) -> _Export:
    for asked in _all(service):
        if asked.export_id == export_id and _may_see(asked, caller):
            return asked
    raise RecordNotFound(f"no export {export_id}")


def _agree(service: Service, caller: Caller, export_id: str) -> _Export:
    from dataclasses import replace

    from chopmark.audit import Actor
    from chopmark.audit import Query as DeskQuery

    asked = _read(service, caller, export_id)
    if asked.agreed_by is not None:
        raise InvalidRequest(f"export {export_id} was agreed to already")
    if asked.asked_by == caller.name:
        raise NotPermitted("this takes two different persons who are exporters")
    first = Actor(
        name=asked.asked_by,
        roles=frozenset(asked.roles),  # type: ignore[arg-type]
        tenant=asked.tenant,
    )
    folder = _folder(service) / export_id
    desk = service.pipeline.parts.log.desk(first, purpose=asked.purpose)
    desk.export(
        DeskQuery.from_dict(asked.query),
        folder,
        form=asked.form,
        second=caller.actor(),
        content=asked.content,
        limit=asked.limit,
    )
    done = replace(asked, agreed_by=caller.name)
    _write(service, done)
    return done

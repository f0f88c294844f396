"""Exports: one exporter asks, another one agrees, and only then is anything written."""

from __future__ import annotations

import io
import secrets
import shutil
import threading
import time
import zipfile
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

from fastapi import APIRouter, Depends, Request, Response
from fastapi.responses import RedirectResponse

from chopmark.errors import ChopmarkError, InvalidRequest, NotPermitted, RecordNotFound
from chopmark.web.console.search import FIELDS, query_of
from chopmark.web.console.seat import actor_of, log_of, seated
from chopmark.web.viewers import needs

if TYPE_CHECKING:
    from pathlib import Path

    from chopmark.audit import Actor, AuditLog, Query

__all__ = ["Export", "Exports", "router"]

router = APIRouter()
_KEEP_S: Final = 24 * 3600
_MOST: Final = 100
_FORMS: Final = ("jsonl", "csv", "parquet")
_MOST_RECORDS: Final = 1000
Exporting = Annotated[Any, Depends(needs("exporter"))]
State = Literal["asked", "running", "done", "failed"]


@dataclass(frozen=True, kw_only=True)
class Export:
    """An export that somebody asked for.

    Attributes:
        first: Who asked.
        second: Who agreed, once somebody did.
        folder: Where its files are, once it ran.
        problem: Why it failed.
    """

    token: str
    query: Query
    form: str
    content: bool
    purpose: str
    first: Actor
    asked: float
    second: Actor | None = None
    state: State = "asked"
    folder: Path | None = None
    problem: str = ""
    fields: dict[str, str] = field(default_factory=dict)


class Exports:
    """What was asked for within the last day, in memory; files lie under ``home/exports``."""

    def __init__(self, home: Path) -> None:
        self._folder = home / "exports"
        self._lock = threading.Lock()
        self._asked: dict[str, Export] = {}
        # What an earlier run wrote nobody can ask for any more.
        shutil.rmtree(self._folder, ignore_errors=True)

    def seen_by(self, actor: Actor) -> list[Export]:
        """Return what a person may see, newest first."""
        with self._lock:
            for export in [e for e in self._asked.values() if e.asked < time.time() - _KEEP_S]:
                self._drop(export)
            found = [e for e in self._asked.values() if e.first.tenant == actor.tenant]
        return sorted(found, key=lambda export: -export.asked)

    def get(self, actor: Actor, token: str) -> Export:
        """Return one of them.

        Raises:
            RecordNotFound: There is none that this person may see.
        """
        for export in self.seen_by(actor):
            if export.token == token:
                return export
        raise RecordNotFound("no such export")

    def ask(self, export: Export) -> None:
        """Keep a new one."""
        with self._lock:
            if len(self._asked) >= _MOST:
                self._drop(min(self._asked.values(), key=lambda one: one.asked))
            self._asked[export.token] = export

    def run(self, log: AuditLog, export: Export, second: Actor) -> None:
        """Agree to an export and begin to write it.

        Raises:
            NotPermitted: The same person asked for it.
            InvalidRequest: It ran already.
        """
        if second.name == export.first.name:
            raise NotPermitted("an export takes two exporters", hint="somebody else must agree")
        with self._lock:
            if self._asked.get(export.token, export).state != "asked":
                raise InvalidRequest("this export was agreed to already")
            running = replace(export, second=second, state="running")
            self._asked[export.token] = running
        threading.Thread(target=self._write, args=(log, running), daemon=True).start()

    def _write(self, log: AuditLog, export: Export) -> None:
        folder = self._folder / export.token
        try:
            folder.mkdir(mode=0o700, parents=True)
            desk, second = log.desk(export.first, purpose=export.purpose), export.second
            if second is None:
                raise NotPermitted("nobody agreed")
            form: Any = export.form
            desk.export(
                export.query,
                folder,
                form=form,
                second=second,
                content=export.content,
                limit=_MOST_RECORDS,
            )
            ended = replace(export, state="done", folder=folder)
        except ChopmarkError as error:
            ended = replace(export, state="failed", problem=error.explain())
        except OSError as error:
            ended = replace(export, state="failed", problem=f"{error.strerror}")
        with self._lock:
            self._asked[export.token] = ended

    def _drop(self, export: Export) -> None:
        self._asked.pop(export.token, None)
        if export.folder is not None:
            shutil.rmtree(export.folder, ignore_errors=True)


@router.get("/exports")
async def exports(request: Request, viewer: Exporting) -> Response:
    """Show what was asked for, and the form that asks."""
    kept: Exports = request.app.state.exports
    asked = {name: request.query_params.get(name, "")[:300] for name in FIELDS}
    return seated(
        request,
        viewer,
        "console/exports.html",
        exports=kept.seen_by(actor_of(viewer)),
        forms=_FORMS,
        asked=asked,
    )


@router.post("/exports")
async def ask(request: Request, viewer: Exporting) -> Response:
    """Ask for an export."""
    sent = await request.form(max_fields=32, max_files=0)
    fields = {name: str(sent.get(name, "")).strip()[:300] for name in FIELDS}
    purpose = str(sent.get("purpose", "")).strip()[:500]
    form = str(sent.get("form", "jsonl"))
    if not purpose or form not in _FORMS:
        raise InvalidRequest("an export needs a purpose", hint="say what it is for")
    kept: Exports = request.app.state.exports
    kept.ask(
        Export(
            token=secrets.token_urlsafe(16),
            query=query_of(fields),
            form=form,
            content=bool(sent.get("content")),
            purpose=purpose,
            first=actor_of(viewer),
            asked=time.time(),
            fields={name: value for name, value in fields.items() if value},
        )
    )
    return RedirectResponse("/console/exports", status_code=303)


@router.post("/exports/{token}/agree")
async def agree(token: str, request: Request, viewer: Exporting) -> Response:
    """Agree to what somebody else asked for; it is written now."""
    kept: Exports = request.app.state.exports
    actor = actor_of(viewer)
    kept.run(log_of(request), kept.get(actor, token), actor)
    return RedirectResponse("/console/exports", status_code=303)


@router.get("/exports/{token}")
async def download(token: str, request: Request, viewer: Exporting) -> Response:
    """Return an export's files as one archive."""
    kept: Exports = request.app.state.exports
    export = kept.get(actor_of(viewer), token)
    if export.folder is None:
        raise InvalidRequest("this export is not written yet")
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in sorted(export.folder.iterdir()):
            archive.write(path, path.name)
    return Response(
        out.getvalue(),
        media_type="application/zip",
        headers={"content-disposition": f'attachment; filename="export-{token[:8]}.zip"'},
    )

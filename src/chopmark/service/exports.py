"""Exports: one exporter asks, another one agrees, and only then is anything written.

Both faces ask here; what waits lies in the home folder, so that a restart forgets no request.
"""

from __future__ import annotations

import json
import secrets
import shutil
import time
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any, Final, Literal

from chopmark.errors import InvalidRequest, NotPermitted, RecordNotFound
from chopmark.kit.files import write_private

if TYPE_CHECKING:
    from pathlib import Path

    from chopmark.audit import Query, Role
    from chopmark.pipeline.parts import Parts
    from chopmark.service.caller import Caller

__all__ = ["ExportForm", "ExportRequest", "Exports"]

ExportForm = Literal["jsonl", "csv", "parquet"]
#: What was exported lies here for so long; then it is taken away.
_KEPT_S: Final = 7 * 24 * 3600
_REQUEST: Final = "asked.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportRequest:
    """What an exporter asked for.

    Attributes:
        export_id: Names it; 32 hex digits.
        asked_by: Who asked.
        tenant: Whose records; ``None`` is all of them.
        asked_at: Unix time in seconds.
        query: As :meth:`chopmark.audit.Query.to_dict` gave it.
        form: Of the entries.
        content: With what is encrypted in the log.
        limit: At most so many records, the newest.
        purpose: Why; it is booked.
        roles: Of whoever asked, when they did.
        agreed_by: The other exporter; ``None`` until then, and nothing is written yet.
    """

    export_id: str
    asked_by: str
    tenant: str | None
    asked_at: float
    query: dict[str, Any]
    form: ExportForm
    content: bool
    limit: int
    purpose: str
    roles: list[Role]
    agreed_by: str | None = None

    @property
    def files(self) -> list[str]:
        """Names of what can be fetched; none before somebody agreed."""
        return ["manifest.json", f"entries.{self.form}"] if self.agreed_by else []

    def to_dict(self) -> dict[str, Any]:
        """Return what an exporter is told of it."""
        members = asdict(self)
        members.pop("roles")
        return {**members, "files": self.files}


class Exports:
    """What was asked for lately, in the home folder; each method takes an exporter.

    Every method raises ``NotPermitted`` for a caller who is none. They read and write files and the
    log, so routes run them in a thread.
    """

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._folder = parts.home / "exports"

    def ask(
        self,
        caller: Caller,
        query: Query,
        *,
        purpose: str,
        form: ExportForm = "jsonl",
        content: bool = False,
        limit: int = 1000,
    ) -> ExportRequest:
        """Ask for an export. Another exporter must agree before anything is written."""
        caller.must_be("exporter")
        actor = caller.actor()
        request = ExportRequest(
            export_id=secrets.token_hex(16),
            asked_by=actor.name,
            tenant=actor.tenant,
            asked_at=time.time(),
            query=query.to_dict(),
            form=form,
            content=content,
            limit=limit,
            purpose=purpose,
            roles=sorted(actor.roles),
        )
        self._write(request)
        return request

    def all(self, caller: Caller) -> list[ExportRequest]:
        """Return what was asked for among the caller's records, the oldest first."""
        caller.must_be("exporter")
        return [
            request
            for request in self._kept()
            if caller.every_tenant or request.tenant == caller.tenant.name
        ]

    def one(self, caller: Caller, export_id: str) -> ExportRequest:
        """Return one of :meth:`all`.

        Raises:
            RecordNotFound: There is none, or it is another tenant's.
        """
        for request in self.all(caller):
            if request.export_id == export_id:
                return request
        raise RecordNotFound(f"no export {export_id[:32]}")

    def agree(self, caller: Caller, export_id: str) -> ExportRequest:
        """Agree to what somebody else asked for; it is written now, and booked with both names.

        Raises:
            RecordNotFound: As :meth:`one`.
            InvalidRequest: Somebody agreed already.
            NotPermitted: It is their own.
        """
        from chopmark.audit import Actor, Query

        request = self.one(caller, export_id)
        if request.agreed_by is not None:
            raise InvalidRequest(f"export {export_id} was agreed to already")
        if request.asked_by == caller.name:
            raise NotPermitted("this takes two different persons who are exporters")
        first = Actor(name=request.asked_by, roles=frozenset(request.roles), tenant=request.tenant)
        self._parts.log.desk(first, purpose=request.purpose).export.records(
            Query.from_dict(request.query),
            self._folder / request.export_id,
            form=request.form,
            second=caller.actor(),
            content=request.content,
            limit=request.limit,
        )
        agreed = replace(request, agreed_by=caller.name)
        self._write(agreed)
        return agreed

    def file(self, caller: Caller, export_id: str, name: str) -> Path:
        """Return where a file of an export is.

        Raises:
            RecordNotFound: As :meth:`one`, or it is not written, or has no file of this name.
        """
        request = self.one(caller, export_id)
        path = self._folder / request.export_id / name
        if name not in request.files or not path.is_file():
            raise RecordNotFound(f"export {request.export_id} has no file {name[:40]}")
        return path

    def _write(self, request: ExportRequest) -> None:
        write_private(
            self._folder / request.export_id / _REQUEST, json.dumps(asdict(request)).encode()
        )

    def _kept(self) -> list[ExportRequest]:
        kept: list[ExportRequest] = []
        for path in sorted(self._folder.glob(f"*/{_REQUEST}")):
            request = ExportRequest(**json.loads(path.read_text(encoding="utf-8")))
            if request.asked_at < time.time() - _KEPT_S:
                shutil.rmtree(path.parent, ignore_errors=True)
            else:
                kept.append(request)
        return sorted(kept, key=lambda request: request.asked_at)

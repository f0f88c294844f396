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

from chopmark.errors import InvalidRequest, LogUnavailable, NotPermitted, RecordNotFound
from chopmark.kit.files import write_private
from chopmark.service.people_now import actor_now

if TYPE_CHECKING:
    from pathlib import Path

    from chopmark.audit import AuditLog, Query, Role
    from chopmark.kit.types import Progress
    from chopmark.pipeline.parts import Parts
    from chopmark.service.caller import Caller
    from chopmark.tenancy import People

__all__ = ["FOLDER", "ExportForm", "ExportRequest", "Exports", "take_away_exports"]

#: Under the home folder.
FOLDER: Final = "exports"

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
        taken_away: Its files are gone, because something in them was erased meanwhile.
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
    taken_away: bool = False

    @property
    def files(self) -> list[str]:
        """Names of what can be fetched; none before somebody agreed."""
        there = self.agreed_by and not self.taken_away
        return ["manifest.json", f"entries.{self.form}"] if there else []

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

    def __init__(self, parts: Parts, people: People) -> None:
        self._parts = parts
        self._people = people
        self._folder = parts.home / FOLDER

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
            for request in kept_exports(self._parts.home)
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

    def agree(
        self, caller: Caller, export_id: str, *, progress: Progress | None = None
    ) -> ExportRequest:
        """Agree to what somebody else asked for; it is written now, and booked with both names.

        Both count as they are now: whoever asked may have lost the role since, or their account.
        What is interrupted was not agreed to, and is agreed to again.

        Args:
            caller: The second person.
            export_id: What they agree to.
            progress: Told how far the writing is.

        Raises:
            RecordNotFound: As :meth:`one`.
            InvalidRequest: Somebody agreed already.
            NotPermitted: It is their own, or whoever asked may not have it any more.
        """
        from chopmark.audit import Query

        request = self.one(caller, export_id)
        if request.agreed_by is not None:
            raise InvalidRequest(f"export {export_id} was agreed to already")
        if request.asked_by == caller.name:
            raise NotPermitted("this takes two different persons who are exporters")
        first = actor_now(
            self._people, request.asked_by, request.tenant, request.roles, asked_at=request.asked_at
        )
        folder = self._folder / request.export_id
        self._parts.log.desk(first, purpose=request.purpose).export.records(
            Query.from_dict(request.query),
            folder,
            form=request.form,
            second=caller.actor(),
            content=request.content,
            limit=request.limit,
            progress=progress,
        )
        agreed = replace(request, agreed_by=caller.name)
        self._write(agreed)
        # Whoever was erased while this was written is erased here too.
        return take_away_erased(self._parts.home, self._parts.log, agreed)

    def file(self, caller: Caller, export_id: str, name: str) -> Path:
        """Return where a file of an export is.

        Raises:
            RecordNotFound: As :meth:`one`, or it is not written, has no file of this name, or
                somebody in it was erased.
        """
        asked = self.one(caller, export_id)
        request = take_away_erased(self._parts.home, self._parts.log, asked)
        path = self._folder / request.export_id / name
        if name not in request.files or not path.is_file():
            raise RecordNotFound(
                f"export {request.export_id} has no file {name[:40]}",
                hint="something in it was erased; ask for it anew" if request.taken_away else "",
            )
        return path

    def _write(self, request: ExportRequest) -> None:
        _write(self._folder, request)


def take_away_exports(home: Path, log: AuditLog) -> int:
    """Take away what lies here for too long, and what holds something that is erased in the log.

    Returns:
        How many exports lost their files.
    """
    kept = kept_exports(home)
    return sum(take_away_erased(home, log, request) is not request for request in kept)


def take_away_erased(home: Path, log: AuditLog, request: ExportRequest) -> ExportRequest:
    """Return a request as it is now: without files where something in them is erased by now."""
    from chopmark.audit.custody.custody import without_content
    from chopmark.audit.desk.export_files import contents_in

    if not request.content or not request.files:
        return request
    folder = home / FOLDER / request.export_id
    try:
        gone = bool(without_content(log.custody, contents_in(folder)))
    except (InvalidRequest, LogUnavailable):
        gone = True  # what cannot be read cannot be vouched for
    if not gone:
        return request
    without = replace(request, taken_away=True)
    # Said first: should the rest fail, nobody is given the files meanwhile.
    _write(home / FOLDER, without)
    for name in request.files:
        (folder / name).unlink(missing_ok=True)
    return without


def kept_exports(home: Path) -> list[ExportRequest]:
    """Return what was asked for in the last days, the oldest first; the rest is taken away."""
    kept: list[ExportRequest] = []
    for path in sorted((home / FOLDER).glob(f"*/{_REQUEST}")):
        try:
            request = ExportRequest(**json.loads(path.read_text(encoding="utf-8")))
        except FileNotFoundError:
            continue  # another thread took it away just now
        if request.asked_at < time.time() - _KEPT_S:
            shutil.rmtree(path.parent, ignore_errors=True)
        else:
            kept.append(request)
    return sorted(kept, key=lambda request: request.asked_at)


def _write(folder: Path, request: ExportRequest) -> None:
    write_private(folder / request.export_id / _REQUEST, json.dumps(asdict(request)).encode())

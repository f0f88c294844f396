"""Exports: one exporter asks, another one agrees, and only then is anything written.

Both faces ask here.
"""

from __future__ import annotations

import secrets
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from chopmark.errors import InvalidRequest, NotPermitted, RecordNotFound
from chopmark.service.export_requests import (
    FOLDER,
    ExportForm,
    ExportRequest,
    kept_exports,
    take_away_erased,
    write_request,
)
from chopmark.service.people_now import actor_now

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from chopmark.audit import Query
    from chopmark.kit.types import Progress
    from chopmark.pipeline.parts import Parts
    from chopmark.service.caller import Caller
    from chopmark.tenancy import People

__all__ = ["Exports"]


@dataclass(slots=True)
class _Writing:
    done: int = 0
    total: int = 0
    over: threading.Event = field(default_factory=threading.Event)


class Exports:
    """What was asked for lately, in the home folder; each method takes an exporter.

    Every method raises ``NotPermitted`` for a caller who is none. They read and write files and the
    log, so routes run them in a thread.
    """

    def __init__(self, parts: Parts, people: People) -> None:
        self._parts = parts
        self._people = people
        self._folder = parts.home / FOLDER
        self._writing: dict[str, _Writing] = {}
        self._lock = threading.Lock()

    def writing(self, export_id: str) -> tuple[int, int] | None:
        """Return how many records of how many are written; None where nobody writes it here."""
        found = self._writing.get(export_id)
        return None if found is None else (found.done, found.total)

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
        write_request(self._parts.home, request)
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
            InvalidRequest: Somebody agreed already; it may still be being written.
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

        with self._alone(export_id) as writing:

            def tell(at: int, of: int, what: str) -> None:
                writing.done, writing.total = at, of
                if progress is not None:
                    progress(at, of, what)

            self._parts.log.desk(first, purpose=request.purpose).export.records(
                Query.from_dict(request.query),
                self._folder / request.export_id,
                form=request.form,
                second=caller.actor(),
                content=request.content,
                limit=request.limit,
                progress=tell,
            )
            agreed = replace(request, agreed_by=caller.name)
            write_request(self._parts.home, agreed)
        # Whoever was erased while this was written is erased here too.
        return take_away_erased(self._parts.home, self._parts.log, agreed)

    def follow(self, caller: Caller, export_id: str) -> ExportRequest:
        """Return an export once whoever agreed to it has it written, here; blocks until then.

        Raises:
            RecordNotFound: As :meth:`one`.
            InvalidRequest: The writing was interrupted.
        """
        self.one(caller, export_id)
        writing = self._writing.get(export_id)
        if writing is not None:
            writing.over.wait()
        request = self.one(caller, export_id)
        if request.agreed_by is None:
            raise InvalidRequest(f"export {export_id} was not written", hint="agree to it again")
        return request

    @contextmanager
    def _alone(self, export_id: str) -> Iterator[_Writing]:
        with self._lock:
            if export_id in self._writing:
                raise InvalidRequest(
                    f"export {export_id} is being written", hint="somebody agreed just now; wait"
                )
            writing = self._writing[export_id] = _Writing()
        try:
            yield writing
        finally:
            del self._writing[export_id]
            writing.over.set()

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

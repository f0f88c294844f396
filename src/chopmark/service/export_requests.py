"""Exports that were asked for, each a small file in the home folder, and what is taken away again.

What waits lies on disk, so that a restart forgets no request.
"""

from __future__ import annotations

import json
import shutil
import time
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any, Final, Literal

from chopmark.errors import InvalidRequest, LogUnavailable
from chopmark.kit.files import write_private

if TYPE_CHECKING:
    from pathlib import Path

    from chopmark.audit import AuditLog, Role

__all__ = [
    "FOLDER",
    "ExportForm",
    "ExportRequest",
    "kept_exports",
    "take_away_erased",
    "take_away_exports",
    "write_request",
]

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
    write_request(home, without)
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


def write_request(home: Path, request: ExportRequest) -> None:
    """Write down what was asked for, as it is now."""
    write_private(
        home / FOLDER / request.export_id / _REQUEST, json.dumps(asdict(request)).encode()
    )

"""A log from a backup is taken into use: what is lost is booked, and no key signs two histories."""

from __future__ import annotations

import contextlib
import logging
from pathlib import Path
from typing import TYPE_CHECKING, Final

from chopmark.audit.audit_log import AuditLog
from chopmark.audit.custody.holds import stated
from chopmark.audit.log.events import SYSTEM_TENANT, Event
from chopmark.audit.log.paths import Paths
from chopmark.audit.proof.kept_checkpoint import opened_marks
from chopmark.audit.proof.log_keys import LogKeys
from chopmark.audit.proof.marks import Marks
from chopmark.audit.proof.verify import verify_log
from chopmark.errors import InvalidRequest, LogCorrupt, NotPermitted, RecordNotFound
from chopmark.kit.ids import new_record_id

if TYPE_CHECKING:
    from collections.abc import Iterable

    from chopmark.audit.log.events import Record
    from chopmark.audit.proof.note import Checkpoint

__all__ = ["restore_log"]

_LOG = logging.getLogger(__name__)
_IDS: Final = 2000  # record ids in one entry, whose leaf has room for 64 KiB


def restore_log(
    home: Path,
    *,
    by: tuple[str, str],
    reason: str,
    expected: Iterable[str] = (),
    origin: str = "chopmark.local/log",
    database: str | None = None,
    keys_database: str | None = None,
    mark: Path | None = None,
) -> Record:
    """Take a log into use that was put back from a backup and lacks its newest entries.

    The backup itself must be whole: it is walked first. Then it is booked (``log.restored``) what
    the log had signed, how many entries are lost and which records the manifests still name; who
    was erased since the backup is erased again; and a new signing key begins, so that the old one
    never signs two histories. Whoever kept a checkpoint of the lost part keeps the proof of it.

    Args:
        home: Chopmark's state folder; ``home/audit`` came from the backup, the rest did not.
        by: Two different persons who answer for it.
        reason: Why; kept with their names.
        expected: As for :func:`verify_log`.
        origin: As for :meth:`AuditLog.open`.
        database: As for :meth:`AuditLog.open`.
        keys_database: As for :meth:`AuditLog.open`.
        mark: As for :meth:`AuditLog.open`.

    Returns:
        The ``log.restored`` record; ``public["lost"]`` entries are gone.

    Raises:
        InvalidRequest: Nothing is lost, or a name or the reason is empty.
        NotPermitted: One person was named twice.
        LogCorrupt: What was put back is damaged, or no earlier state of this log.
        LogUnavailable: A file cannot be read or written.
    """
    first, second = (stated("a person's name", name).strip() for name in by)
    if first == second:
        raise NotPermitted("restoring a log takes two different persons")
    stated("reason", reason)
    paths, names = Paths(Path(home)), frozenset(expected)
    signed = _signed_before(paths, origin, mark)
    report = verify_log(home, database=database, keys_database=keys_database, marked=False)
    # Keys that came back are what restoring puts right.
    wrong = [problem for problem in report.problems if problem.what != "key_returned"]
    if wrong:
        raise LogCorrupt(f"what was put back is not whole: {wrong[0]}", hint="take another backup")
    with AuditLog.open(
        home,
        origin=origin,
        database=database,
        keys_database=keys_database,
        mark=mark,
        restoring=True,
    ) as log:
        record = _booked_before(log, signed)
        if record is None:
            if signed.size <= report.size:
                raise InvalidRequest(
                    f"the log has {report.size} entries and signed for {signed.size}: nothing is"
                    " lost",
                    hint="run chopmark audit verify to see what else is wrong",
                )
            record = _book(log, signed, report.size, names, {"by": [first, second], "why": reason})
        log.upkeep.sign_anew()
        public = paths.folder / "public"
        if public.is_dir():  # it may be ahead of the log; what it proves is kept
            public.rename(public.with_name(f"public-{signed.size}"))
        log.search.rebuild()
    _LOG.warning("the log was restored at entry %d", record.index)
    return record


def _signed_before(paths: Paths, origin: str, mark: Path | None) -> Checkpoint:
    """Return the largest checkpoint that any place remembers."""
    found = opened_marks(Marks(paths, mark).read(), LogKeys(paths, origin).ring)
    if not found:
        raise InvalidRequest(
            "no place remembers what the log signed, so nothing says what is lost",
            hint="bring back keys/log, or name the file of CHOPMARK_LOG_MARK",
        )
    return max((checkpoint for _, checkpoint in found), key=lambda one: one.size)


def _booked_before(log: AuditLog, signed: Checkpoint) -> Record | None:
    """Return the entry of an earlier run that was cut short."""
    for record in log.find(kind="log.restored", limit=1000):
        if record.public.get("signed_root") == signed.root.hex():
            return record
    return None


def _book(
    log: AuditLog,
    signed: Checkpoint,
    size: int,
    expected: frozenset[str],
    private: dict[str, object],
) -> Record:
    lost = sorted(name for name in expected if not _has(log, name))
    parts = [lost[at : at + _IDS] for at in range(0, len(lost), _IDS)] or [[]]
    booked = [
        log.append(
            Event(
                kind="log.restored",
                record_id=new_record_id(),
                tenant=SYSTEM_TENANT,
                public={
                    "signed_size": signed.size,
                    "signed_root": signed.root.hex(),
                    "size": size,
                    "lost": signed.size - size,
                    "records": list(part),
                },
                private=dict(private),  # type: ignore[arg-type]
            )
        )
        for part in parts
    ]
    return booked[0]


def _has(log: AuditLog, record_id: str) -> bool:
    with contextlib.suppress(RecordNotFound, InvalidRequest):
        return bool(log.records(record_id))
    return False

"""The book: every request, decision and look is an entry that cannot be altered unseen.

>>> import tempfile, pathlib
>>> from chopmark.audit import AuditLog, Event, verify_log
>>> from chopmark.ids import new_record_id
>>> home = pathlib.Path(tempfile.mkdtemp())
>>> record_id = new_record_id()
>>> with AuditLog.open(home) as log:
...     _ = log.append(Event(kind="request.received", record_id=record_id, tenant="default",
...                          subject="a pseudonym", private={"prompt": "a red apple"}))
...     _ = log.append(Event(kind="request.completed", record_id=record_id, tenant="default",
...                          public={"decision": "allow"}))
...     receipt = log.receipt(record_id)
...     key = log.public_key
>>> receipt.verify(key)
()
>>> verify_log(home).ok
True
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from chopmark.audit._appeals import Appeal, AppealState
    from chopmark.audit._custody import Hold, RetentionClass
    from chopmark.audit._desk import Desk
    from chopmark.audit._events import Event, EventKind, Record
    from chopmark.audit._exceptions import PromptException
    from chopmark.audit._export import check_export
    from chopmark.audit._log import AuditLog
    from chopmark.audit._looking import View
    from chopmark.audit._note import Checkpoint
    from chopmark.audit._proving import Stamp
    from chopmark.audit._query import Hit, Query, SavedQuery
    from chopmark.audit._receipt import Receipt
    from chopmark.audit._report import LogReport, Problem
    from chopmark.audit._review import Rule, Task, load_rules
    from chopmark.audit._seat import Actor, Role
    from chopmark.audit._statements import (
        StatementTemplate,
        check_statement,
        statement_of_reasons,
    )
    from chopmark.audit._transparency import transparency_report
    from chopmark.audit._verify import verify_log
    from chopmark.audit._witness import (
        Cosignature,
        Witness,
        WitnessKey,
        cosignatures,
        load_witnesses,
    )
    from chopmark.errors import DuplicateRecord, LogCorrupt, LogUnavailable, RecordNotFound

__all__ = [
    "Actor",
    "Appeal",
    "AppealState",
    "AuditLog",
    "Checkpoint",
    "Cosignature",
    "Desk",
    "DuplicateRecord",
    "Event",
    "EventKind",
    "Hit",
    "Hold",
    "LogCorrupt",
    "LogReport",
    "LogUnavailable",
    "Problem",
    "PromptException",
    "Query",
    "Receipt",
    "Record",
    "RecordNotFound",
    "RetentionClass",
    "Role",
    "Rule",
    "SavedQuery",
    "Stamp",
    "StatementTemplate",
    "Task",
    "View",
    "Witness",
    "WitnessKey",
    "check_export",
    "check_statement",
    "cosignatures",
    "load_rules",
    "load_witnesses",
    "statement_of_reasons",
    "transparency_report",
    "verify_log",
]

_HOMES = {
    "Actor": "chopmark.audit._seat",
    "Appeal": "chopmark.audit._appeals",
    "AppealState": "chopmark.audit._appeals",
    "AuditLog": "chopmark.audit._log",
    "Checkpoint": "chopmark.audit._note",
    "Cosignature": "chopmark.audit._witness",
    "Desk": "chopmark.audit._desk",
    "DuplicateRecord": "chopmark.errors",
    "Event": "chopmark.audit._events",
    "EventKind": "chopmark.audit._events",
    "Hit": "chopmark.audit._query",
    "Hold": "chopmark.audit._custody",
    "LogCorrupt": "chopmark.errors",
    "LogReport": "chopmark.audit._report",
    "LogUnavailable": "chopmark.errors",
    "Problem": "chopmark.audit._report",
    "PromptException": "chopmark.audit._exceptions",
    "Query": "chopmark.audit._query",
    "Receipt": "chopmark.audit._receipt",
    "Record": "chopmark.audit._events",
    "RecordNotFound": "chopmark.errors",
    "RetentionClass": "chopmark.audit._custody",
    "Role": "chopmark.audit._seat",
    "Rule": "chopmark.audit._review",
    "SavedQuery": "chopmark.audit._query",
    "Stamp": "chopmark.audit._proving",
    "StatementTemplate": "chopmark.audit._statements",
    "Task": "chopmark.audit._review",
    "View": "chopmark.audit._looking",
    "Witness": "chopmark.audit._witness",
    "WitnessKey": "chopmark.audit._witness",
    "check_export": "chopmark.audit._export",
    "check_statement": "chopmark.audit._statements",
    "cosignatures": "chopmark.audit._witness",
    "load_rules": "chopmark.audit._review",
    "load_witnesses": "chopmark.audit._witness",
    "statement_of_reasons": "chopmark.audit._statements",
    "transparency_report": "chopmark.audit._transparency",
    "verify_log": "chopmark.audit._verify",
}


def __getattr__(name: str) -> object:
    # Names are resolved when used, so that importing the room costs nothing.
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'chopmark.audit' has no attribute {name!r}")

"""The book: every request, decision and look is an entry that cannot be altered unseen.

>>> import tempfile, pathlib
>>> from chopmark.audit import AuditLog, Event, verify_log
>>> from chopmark.kit.ids import new_record_id
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

from typing import TYPE_CHECKING

from chopmark.kit.door import lazy_door

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

__getattr__, __dir__ = lazy_door(
    __name__,
    {
        "Actor": "_seat",
        "Appeal": "_appeals",
        "AppealState": "_appeals",
        "AuditLog": "_log",
        "Checkpoint": "_note",
        "Cosignature": "_witness",
        "Desk": "_desk",
        "DuplicateRecord": "chopmark.errors",
        "Event": "_events",
        "EventKind": "_events",
        "Hit": "_query",
        "Hold": "_custody",
        "LogCorrupt": "chopmark.errors",
        "LogReport": "_report",
        "LogUnavailable": "chopmark.errors",
        "Problem": "_report",
        "PromptException": "_exceptions",
        "Query": "_query",
        "Receipt": "_receipt",
        "Record": "_events",
        "RecordNotFound": "chopmark.errors",
        "RetentionClass": "_custody",
        "Role": "_seat",
        "Rule": "_review",
        "SavedQuery": "_query",
        "Stamp": "_proving",
        "StatementTemplate": "_statements",
        "Task": "_review",
        "View": "_looking",
        "Witness": "_witness",
        "WitnessKey": "_witness",
        "check_export": "_export",
        "check_statement": "_statements",
        "cosignatures": "_witness",
        "load_rules": "_review",
        "load_witnesses": "_witness",
        "statement_of_reasons": "_statements",
        "transparency_report": "_transparency",
        "verify_log": "_verify",
    },
)

"""The book: every request, decision and look is an entry that cannot be altered unseen.

>>> import tempfile, pathlib
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

from chopmark.audit._custody import Hold, RetentionClass
from chopmark.audit._desk import Actor, Appeal, Desk, Role, Rule, Task, View
from chopmark.audit._events import Event, EventKind, Record
from chopmark.audit._export import check_export
from chopmark.audit._log import AuditLog
from chopmark.audit._note import Checkpoint
from chopmark.audit._receipt import Receipt
from chopmark.audit._report import LogReport, Problem
from chopmark.audit._search import Hit, Query
from chopmark.audit._statements import (
    StatementTemplate,
    check_statement,
    statement_of_reasons,
)
from chopmark.audit._transparency import transparency_report
from chopmark.audit._verify import verify_log
from chopmark.errors import DuplicateRecord, LogCorrupt, LogUnavailable, RecordNotFound

__all__ = [
    "Actor",
    "Appeal",
    "AuditLog",
    "Checkpoint",
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
    "Query",
    "Receipt",
    "Record",
    "RecordNotFound",
    "RetentionClass",
    "Role",
    "Rule",
    "StatementTemplate",
    "Task",
    "View",
    "check_export",
    "check_statement",
    "statement_of_reasons",
    "transparency_report",
    "verify_log",
]

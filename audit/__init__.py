"""The log: every request, decision and look is an entry that cannot be altered unseen.

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
...     receipt = log.proof.receipt(record_id)
...     key = log.public_key
>>> receipt.verify(key)
()
>>> verify_log(home).ok
True

An :class:`AuditLog` writes (``append``, ``submit``, ``in_force``, ``reconcile``) and reads
(``get``, ``records``, ``find``, ``following``, ``content``, ``private``). The rest stands in its
parts:

- ``log.proof``: ``checkpoint``, ``cosign``, ``stamp``, ``receipt``, ``consistency_proof``,
  ``publish``
- ``log.custody``: ``erase``, ``expire``, ``contentless``, and in it ``holds`` and ``attachments``
- ``log.appeals``: ``open`` and ``state``, for the person who was refused
- ``log.exceptions``: ``find`` and ``standing``, prompts that an overturned appeal lets pass
- ``log.suspensions``: ``find``, persons who may ask for nothing now
- ``log.upkeep``: ``rotate_signing_key`` and ``rotate_encryption_key``
- ``log.search``: the projection that answers searches, ``update`` and ``rebuild``
- ``log.desk(actor, purpose=...)``: what a person does, each act booked: ``search``, ``view``,
  ``seal``, ``erase``, and in it ``review``, ``appeals``, ``outputs``, ``people``, ``queries`` and
  ``export``
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from chopmark.kit.door import lazy_door

if TYPE_CHECKING:
    from chopmark.audit.audit_log import AuditLog
    from chopmark.audit.custody.custody import RetentionClass
    from chopmark.audit.custody.holds import Hold
    from chopmark.audit.desk.actor import Actor, Role
    from chopmark.audit.desk.appeals import Appeal, AppealState
    from chopmark.audit.desk.desk import Desk
    from chopmark.audit.desk.dsa_schema import check_statement, statement_schema
    from chopmark.audit.desk.dsa_statements import StatementTemplate, statement_of_reasons
    from chopmark.audit.desk.export_files import check_export
    from chopmark.audit.desk.outputs import check_released, withdrawn_at
    from chopmark.audit.desk.people import PersonView
    from chopmark.audit.desk.prompt_exceptions import PromptException
    from chopmark.audit.desk.rules import Rule, load_rules
    from chopmark.audit.desk.tasks import Task
    from chopmark.audit.desk.transparency import transparency_report
    from chopmark.audit.desk.view import View
    from chopmark.audit.log.events import Event, EventKind, Record
    from chopmark.audit.proof.note import Checkpoint
    from chopmark.audit.proof.prover import Stamp
    from chopmark.audit.proof.receipt import Receipt
    from chopmark.audit.proof.report import LogReport, Problem
    from chopmark.audit.proof.verify import verify_log
    from chopmark.audit.proof.witness import (
        Cosignature,
        Witness,
        WitnessKey,
        cosignatures,
        load_witnesses,
    )
    from chopmark.audit.restore import restore_log
    from chopmark.audit.search.query import Hit, Query, SavedQuery
    from chopmark.audit.search.volumes import volumes
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
    "PersonView",
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
    "check_released",
    "check_statement",
    "cosignatures",
    "load_rules",
    "load_witnesses",
    "restore_log",
    "statement_of_reasons",
    "statement_schema",
    "transparency_report",
    "verify_log",
    "volumes",
    "withdrawn_at",
]

__getattr__, __dir__ = lazy_door(
    __name__,
    {
        "Actor": "desk.actor",
        "Appeal": "desk.appeals",
        "AppealState": "desk.appeals",
        "AuditLog": "audit_log",
        "Checkpoint": "proof.note",
        "Cosignature": "proof.witness",
        "Desk": "desk.desk",
        "DuplicateRecord": "chopmark.errors",
        "Event": "log.events",
        "EventKind": "log.events",
        "Hit": "search.query",
        "Hold": "custody.holds",
        "LogCorrupt": "chopmark.errors",
        "LogReport": "proof.report",
        "LogUnavailable": "chopmark.errors",
        "PersonView": "desk.people",
        "Problem": "proof.report",
        "PromptException": "desk.prompt_exceptions",
        "Query": "search.query",
        "Receipt": "proof.receipt",
        "Record": "log.events",
        "RecordNotFound": "chopmark.errors",
        "RetentionClass": "custody.custody",
        "Role": "desk.actor",
        "Rule": "desk.rules",
        "SavedQuery": "search.query",
        "Stamp": "proof.prover",
        "StatementTemplate": "desk.dsa_statements",
        "Task": "desk.tasks",
        "View": "desk.view",
        "Witness": "proof.witness",
        "WitnessKey": "proof.witness",
        "check_export": "desk.export_files",
        "check_released": "desk.outputs",
        "check_statement": "desk.dsa_schema",
        "restore_log": "restore",
        "cosignatures": "proof.witness",
        "load_rules": "desk.rules",
        "load_witnesses": "proof.witness",
        "statement_of_reasons": "desk.dsa_statements",
        "statement_schema": "desk.dsa_schema",
        "transparency_report": "desk.transparency",
        "verify_log": "proof.verify",
        "volumes": "search.volumes",
        "withdrawn_at": "desk.outputs",
    },
)

"""The desk: people at work in the log. Whatever they do is an entry, with their name and why."""

from __future__ import annotations

from chopmark.audit.desk.appeals import Appealing
from chopmark.audit.desk.export import Handing
from chopmark.audit.desk.keeping import Keeping
from chopmark.audit.desk.review import Reviewing
from chopmark.audit.desk.view import Looking

__all__ = ["Desk"]


class Desk(Looking, Reviewing, Appealing, Handing, Keeping):
    """What one person does in the log, for one purpose. :meth:`AuditLog.desk` makes it.

    A person of one tenant finds, sees, leases, decides, exports and erases nothing of another, and
    is not told that it exists; the log's own entries are shown to nobody of a tenant.
    """

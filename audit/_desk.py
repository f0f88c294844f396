"""The desk: people at work in the log. Whatever they do is an entry, with their name and why."""

from __future__ import annotations

from chopmark.audit._appeals import Appealing
from chopmark.audit._handing import Handing
from chopmark.audit._keeping import Keeping
from chopmark.audit._looking import Looking
from chopmark.audit._review import Reviewing

__all__ = ["Desk"]


class Desk(Looking, Reviewing, Appealing, Handing, Keeping):
    """What one person does in the log, for one purpose. :meth:`AuditLog.desk` makes it.

    A person of one tenant finds, sees, leases, decides, exports and erases nothing of another, and
    is not told that it exists; the log's own entries are shown to nobody of a tenant.
    """

"""Drafts of CyberTipline reports: two investigators release one, and what it is about is kept."""

from __future__ import annotations

from datetime import timedelta
from hashlib import sha256
from typing import TYPE_CHECKING, Final

from chopmark.audit.desk.cybertip_xml import cybertip_xml
from chopmark.audit.desk.view import RecordViewer, is_restricted
from chopmark.audit.log.clock import now
from chopmark.errors import InvalidRequest, RecordNotFound

if TYPE_CHECKING:
    from chopmark.audit.custody.custody import Custody
    from chopmark.audit.desk.actor import Actor
    from chopmark.audit.desk.cybertip_xml import CyberTipReporter
    from chopmark.audit.desk.session import DeskSession
    from chopmark.audit.log.events import Record
    from chopmark.kit.types import JsonValue

__all__ = ["CyberTips"]

_PRESERVED: Final = timedelta(days=365)
_BASIS: Final = "18 U.S.C. 2258A(h): kept for a year after a CyberTipline report, record "
_RELEASED: Final = "cybertip.released"


class CyberTips:
    """Drafts of one person, always with a second one.

    Args:
        session: Who, and why.
        custody: Holds what is stored about the person.
    """

    def __init__(self, session: DeskSession, custody: Custody) -> None:
        self._session, self._custody = session, custody
        self._viewer = RecordViewer(session)

    def release(
        self,
        record_id: str,
        reporter: CyberTipReporter,
        *,
        second: Actor,
        reason: str,
        prompt: bool = False,
    ) -> Record:
        """Write the draft for a sealed record, and hold what is stored about its person for a year.

        The draft lies encrypted in the entry that is booked; :meth:`draft` shows it. It is sent
        nowhere. The hold is placed first: a draft without it would be worse than none.

        Args:
            record_id: A record that is sealed, or was from the start (``sexual/minors``).
            reporter: Who reports.
            second: Another investigator, who agreed.
            reason: Why.
            prompt: Whether what was asked for stands in the draft.

        Returns:
            The ``cybertip.released`` entry: ``sha256`` of the draft, ``hold`` (the entry of the
            hold; None where the request named nobody) and ``until``.

        Raises:
            NotPermitted: Not two different investigators.
            RecordNotFound: No such record, or another tenant's.
            InvalidRequest: No reason, the record is not sealed, or the draft has no good form.
            ErasureRefused: The person is being erased, or is not this tenant's alone.
        """
        session = self._session
        session.require_two(second, "investigator")
        if not reason.strip():
            raise InvalidRequest("a report needs a reason", param="reason")
        records = self._viewer.records(record_id)
        first = records[0]
        if not is_restricted(records):
            raise InvalidRequest(
                f"record {first.record_id} is not sealed", hint="seal it first, with a reason"
            )
        content = session.reader.content(first.index)
        subject = content.subject if content is not None else None
        asked = _asked(content.private) if prompt and content is not None else None
        text = cybertip_xml(records, reporter, subject=subject, prompt=asked)
        until = now(_PRESERVED.total_seconds())
        hold = None
        if subject is not None:
            by = f"{session.actor.name}, {second.name}"
            hold = self._custody.holds.place(
                subject, basis=_BASIS + first.record_id, by=by, until=until, tenant=session.tenant
            ).index
        return session.writer.append(
            session.event(
                "cybertip.released",
                first.record_id,
                {
                    "sha256": sha256(text.encode()).hexdigest(),
                    "hold": hold,
                    "until": until,
                    "prompt": asked is not None,
                    "retention": "report",
                },
                {"xml": text, "second": second.name, "reason": reason},
                tenant=first.tenant,
                subject=subject,
            )
        )

    def draft(self, record_id: str) -> str:
        """Return the newest draft of a record, as XML; the look is booked first.

        Raises:
            NotPermitted: It takes an investigator.
            RecordNotFound: No such record, no draft of it, or it was erased.
        """
        session = self._session
        session.require("investigator")
        records = self._viewer.records(record_id)
        released = [record for record in records if record.kind == _RELEASED]
        if not released:
            raise RecordNotFound(
                f"no report of record {records[0].record_id} was released",
                hint="one investigator asks for it, another one agrees",
            )
        newest = released[-1]
        session.writer.append(
            session.event("access.viewed", public={"of": newest.record_id, "what": "cybertip"})
        )
        text = (session.reader.private(newest.index) or {}).get("xml")
        if not isinstance(text, str):
            raise RecordNotFound(f"the report of record {newest.record_id} is erased")
        return text


def _asked(private: dict[str, JsonValue]) -> str | None:
    texts = private.get("texts")
    listed = texts if isinstance(texts, list) else [private.get("prompt")]
    return "\n".join(text for text in listed if isinstance(text, str)) or None

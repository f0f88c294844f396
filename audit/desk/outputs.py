"""What the desk does with pictures: take one back after it left, let one out that was held."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal

from chopmark.audit.custody.attachments import HELD_PREFIX
from chopmark.audit.desk.view import RecordViewer
from chopmark.audit.log.clock import moment, now
from chopmark.errors import DuplicateRecord, InvalidRequest, RecordNotFound
from chopmark.kit.ids import record_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from chopmark.audit.desk.session import DeskSession
    from chopmark.audit.log.events import Event, EventKind, Record
    from chopmark.kit.types import JsonValue

__all__ = ["OutputAction", "Outputs", "released_until", "withdrawn_at"]

OutputAction = Literal["withdraw", "restore", "release"]
#: The public member of a request's end that lists the pictures held for a decision.
HELD: Final = "held"
_DAY_S: Final = 86_400.0


def withdrawn_at(records: Sequence[Record]) -> str | None:
    """Return since when the pictures of a record are withdrawn, None while they stand.

    Args:
        records: A record's entries, oldest first.
    """
    since: str | None = None
    for record in records:
        if record.kind == "output.withdrawn":
            since = since or record.time
        elif record.kind == "output.restored":
            since = None
    return since


def released_until(records: Sequence[Record]) -> dict[str, str]:
    """Return the held outputs that the desk let out, and until when each may be fetched.

    Args:
        records: A record's entries, oldest first.
    """
    found: dict[str, str] = {}
    for record in records:
        listed = record.public.get("outputs")
        if record.kind == "output.released" and isinstance(listed, list):
            found |= {str(name): str(record.public["until"]) for name in listed}
    return found


class Outputs:
    """The pictures of a log's records, as one person decides on them."""

    def __init__(self, session: DeskSession) -> None:
        self._session = session
        self._viewer = RecordViewer(session)

    def withdraw(self, record_id: str, *, rationale: str) -> Record:
        """Say that the pictures of a record are not to be used any more.

        From then on verify says so, no cached answer gives them again, no file is restored and
        the resolver does not offer their manifests. Pictures that were given again as the answer
        to a later request are those of the first one: both are withdrawn.

        Raises:
            NotPermitted: No role for it.
            RecordNotFound: No such record, or another tenant's.
            InvalidRequest: No rationale, or no picture of it ever left.
            DuplicateRecord: They are withdrawn already.
        """
        return self._change(record_id, "output.withdrawn", rationale)

    def restore(self, record_id: str, *, rationale: str) -> Record:
        """Take a withdrawal back.

        Raises:
            NotPermitted: No role for it.
            RecordNotFound: No such record, or another tenant's.
            InvalidRequest: No rationale, or nothing is withdrawn.
        """
        return self._change(record_id, "output.restored", rationale)

    def release(self, record_id: str, *, rationale: str, until: str | None = None) -> Record:
        """Let out the pictures of a record that were held for a person to look at.

        Args:
            record_id: The record, or one of its outputs.
            rationale: Why.
            until: Till when they may be fetched, RFC 3339; None is a day.

        Returns:
            The ``output.released`` entry, with ``outputs`` and ``until`` in its public part.

        Raises:
            NotPermitted: No role for it.
            RecordNotFound: No such record, or another tenant's.
            InvalidRequest: No rationale, nothing is held, or ``until`` is over.
        """
        end = now(_DAY_S) if until is None else moment(until)
        if end <= now():
            raise InvalidRequest("until is in the past", param="until")
        records = self._begin(record_id, rationale)
        held = self._kept(records)
        if not held:
            raise InvalidRequest(
                f"no picture of record {records[0].record_id} is held",
                hint="only what was made and sent to review is held; a refused prompt can be"
                " allowed instead",
            )
        with self._session.ledger.booking() as transaction:
            event = self._event(
                "output.released", records, {"outputs": [*held], "until": end}, rationale
            )
            return self._session.ledger.book_within(transaction, event)

    def _kept(self, records: Sequence[Record]) -> list[str]:
        """Return the held outputs of a record whose files are still there."""
        with self._session.ledger.database.read() as transaction:
            rows = transaction.execute(
                "SELECT name FROM attachment WHERE idx = ?", (records[0].index,)
            )
        there = {str(row[0]) for row in rows}
        return [name for name in held_outputs(records) if f"{HELD_PREFIX}{name}" in there]

    def _begin(self, record_id: str, rationale: str) -> list[Record]:
        self._session.require("reviewer", "investigator")
        if not rationale.strip():
            raise InvalidRequest("an action needs a rationale", param="rationale")
        return self._viewer.records(record_id)

    def _change(self, record_id: str, kind: EventKind, rationale: str) -> Record:
        records = self._begin(record_id, rationale)
        withdrawing = kind == "output.withdrawn"
        whole = [records]
        for record in records:
            repeats = record.public.get("repeats")
            if isinstance(repeats, str):
                whole.append(self._viewer.records(repeats))
        if withdrawing and not any(map(left, whole)):
            raise InvalidRequest(f"no picture of record {records[0].record_id} ever left")
        ledger = self._session.ledger
        with ledger.booking() as transaction:
            booked: list[Record] = []
            for one in whole:
                # Within the transaction: two desks may be at it at once.
                fresh = self._viewer.records(one[0].record_id)
                if (withdrawn_at(fresh) is None) == withdrawing:
                    event = self._event(kind, fresh, {}, rationale)
                    booked.append(ledger.book_within(transaction, event))
        if booked:
            return booked[0]
        if withdrawing:
            raise DuplicateRecord(
                f"record {records[0].record_id} is withdrawn already", hint="restore takes it back"
            )
        raise InvalidRequest(f"record {records[0].record_id} is not withdrawn")

    def _event(
        self,
        kind: EventKind,
        records: Sequence[Record],
        public: dict[str, JsonValue],
        rationale: str,
    ) -> Event:
        content = self._session.reader.content(records[0].index)
        return self._session.event(
            kind,
            records[0].record_id,
            public,
            {"rationale": rationale},
            tenant=records[0].tenant,
            # With the prompt, the words about it go as well.
            subject=content.subject if content is not None else None,
        )


def left(records: Sequence[Record]) -> bool:
    """Tell whether a picture of a record ever left."""
    return any(record.kind in {"request.completed", "output.released"} for record in records)


def held_outputs(records: Sequence[Record]) -> list[str]:
    """Return the outputs of a record that were made and are held for a person to look at."""
    for record in records:
        listed = record.public.get(HELD)
        if isinstance(listed, list):
            return [str(name) for name in listed if record_of(str(name)) == record.record_id]
    return []


def check_released(records: Sequence[Record], output_id: str) -> str:
    """Return until when a released output may be fetched.

    Raises:
        RecordNotFound: It was never released, or the time is over.
    """
    until = released_until(records).get(output_id)
    if until is None or until <= now():
        raise RecordNotFound(f"output {output_id} cannot be fetched (any more)")
    return until

"""What leaves the log: records with proofs, statements of reasons, reports."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from chopmark.audit.desk.dsa_statements import statement_of_reasons
from chopmark.audit.desk.export_files import rows_of, write_export
from chopmark.audit.desk.transparency import bound_of, report_of_days, transparency_report
from chopmark.audit.desk.view import RecordViewer
from chopmark.audit.search.query import Query

if TYPE_CHECKING:
    from pathlib import Path

    from chopmark.audit.desk.actor import Actor
    from chopmark.audit.desk.dsa_statements import StatementTemplate
    from chopmark.audit.desk.export_files import ExportFormat
    from chopmark.audit.desk.session import DeskSession
    from chopmark.audit.proof.prover import Prover
    from chopmark.audit.search.query import Hit
    from chopmark.kit.types import JsonValue, Progress

__all__ = ["Export"]

_PAGE: Final = 1000
_TOLD_EACH: Final = 50


class Export:
    """What one person takes out of the log; all but counting takes two persons.

    Args:
        session: Who, and why.
        prover: Signs what is exported.
    """

    def __init__(self, session: DeskSession, prover: Prover) -> None:
        self._session, self._prover = session, prover

    def records(
        self,
        query: Query,
        folder: Path,
        *,
        form: ExportFormat = "jsonl",
        second: Actor,
        content: bool = False,
        limit: int | None = None,
        progress: Progress | None = None,
    ) -> Path:
        """Write what a query finds, with proofs, for somebody else to check.

        Args:
            query: What to export.
            folder: Where to; ``entries.*`` and ``manifest.json`` are written.
            form: Of the entries.
            second: Another exporter, who agreed.
            content: Whether the private parts go along; what is sealed never does.
            limit: At most so many records, the newest; None is all of them.
            progress: Told how many of the records are done.

        Returns:
            The manifest; its digest is in the ``access.exported`` entry.

        Raises:
            NotPermitted: Not two different exporters, or another tenant's records are asked for.
        """
        session = self._session
        session.require_two(second, "exporter")
        within = session.within(query)
        session.index.update()
        hits = self._all(within, limit)
        # Signed after the search: what was found is in the tree that the proofs lead into.
        checkpoint = self._prover.checkpoint()
        with session.ledger.database.read() as transaction:
            rows = rows_of(
                transaction,
                [hit.record_id for hit in hits],
                checkpoint.size,
                progress=progress,
            )
        if content:
            sealed = RecordViewer(session).sealed(hit.record_id for hit in hits)
            for place, row in enumerate(rows):
                if progress is not None and place % _TOLD_EACH == 0:
                    progress(place, len(rows), "reading content")
                if row["record_id"] not in sealed:
                    row["private"] = session.reader.private(int(str(row["index"])))
        manifest, digest = write_export(
            folder,
            form,
            rows,
            checkpoint=checkpoint,
            public_key=self._prover.public_key,
            asked={"query": within.to_dict(), "content": content},
        )
        session.writer.append(
            session.event(
                "access.exported",
                public={"manifest_sha256": digest, "entries": len(rows), "content": content},
                private={"second": second.name, "query": within.to_dict()},
            )
        )
        return manifest

    def _all(self, query: Query, limit: int | None) -> list[Hit]:
        """Return what a query finds, page by page; the projection is up to date."""
        found: list[Hit] = []
        before = None
        while limit is None or len(found) < limit:
            page = self._session.index.find(query, limit=_PAGE, before=before)
            if not page:
                break
            found += page
            before = page[-1].index
        return found[:limit]

    def statements(
        self,
        template: StatementTemplate,
        *,
        second: Actor,
        since: str | None = None,
        until: str | None = None,
    ) -> list[dict[str, JsonValue]]:
        """Return the DSA statements of reasons for the refusals of a period, newest first.

        Raises:
            NotPermitted: Not two different exporters.
            InvalidRequest: The template makes a statement that the database would not take.
        """
        session = self._session
        session.require_two(second, "exporter")
        session.index.update()
        found: list[dict[str, JsonValue]] = []
        query = session.within(Query(decision="block", since=since, until=until))
        for hit in self._all(query, None):
            records = session.reader.records(hit.record_id)
            # A moderation that answered "block" is found too; it refused nobody anything.
            if any(record.kind == "request.refused" for record in records):
                found.append(statement_of_reasons(records, template))
        session.writer.append(
            session.event(
                "access.exported",
                public={"statements": len(found), "content": False},
                private={"second": second.name},
            )
        )
        return found

    def report(self, *, since: str = "", until: str = "9999") -> dict[str, JsonValue]:
        """Return the transparency report of a period, with a checkpoint of what it is counted from.

        Counted from public leaves only (:func:`transparency_report`), so whoever has the published
        files of that checkpoint gets the same from their first ``entries``. Whole days are counted
        in the projection; of another period every leaf is read. A tenant's people get their
        tenant's numbers.

        Args:
            since: First moment, RFC 3339 in UTC, or a day.
            until: Moment after the last.

        Raises:
            InvalidRequest: Neither a day nor a moment.
        """
        session = self._session
        session.require("auditor", "exporter", "investigator", "reader", "reviewer")
        since, until = bound_of(since), bound_of(until)
        session.index.update()
        with session.index.database.read() as transaction:
            report = report_of_days(transaction, since=since, until=until, tenant=session.tenant)
        # Signed afterwards: the tree holds at least what was counted.
        checkpoint = self._prover.checkpoint()
        if report is None:
            with session.reader.leaves(checkpoint.size) as leaves:
                report = transparency_report(
                    leaves, since=since, until=until, tenant=session.tenant
                )
        return {**report, "checkpoint": checkpoint.note}

"""Handing out: exports with proofs, statements of reasons, reports. An export takes two persons."""

from __future__ import annotations

from typing import TYPE_CHECKING

from chopmark.audit.desk.actor import Seat
from chopmark.audit.desk.dsa_statements import statement_of_reasons
from chopmark.audit.desk.export_files import rows_of, write_export
from chopmark.audit.search.query import Query
from chopmark.errors import NotPermitted

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from chopmark.audit.desk.actor import Actor
    from chopmark.audit.desk.dsa_statements import StatementTemplate
    from chopmark.audit.desk.export_files import ExportFormat
    from chopmark.audit.search.query import Hit
    from chopmark.kit.types import JsonValue

__all__ = ["Handing"]


class Handing(Seat):
    """The part of the desk from which something leaves."""

    def export(
        self,
        query: Query,
        folder: Path,
        *,
        form: ExportFormat = "jsonl",
        second: Actor,
        content: bool = False,
        limit: int | None = None,
    ) -> Path:
        """Write what a query finds, with proofs, for somebody else to check.

        Args:
            query: What to export.
            folder: Where to; ``entries.*`` and ``manifest.json`` are written.
            form: Of the entries.
            second: Another exporter, who agreed.
            content: Whether the private parts go along; what is sealed never does.
            limit: At most so many records, the newest; None is all of them.

        Returns:
            The manifest; its digest is in the ``access.exported`` entry.

        Raises:
            NotPermitted: Not two different exporters, or another tenant's records are asked for.
        """
        self._two(second, "exporter")
        within = self._within(query)
        self._index.update()
        hits = self._all(within, limit)
        checkpoint = self._log.checkpoint()
        with self._ledger.database.read() as transaction:
            rows = rows_of(transaction, [hit.record_id for hit in hits], checkpoint.size)
        if content:
            closed = self._closed(hit.record_id for hit in hits)
            for row in rows:
                if row["record_id"] not in closed:
                    row["private"] = self._log.private(int(str(row["index"])))
        manifest, digest = write_export(
            folder,
            form,
            rows,
            checkpoint=checkpoint,
            public_key=self._log.public_key,
            said={"query": within.to_dict(), "content": content},
        )
        self._log.append(
            self._event(
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
            page = self._index.find(query, limit=1000, before=before)
            if not page:
                break
            found += page
            before = page[-1].index
        return found[:limit]

    def _closed(self, record_ids: Iterable[str]) -> set[str]:
        """Return those of the records that are sealed."""
        closed = set()
        with self._index.database.read() as transaction:
            for record_id in record_ids:
                try:
                    self._open(transaction, record_id)
                except NotPermitted:
                    closed.add(record_id)
        return closed

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
        self._two(second, "exporter")
        self._index.update()
        found: list[dict[str, JsonValue]] = []
        query = self._within(Query(decision="block", since=since, until=until))
        for hit in self._all(query, None):
            records = self._log.records(hit.record_id)
            if any(record.kind == "request.refused" for record in records):
                found.append(statement_of_reasons(records, template))
        self._log.append(
            self._event(
                "access.exported",
                public={"statements": len(found), "content": False},
                private={"second": second.name},
            )
        )
        return found

    def report(self, *, since: str = "", until: str = "9999") -> dict[str, JsonValue]:
        """Return the transparency report of what this person sees (AuditLog.transparency)."""
        self._may("auditor", "exporter", "investigator", "reader", "reviewer")
        return self._log.transparency(since=since, until=until, tenant=self._tenant)

"""Search: the projection of the log with a word index, made again from the log at any time.

It lies in a file of its own and is brought up to date off the write path. It holds words of
prompts, so erasure and retention events are followed like any other: what they cover is taken out
and its bytes are overwritten. Nothing in it is believed by the verifier.
"""

from __future__ import annotations

import contextlib
import json
from typing import TYPE_CHECKING, Any, Final

from chopmark.audit.log.leaf import parse_leaf
from chopmark.audit.log.vault import KeyGone
from chopmark.audit.search.projection import SCHEMA, TABLES, VERSION, apply, take_out
from chopmark.audit.search.query import PDQ_BYTES, Hit, Query, SavedQuery, pdq_bytes, word_match
from chopmark.audit.search.tallies import Tallies
from chopmark.errors import RecordNotFound
from chopmark.kit.ids import is_id, record_of
from chopmark.kit.sqlite import SqliteDatabase, remove_other_version

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from chopmark.audit.log.ledger import Ledger
    from chopmark.audit.log.sealed import Content
    from chopmark.kit.database import Transaction
    from chopmark.kit.types import Progress

__all__ = ["SearchIndex"]

_BATCH: Final = 1000
_MOST: Final = 1000
_COLUMNS: Final = "item.idx, record_id, tenant, time, decision, score, model, policy"


class SearchIndex:
    """The projection file.

    Args:
        folder: Where it lies (``search.db``).
        ledger: The log that it follows.

    Raises:
        LogUnavailable: It cannot be opened.
    """

    def __init__(self, folder: Path, ledger: Ledger) -> None:
        self._ledger = ledger
        remove_other_version(folder / "search.db", VERSION)
        self.database = SqliteDatabase(folder / "search.db", schema=SCHEMA)

    def close(self) -> None:
        """Let go of the file."""
        self.database.close()

    def rebuild(self) -> int:
        """Forget the projection and make it again; return how many entries were read."""
        with self.database.write() as transaction:
            for table in TABLES:
                transaction.execute(f"DELETE FROM {table}")  # noqa: S608 - fixed names
        return self.update()

    def update(self, *, progress: Progress | None = None) -> int:
        """Follow the log to its end; return how many entries were read.

        Args:
            progress: Told how many entries of how many are followed, where there are many.

        Raises:
            LogUnavailable: A file cannot be read or written.
            LogCorrupt: The log does not agree with itself.
        """
        # One read of the key file a subject, not one an entry.
        with self._ledger.vault.remembering():
            total, removed = self._follow(progress)
        if removed:
            self.database.scrub()
        return total

    def _follow(self, progress: Progress | None) -> tuple[int, bool]:
        """Follow batch by batch; tell how many entries were read, and whether content went."""
        total, removed = 0, False
        while True:
            with self.database.write() as transaction:
                rows = transaction.execute("SELECT upto FROM followed")
                upto = int(rows[0][0]) if rows else 0
                entries, covers = self._entries(upto)
                tallies = Tallies(transaction)
                for index, leaf, content in entries:
                    apply(transaction, self._ledger.vault, index, leaf, content)
                    tallies.count(index, leaf)
                for ranges in covers:
                    take_out(transaction, ranges)
                    removed = True
                if entries:
                    tallies.write()
                    transaction.execute(
                        "INSERT INTO followed (id, upto) VALUES (1, ?)"
                        " ON CONFLICT (id) DO UPDATE SET upto = excluded.upto",
                        (entries[-1][0] + 1,),
                    )
                if removed and len(entries) < _BATCH:
                    # Deleted words stay in a contentless index until its segments are merged.
                    transaction.execute("INSERT INTO words (words) VALUES ('optimize')")
                    transaction.execute("INSERT INTO stems (stems) VALUES ('optimize')")
            total += len(entries)
            if len(entries) < _BATCH:
                break
            if progress is not None:
                progress(entries[-1][0], self._size(), "indexing the log")
        return total, removed

    def _size(self) -> int:
        with self._ledger.database.read() as transaction:
            return self._ledger.state(transaction).size

    def _entries(
        self, upto: int
    ) -> tuple[list[tuple[int, dict[str, Any], Content | None]], list[list[list[int]]]]:
        """Read the next entries with their content, and what they cover."""
        with self._ledger.database.read() as transaction:
            rows = transaction.execute(
                "SELECT entry.idx, event_id, kind, leaf, key_id, sealed FROM entry"
                " LEFT JOIN content ON content.idx = entry.idx"
                " WHERE entry.idx >= ? ORDER BY entry.idx LIMIT ?",
                (upto, _BATCH),
            )
            covers = []
            for row in rows:
                if row[2] in {"erasure.completed", "retention.expired"}:
                    found = transaction.execute("SELECT ranges FROM cover WHERE idx = ?", (row[0],))
                    covers.append(json.loads(bytes(found[0][0])) if found else [])
        entries = []
        for index, event_id, _kind, leaf, key_id, sealed in rows:
            members, content = parse_leaf(bytes(leaf)), None
            if key_id is not None:
                commitment = bytes.fromhex(members.get("commitment", ""))
                with contextlib.suppress(KeyGone):
                    content = self._ledger.vault.open(
                        bytes(key_id), bytes(sealed), event_id=event_id, commitment=commitment
                    )
            entries.append((int(index), members, content))
        return entries, covers

    def find(self, query: Query, *, limit: int = 50, before: int | None = None) -> list[Hit]:
        """Return matching records, newest first, as far as the projection has followed.

        Raises:
            InvalidRequest: The query cannot be run.
        """
        clauses, values = self._clauses(query)
        source, order = "item", "item.idx"
        if query.text is not None and not is_id(query.text.strip()):
            # A word index gives its rows newest first by itself, so a page reads only a page.
            found = word_match(query.text)
            table, match = ("stems", found.stems) if found.stems else ("words", found.words)
            source, order = f"{table} CROSS JOIN item ON item.idx = {table}.rowid", f"{table}.rowid"
            clauses.append(f"{table} MATCH ?")
            values.append(match)
            if found.stems and found.words:
                clauses.append("item.idx IN (SELECT rowid FROM words WHERE words MATCH ?)")
                values.append(found.words)
        if before is not None:
            clauses.append(f"{order} < ?")
            values.append(before)
        near = self._near(query) if query.similar_to is not None else None
        if near is not None:
            clauses.append(f"item.idx IN ({', '.join('?' * len(near)) or 'NULL'})")
            values.extend(near)
        where = " AND ".join(clauses) or "1"
        with self.database.read() as transaction:
            rows = transaction.execute(
                f"SELECT {_COLUMNS} FROM {source} WHERE {where} ORDER BY {order} DESC LIMIT ?",  # noqa: S608 - fixed clauses
                (*values, max(1, min(limit, _MOST))),
            )
            return [_hit(transaction, row, near) for row in rows]

    def of_records(self, record_ids: Iterable[str]) -> dict[str, Hit]:
        """Return what is shown of these records, as far as the projection has followed."""
        with self.database.read() as transaction:
            rows = [
                row
                for record_id in record_ids
                for row in transaction.execute(
                    f"SELECT {_COLUMNS} FROM item WHERE record_id = ?",  # noqa: S608 - fixed
                    (record_id,),
                )
            ]
            hits = [_hit(transaction, row, None) for row in rows]
        return {hit.record_id: hit for hit in hits}

    def _clauses(self, query: Query) -> tuple[list[str], list[object]]:
        clauses: list[str] = []
        values: list[object] = []

        def add(clause: str, value: object) -> None:
            if value is not None:
                clauses.append(clause)
                values.append(value)

        if query.text is not None and is_id(query.text.strip()):
            add("record_id = ?", record_of(query.text.strip()))
        add("tenant = ?", query.tenant)
        add("decision = ?", query.decision)
        add("model = ?", query.model)
        add("policy = ?", query.policy)
        add("time >= ?", query.since)
        add("time < ?", query.until)
        if query.subject is not None:
            # As the log was told, or as the tenant calls them: then whoever has that name.
            clauses.append("(tag = ? OR tag IN (SELECT tag FROM person WHERE name = ?))")
            values += [self._ledger.vault.tag(query.subject, ""), query.subject]
        if query.category is not None:
            add(
                "EXISTS (SELECT 1 FROM category WHERE category.idx = item.idx AND name = ?"
                " AND category.score BETWEEN ? AND ?)",
                query.category,
            )
            values += [query.min_score or 0.0, 1.0 if query.max_score is None else query.max_score]
        else:
            add("score >= ?", query.min_score)
            add("score <= ?", query.max_score)
        return clauses, values

    def _near(self, query: Query) -> dict[int, int]:
        """Return the items with a picture within the distance, and the smallest distance."""
        import numpy as np

        # Every hash of the tenant is compared; reading the rows costs more than comparing them.
        wanted = np.frombuffer(pdq_bytes(query.similar_to), np.uint8)
        with self.database.read() as transaction:
            rows = transaction.execute(
                "SELECT idx, pdq FROM picture WHERE ? IS NULL OR tenant = ?",
                (query.tenant, query.tenant),
            )
        if not rows:
            return {}
        stored = np.frombuffer(b"".join(bytes(row[1]) for row in rows), np.uint8)
        distances = np.bitwise_count(stored.reshape(-1, PDQ_BYTES) ^ wanted).sum(axis=1)
        found: dict[int, int] = {}
        for place in np.flatnonzero(distances <= query.distance):
            index, distance = int(rows[place][0]), int(distances[place])
            found[index] = min(distance, found.get(index, distance))
        nearest = sorted(found, key=lambda index: (found[index], -index))
        return {index: found[index] for index in nearest[:_MOST]}

    def saved(self, name: str, tenant: str, version: int | None = None) -> SavedQuery:
        """Return a kept query, the newest version of it unless another is asked for.

        Raises:
            RecordNotFound: There is none.
        """
        with self.database.read() as transaction:
            rows = transaction.execute(
                "SELECT version, query FROM saved_query WHERE tenant = ? AND name = ?"
                " AND version = coalesce(?, version) ORDER BY version DESC LIMIT 1",
                (tenant, name, version),
            )
        if not rows:
            raise RecordNotFound(f"no saved query {name!r}")
        query = Query.from_dict(json.loads(rows[0][1]))
        return SavedQuery(name=name, version=int(rows[0][0]), query=query)

    def all_saved(self, tenant: str) -> list[SavedQuery]:
        """Return the newest version of each kept query of a tenant, by name."""
        with self.database.read() as transaction:
            rows = transaction.execute(
                "SELECT DISTINCT name FROM saved_query WHERE tenant = ? ORDER BY name", (tenant,)
            )
        return [self.saved(name, tenant) for (name,) in rows]


def _hit(transaction: Transaction, row: Sequence[Any], near: dict[int, int] | None) -> Hit:
    index, record_id, tenant, time, decision, score, model, policy = row
    categories = transaction.execute(
        "SELECT name, score FROM category WHERE idx = ? ORDER BY name", (index,)
    )
    return Hit(
        index=index,
        record_id=record_id,
        tenant=tenant,
        time=time,
        decision=decision,
        score=score,
        categories=dict(categories),
        model=model,
        policy=policy,
        distance=near[index] if near is not None else None,
    )

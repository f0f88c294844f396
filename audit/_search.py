"""What analysts ask: a projection of the log with a word index, made again from it at any time.

It lies in a file of its own and is brought up to date off the write path. It holds words of
prompts, so erasure and retention events are followed like any other: what they cover is taken out
and its bytes are overwritten. Nothing in it is believed by the verifier.
"""

from __future__ import annotations

import contextlib
import json
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final, Literal

from chopmark.audit._events import parse_leaf
from chopmark.audit._sqlite import SqliteDatabase
from chopmark.audit._vault import KeyGone
from chopmark.errors import InvalidRequest, LogCorrupt, RecordNotFound

if TYPE_CHECKING:
    from pathlib import Path

    from chopmark.audit._database import Transaction
    from chopmark.audit._sequencer import Ledger
    from chopmark.audit._vault import Content
    from chopmark.types import JsonValue

__all__ = ["Decision", "Hit", "Query", "SearchIndex"]

Decision = Literal["allow", "review", "block", "failed", "open"]
_BATCH: Final = 1000
_PDQ_BYTES: Final = 32
_MOST: Final = 1000

_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS item (
  idx INTEGER PRIMARY KEY, record_id TEXT NOT NULL UNIQUE, tenant TEXT NOT NULL,
  time TEXT NOT NULL, tag BLOB, model TEXT, policy TEXT, decision TEXT NOT NULL,
  score REAL NOT NULL DEFAULT 0
);;
CREATE INDEX IF NOT EXISTS item_tag ON item (tag);;
CREATE TABLE IF NOT EXISTS category (
  idx INTEGER NOT NULL, name TEXT NOT NULL, score REAL NOT NULL, PRIMARY KEY (name, idx)
) WITHOUT ROWID;;
CREATE INDEX IF NOT EXISTS category_idx ON category (idx);;
CREATE TABLE IF NOT EXISTS picture (
  id INTEGER PRIMARY KEY, idx INTEGER NOT NULL, at INTEGER NOT NULL, output_id TEXT NOT NULL,
  pdq BLOB NOT NULL
);;
CREATE VIRTUAL TABLE IF NOT EXISTS words USING fts5(
  text, content='', contentless_delete=1, tokenize='unicode61 remove_diacritics 2'
);;
CREATE TABLE IF NOT EXISTS review (
  record_id TEXT PRIMARY KEY, queue TEXT NOT NULL, priority INTEGER NOT NULL,
  queued INTEGER NOT NULL, holder TEXT, until TEXT, decision TEXT, reviewer TEXT
);;
CREATE TABLE IF NOT EXISTS appeal (
  record_id TEXT PRIMARY KEY, opened INTEGER NOT NULL, time TEXT NOT NULL, outcome TEXT,
  decided TEXT
);;
CREATE TABLE IF NOT EXISTS exception (
  idx INTEGER PRIMARY KEY, tenant TEXT NOT NULL, tag BLOB NOT NULL, until TEXT NOT NULL
);;
CREATE TABLE IF NOT EXISTS followed (id INTEGER PRIMARY KEY, upto INTEGER NOT NULL);;
CREATE TABLE IF NOT EXISTS saved_query (
  name TEXT NOT NULL, version INTEGER NOT NULL, query TEXT NOT NULL, PRIMARY KEY (name, version)
)
"""
_REBUILT: Final = ("item", "category", "picture", "words", "review", "appeal", "exception")


@dataclass(frozen=True, kw_only=True)
class Query:
    """What to look for; every member that is given must hold.

    Attributes:
        text: Words that the prompt must all contain; in double quotes a phrase; a last ``*`` finds
            beginnings of words.
        tenant: Of this tenant.
        decision: How the request ended; ``open`` when it did not.
        category: Scored in this category.
        min_score: Lowest score, in ``category`` when that is given, else in any; 0..1.
        max_score: Highest score, likewise.
        model: Made by this model (``id@version``).
        policy: Judged under the policy of this digest.
        subject: About this person.
        since: Received at this RFC 3339 time in UTC, or later.
        until: Received before this time.
        similar_to: PDQ hash (64 hex digits); pictures within ``distance`` bits of it.
        distance: Hamming distance, 0..256; 31 is what PDQ's authors call a confident match.
    """

    text: str | None = None
    tenant: str | None = None
    decision: Decision | None = None
    category: str | None = None
    min_score: float | None = None
    max_score: float | None = None
    model: str | None = None
    policy: str | None = None
    subject: str | None = None
    since: str | None = None
    until: str | None = None
    similar_to: str | None = None
    distance: int = 31

    def to_dict(self) -> dict[str, JsonValue]:
        """Return the members that are given."""
        empty = Query()
        return {name: value for name, value in vars(self).items() if value != getattr(empty, name)}

    @classmethod
    def from_dict(cls, members: dict[str, Any]) -> Query:
        """Read what :meth:`to_dict` gave.

        Raises:
            InvalidRequest: A member is unknown.
        """
        try:
            return replace(cls(), **members)
        except TypeError:
            raise InvalidRequest("a query has a member that is not known") from None


@dataclass(frozen=True, kw_only=True)
class Hit:
    """A record that was found: nothing private in it.

    Attributes:
        index: Its first entry, by which pages go on.
        score: Highest score in any category, 0..1.
        categories: Score by category.
        distance: Smallest PDQ distance of its pictures; None when it was not asked for.
    """

    index: int
    record_id: str
    tenant: str
    time: str
    decision: Decision
    score: float
    categories: dict[str, float]
    model: str | None
    policy: str | None
    distance: int | None = None


def _match(text: str) -> str:
    """Return the FTS5 expression for what a person typed: no operator of theirs gets through."""
    terms = []
    for place, part in enumerate(text.split('"')):
        if place % 2:
            terms.append(f'"{part}"')
            continue
        for word in part.split():
            stem = word.rstrip("*")
            if stem:
                terms.append(f'"{stem}"*' if word.endswith("*") else f'"{stem}"')
    if not terms:
        raise InvalidRequest("there is no word to look for")
    return " ".join(terms).replace("\x00", " ")


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
        self.database = SqliteDatabase(
            folder / "search.db", schema=_SCHEMA, lock=folder / "search.lock"
        )

    def close(self) -> None:
        """Let go of the file."""
        self.database.close()

    def rebuild(self) -> int:
        """Forget the projection and make it again; return how many entries were read."""
        with self.database.write() as transaction:
            for table in _REBUILT:
                transaction.execute(f"DELETE FROM {table}")  # noqa: S608 - fixed names
            transaction.execute("DELETE FROM followed")
        return self.update()

    def update(self) -> int:
        """Follow the log to its end; return how many entries were read.

        Raises:
            LogUnavailable: A file cannot be read or written.
            LogCorrupt: The log does not agree with itself.
        """
        total, removed = 0, False
        while True:
            with self.database.write() as transaction:
                rows = transaction.execute("SELECT upto FROM followed")
                upto = int(rows[0][0]) if rows else 0
                entries, covers = self._entries(upto)
                for index, leaf, content in entries:
                    self._apply(transaction, index, parse_leaf(leaf), content)
                for ranges in covers:
                    self._take_out(transaction, ranges)
                    removed = True
                if entries:
                    transaction.execute(
                        "INSERT INTO followed (id, upto) VALUES (1, ?)"
                        " ON CONFLICT (id) DO UPDATE SET upto = excluded.upto",
                        (entries[-1][0] + 1,),
                    )
                if removed and len(entries) < _BATCH:
                    # Deleted words stay in a contentless index until its segments are merged.
                    transaction.execute("INSERT INTO words (words) VALUES ('optimize')")
            total += len(entries)
            if len(entries) < _BATCH:
                break
        if removed:
            self.database.scrub()
        return total

    def _entries(
        self, upto: int
    ) -> tuple[list[tuple[int, bytes, Content | None]], list[list[list[int]]]]:
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
            content = None
            if key_id is not None:
                commitment = bytes.fromhex(parse_leaf(bytes(leaf)).get("commitment", ""))
                with contextlib.suppress(KeyGone):
                    content = self._ledger.vault.open(
                        bytes(key_id), bytes(sealed), event_id=event_id, commitment=commitment
                    )
            entries.append((int(index), bytes(leaf), content))
        return entries, covers

    def _take_out(self, transaction: Transaction, ranges: list[list[int]]) -> None:
        for low, high in ranges:
            transaction.execute("DELETE FROM words WHERE rowid BETWEEN ? AND ?", (low, high))
            transaction.execute("UPDATE item SET tag = NULL WHERE idx BETWEEN ? AND ?", (low, high))
            transaction.execute("DELETE FROM picture WHERE at BETWEEN ? AND ?", (low, high))
            transaction.execute("DELETE FROM exception WHERE idx BETWEEN ? AND ?", (low, high))

    def _apply(
        self, transaction: Transaction, index: int, leaf: dict[str, Any], content: Content | None
    ) -> None:
        kind, public = str(leaf["kind"]), leaf["public"]
        private = content.private if content is not None else {}
        family = kind.partition(".")[0]
        if family in {"request", "moderation", "verify"}:
            self._apply_record(transaction, index, leaf, content)
        elif family == "review":
            _apply_review(transaction, index, leaf, private)
        elif kind == "appeal.opened":
            transaction.execute(
                "INSERT INTO appeal (record_id, opened, time) VALUES (?, ?, ?)"
                " ON CONFLICT (record_id) DO NOTHING",
                (leaf["record_id"], index, leaf["time"]),
            )
        elif kind == "appeal.decided":
            transaction.execute(
                "UPDATE appeal SET outcome = ?, decided = ? WHERE record_id = ?",
                (public.get("outcome"), leaf["time"], leaf["record_id"]),
            )
        elif kind == "exception.granted" and "prompt" in private:
            tag = self.prompt_tag(str(private["prompt"]), leaf["tenant"])
            transaction.execute(
                "INSERT INTO exception (idx, tenant, tag, until) VALUES (?, ?, ?, ?)",
                (index, leaf["tenant"], tag, public.get("until") or "9999"),
            )
        elif kind == "exception.revoked":
            transaction.execute("DELETE FROM exception WHERE idx = ?", (public.get("exception"),))

    def prompt_tag(self, prompt: str, tenant: str) -> bytes:
        """Return the keyed hash by which an excepted prompt is found: case and spaces fold."""
        folded = " ".join(prompt.casefold().split())
        return self._ledger.vault.tag(f"prompt\n{tenant}\n{folded}", tenant)

    def _apply_record(
        self, transaction: Transaction, index: int, leaf: dict[str, Any], content: Content | None
    ) -> None:
        public, record_id = leaf["public"], leaf["record_id"]
        transaction.execute(
            "INSERT INTO item (idx, record_id, tenant, time, decision) VALUES (?, ?, ?, ?, 'open')"
            " ON CONFLICT (record_id) DO NOTHING",
            (index, record_id, leaf["tenant"], leaf["time"]),
        )
        item = transaction.execute("SELECT idx FROM item WHERE record_id = ?", (record_id,))[0][0]
        for column in ("model", "policy"):
            if isinstance(public.get(column), str):
                transaction.execute(
                    f"UPDATE item SET {column} = ? WHERE idx = ?",  # noqa: S608 - fixed names
                    (public[column], item),
                )
        verdicts = _verdicts(public)
        for verdict in verdicts:
            for name, score in _scores(verdict).items():
                transaction.execute(
                    "INSERT INTO category (idx, name, score) VALUES (?, ?, ?) ON CONFLICT"
                    " (name, idx) DO UPDATE SET score = max(score, excluded.score)",
                    (item, name, score),
                )
                transaction.execute(
                    "UPDATE item SET score = max(score, ?) WHERE idx = ?", (score, item)
                )
        decision = _decision(str(leaf["kind"]), public, verdicts)
        if decision is not None:
            transaction.execute("UPDATE item SET decision = ? WHERE idx = ?", (decision, item))
        if content is not None:
            self._apply_content(transaction, index, item, leaf, content)

    def _apply_content(
        self,
        transaction: Transaction,
        index: int,
        item: int,
        leaf: dict[str, Any],
        content: Content,
    ) -> None:
        private = content.private
        texts = [private.get("prompt"), private.get("negative_prompt")]
        listed = private.get("texts")
        texts += listed if isinstance(listed, list) else []
        words = "\n".join(text for text in texts if isinstance(text, str))
        if words:
            # At the place of the entry that holds the text, because that is what a cover names.
            transaction.execute("INSERT INTO words (rowid, text) VALUES (?, ?)", (index, words))
        if content.subject is not None and index == item:
            tag = self._ledger.vault.tag(content.subject, leaf["tenant"])
            transaction.execute("UPDATE item SET tag = ? WHERE idx = ?", (tag, item))
        hashes = private.get("pdq")
        for output_id, pdq in (hashes if isinstance(hashes, dict) else {}).items():
            transaction.execute(
                "INSERT INTO picture (idx, at, output_id, pdq) VALUES (?, ?, ?, ?)",
                (item, index, output_id, _pdq(pdq)),
            )

    def find(self, query: Query, *, limit: int = 50, before: int | None = None) -> list[Hit]:
        """Return matching records, newest first, as far as the projection has followed.

        Raises:
            InvalidRequest: The query cannot be run.
        """
        clauses, values = self._clauses(query)
        if before is not None:
            clauses.append("item.idx < ?")
            values.append(before)
        near = self._near(query) if query.similar_to is not None else None
        if near is not None:
            clauses.append(f"item.idx IN ({', '.join('?' * len(near)) or 'NULL'})")
            values.extend(near)
        where = " AND ".join(clauses) or "1"
        with self.database.read() as transaction:
            rows = transaction.execute(
                "SELECT idx, record_id, tenant, time, decision, score, model, policy FROM item"  # noqa: S608 - fixed clauses
                f" WHERE {where} ORDER BY idx DESC LIMIT ?",
                (*values, max(1, min(limit, _MOST))),
            )
            hits = []
            for index, record_id, tenant, time, decision, score, model, policy in rows:
                categories = transaction.execute(
                    "SELECT name, score FROM category WHERE idx = ? ORDER BY name", (index,)
                )
                hits.append(
                    Hit(
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
                )
        return hits

    def _clauses(self, query: Query) -> tuple[list[str], list[object]]:
        clauses: list[str] = []
        values: list[object] = []

        def add(clause: str, value: object) -> None:
            if value is not None:
                clauses.append(clause)
                values.append(value)

        if query.text is not None:
            add(
                "record_id IN (SELECT record_id FROM item AS i JOIN words ON words.rowid = i.idx"
                " WHERE words MATCH ?)",
                _match(query.text),
            )
        add("tenant = ?", query.tenant)
        add("decision = ?", query.decision)
        add("model = ?", query.model)
        add("policy = ?", query.policy)
        add("time >= ?", query.since)
        add("time < ?", query.until)
        if query.subject is not None:
            add("tag = ?", self._ledger.vault.tag(query.subject, ""))
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

        wanted = np.frombuffer(_pdq(query.similar_to), np.uint8)
        with self.database.read() as transaction:
            rows = transaction.execute("SELECT idx, pdq FROM picture")
        if not rows:
            return {}
        stored = np.frombuffer(b"".join(bytes(row[1]) for row in rows), np.uint8)
        distances = np.bitwise_count(stored.reshape(-1, _PDQ_BYTES) ^ wanted).sum(axis=1)
        found: dict[int, int] = {}
        for place in np.flatnonzero(distances <= query.distance):
            index, distance = int(rows[place][0]), int(distances[place])
            found[index] = min(distance, found.get(index, distance))
        nearest = sorted(found, key=lambda index: (found[index], -index))
        return {index: found[index] for index in nearest[:_MOST]}

    def save(self, name: str, query: Query) -> int:
        """Keep a query under a name; return its version, counted from 1."""
        with self.database.write() as transaction:
            rows = transaction.execute(
                "SELECT coalesce(max(version), 0) FROM saved_query WHERE name = ?", (name,)
            )
            version = int(rows[0][0]) + 1
            transaction.execute(
                "INSERT INTO saved_query (name, version, query) VALUES (?, ?, ?)",
                (name, version, json.dumps(query.to_dict(), sort_keys=True)),
            )
        return version

    def saved(self, name: str, version: int | None = None) -> Query:
        """Return a kept query, the newest version of it unless another is asked for.

        Raises:
            RecordNotFound: There is none.
        """
        with self.database.read() as transaction:
            rows = transaction.execute(
                "SELECT query FROM saved_query WHERE name = ? AND version = coalesce(?, version)"
                " ORDER BY version DESC LIMIT 1",
                (name, version),
            )
        if not rows:
            raise RecordNotFound(f"no saved query {name!r}")
        return Query.from_dict(json.loads(rows[0][0]))


def _pdq(text: object) -> bytes:
    try:
        raw = bytes.fromhex(text) if isinstance(text, str) else b""
    except ValueError:
        raw = b""
    if len(raw) != _PDQ_BYTES:
        raise InvalidRequest("this is not a PDQ hash", hint="64 hex digits")
    return raw


def _verdicts(public: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the verdicts that an event of the pipeline tells of."""
    found = [public.get("verdict")]
    for name in ("verdicts", "outputs", "withheld"):
        listed = public.get(name)
        found += [
            item.get("verdict", item)
            for item in (listed if isinstance(listed, list) else [])
            if isinstance(item, dict)
        ]
    return [item for item in found if isinstance(item, dict)]


def _scores(verdict: dict[str, Any]) -> dict[str, float]:
    scores = verdict.get("scores")
    return {
        str(name): float(score)
        for name, score in (scores if isinstance(scores, dict) else {}).items()
        if isinstance(score, int | float)
    }


def _decision(kind: str, public: dict[str, Any], verdicts: list[dict[str, Any]]) -> Decision | None:
    match kind:
        case "request.refused":
            return "block"
        case "request.failed":
            return "failed"
        case "request.completed" | "moderation.completed" | "verify.completed":
            actions = {verdict.get("action") for verdict in verdicts}
            counted = public.get("actions")
            actions |= set(counted) if isinstance(counted, dict) else set()
            for decision in ("block", "review"):
                if decision in actions and kind != "request.completed":
                    return decision
            return "review" if "review" in actions else "allow"
        case _:
            return None


def _apply_review(
    transaction: Transaction, index: int, leaf: dict[str, Any], private: dict[str, Any]
) -> None:
    record_id, public = leaf["record_id"], leaf["public"]
    match leaf["kind"]:
        case "review.queued":
            transaction.execute(
                "INSERT INTO review (record_id, queue, priority, queued) VALUES (?, ?, ?, ?)"
                " ON CONFLICT (record_id) DO UPDATE SET queue = excluded.queue,"
                " priority = excluded.priority, holder = NULL, until = NULL, decision = NULL",
                (record_id, public["queue"], public["priority"], index),
            )
        case "review.leased":
            transaction.execute(
                "UPDATE review SET holder = ?, until = ? WHERE record_id = ?",
                (private.get("by"), public["until"], record_id),
            )
        case "review.released":
            transaction.execute(
                "UPDATE review SET holder = NULL, until = NULL WHERE record_id = ?", (record_id,)
            )
        case "review.decided":
            transaction.execute(
                "UPDATE review SET holder = NULL, until = NULL, decision = ?, reviewer = ?"
                " WHERE record_id = ?",
                (public["decision"], private.get("by"), record_id),
            )
        case other:
            raise LogCorrupt(f"{other} is not known to the search index")

"""The projection: what each entry of the log changes in the tables that searches and queues use."""

from __future__ import annotations

import contextlib
import json
from typing import TYPE_CHECKING, Any, Final

from chopmark.audit.log.events import RESTRICTED
from chopmark.audit.search.query import pdq_bytes
from chopmark.audit.search.tallies import TALLY_SCHEMA, TALLY_TABLES
from chopmark.errors import InvalidRequest, LogCorrupt

if TYPE_CHECKING:
    from chopmark.audit.log.sealed import Content
    from chopmark.audit.log.vault import Vault
    from chopmark.audit.search.query import Ending
    from chopmark.kit.database import Transaction

__all__ = ["SCHEMA", "TABLES", "VERSION", "apply", "take_out"]

VERSION: Final = 7
"""Counted up with every change of the tables; a file of another version is made anew."""

SCHEMA: Final = f"""
CREATE TABLE IF NOT EXISTS item (
  idx INTEGER PRIMARY KEY, record_id TEXT NOT NULL UNIQUE, tenant TEXT NOT NULL,
  time TEXT NOT NULL, tag BLOB, model TEXT, policy TEXT, decision TEXT NOT NULL,
  score REAL NOT NULL DEFAULT 0, ended TEXT, code TEXT, why TEXT, of TEXT NOT NULL
);;
CREATE INDEX IF NOT EXISTS item_tag ON item (tag);;
CREATE TABLE IF NOT EXISTS category (
  idx INTEGER NOT NULL, name TEXT NOT NULL, score REAL NOT NULL, PRIMARY KEY (name, idx)
) WITHOUT ROWID;;
CREATE INDEX IF NOT EXISTS category_idx ON category (idx);;
CREATE TABLE IF NOT EXISTS picture (
  id INTEGER PRIMARY KEY, idx INTEGER NOT NULL, at INTEGER NOT NULL, output_id TEXT NOT NULL,
  tenant TEXT NOT NULL, pdq BLOB NOT NULL
);;
CREATE VIRTUAL TABLE IF NOT EXISTS words USING fts5(
  text, content='', contentless_delete=1, tokenize='unicode61 remove_diacritics 2'
);;
CREATE VIRTUAL TABLE IF NOT EXISTS stems USING fts5(
  text, content='', contentless_delete=1, tokenize='porter unicode61 remove_diacritics 2'
);;
CREATE TABLE IF NOT EXISTS person (
  tag BLOB NOT NULL, tenant TEXT NOT NULL, name TEXT NOT NULL, subject TEXT NOT NULL,
  first TEXT NOT NULL, last TEXT NOT NULL, newest INTEGER NOT NULL, PRIMARY KEY (tag, tenant)
) WITHOUT ROWID;;
CREATE INDEX IF NOT EXISTS person_newest ON person (newest);;
CREATE INDEX IF NOT EXISTS person_name ON person (name);;
CREATE TABLE IF NOT EXISTS standing (
  idx INTEGER PRIMARY KEY, tag BLOB NOT NULL, kind TEXT NOT NULL
);;
CREATE INDEX IF NOT EXISTS standing_tag ON standing (tag);;
CREATE TABLE IF NOT EXISTS skipped (
  record_id TEXT NOT NULL, by TEXT NOT NULL, PRIMARY KEY (record_id, by)
) WITHOUT ROWID;;
CREATE TABLE IF NOT EXISTS review (
  record_id TEXT PRIMARY KEY, queue TEXT NOT NULL, priority INTEGER NOT NULL,
  queued INTEGER NOT NULL, since TEXT NOT NULL, holder TEXT, scope TEXT, until TEXT,
  decision TEXT, reviewer TEXT, decided TEXT, state TEXT, stands TEXT, due TEXT
);;
CREATE INDEX IF NOT EXISTS review_open ON review (decision, queue, priority, queued);;
CREATE TABLE IF NOT EXISTS opinion (
  idx INTEGER PRIMARY KEY, record_id TEXT NOT NULL, queue TEXT NOT NULL, decision TEXT NOT NULL,
  by TEXT, time TEXT NOT NULL, first TEXT
);;
CREATE INDEX IF NOT EXISTS opinion_record ON opinion (record_id);;
CREATE INDEX IF NOT EXISTS opinion_by ON opinion (by, time);;
CREATE TABLE IF NOT EXISTS appeal (
  record_id TEXT PRIMARY KEY, opened INTEGER NOT NULL, time TEXT NOT NULL, outcome TEXT,
  decided TEXT, holder TEXT, scope TEXT, until TEXT
);;
CREATE TABLE IF NOT EXISTS sealed (record_id TEXT PRIMARY KEY, opened TEXT);;
CREATE TABLE IF NOT EXISTS followed (id INTEGER PRIMARY KEY, upto INTEGER NOT NULL);;
CREATE TABLE IF NOT EXISTS saved_query (
  tenant TEXT NOT NULL, name TEXT NOT NULL, version INTEGER NOT NULL, query TEXT NOT NULL,
  PRIMARY KEY (tenant, name, version)
);;
{TALLY_SCHEMA}
PRAGMA user_version = {VERSION}
"""
TABLES: Final = (
    "item",
    "category",
    "picture",
    "words",
    "stems",
    "person",
    "standing",
    "skipped",
    "review",
    "opinion",
    "appeal",
    "sealed",
    "saved_query",
    "followed",
    *TALLY_TABLES,
)


def apply(
    transaction: Transaction,
    vault: Vault,
    index: int,
    leaf: dict[str, Any],
    content: Content | None,
) -> None:
    """Follow one entry.

    Args:
        transaction: Of the projection's own database.
        vault: Makes the keyed hashes by which subjects are found.
        index: The entry's place in the log.
        leaf: Its members.
        content: Its erasable part; None when there is none (any more).

    Raises:
        LogCorrupt: An entry of a review is of a kind that is not known.
    """
    kind, public, record_id = str(leaf["kind"]), leaf["public"], leaf["record_id"]
    private = content.private if content is not None else {}
    match kind.partition(".")[0]:
        case "request" | "moderation" | "verify":
            _record(transaction, vault, index, leaf, content)
        case "review":
            _review(transaction, index, leaf, private)
        case "appeal":
            _appeal(transaction, index, leaf)
        case "record":
            transaction.execute(
                "INSERT INTO sealed (record_id, opened) VALUES (?, ?)"
                " ON CONFLICT (record_id) DO UPDATE SET opened = excluded.opened",
                (record_id, public.get("until") if kind == "record.unsealed" else None),
            )
        case "query" if "name" in private:
            _saved_query(transaction, private)
        case "person" if content is not None and content.subject is not None:
            tag = vault.tag(content.subject, leaf["tenant"])
            transaction.execute(
                "INSERT INTO standing (idx, tag, kind) VALUES (?, ?, ?)", (index, tag, kind)
            )
            _person(transaction, tag, index, leaf, content.subject)
        case _:
            pass


def take_out(transaction: Transaction, ranges: list[list[int]]) -> None:
    """Forget the content of the entries in these closed ranges."""
    for low, high in ranges:
        for table in ("words", "stems"):
            transaction.execute(
                f"DELETE FROM {table} WHERE rowid BETWEEN ? AND ?",  # noqa: S608 - fixed names
                (low, high),
            )
        gone = {
            bytes(row[0])
            for row in transaction.execute(
                "SELECT tag FROM item WHERE idx BETWEEN ? AND ? AND tag IS NOT NULL"
                " UNION SELECT tag FROM standing WHERE idx BETWEEN ? AND ?",
                (low, high, low, high),
            )
        }
        transaction.execute("UPDATE item SET tag = NULL WHERE idx BETWEEN ? AND ?", (low, high))
        transaction.execute("DELETE FROM standing WHERE idx BETWEEN ? AND ?", (low, high))
        transaction.execute("DELETE FROM picture WHERE at BETWEEN ? AND ?", (low, high))
        # Whoever nothing is left of has no name here any more, either.
        transaction.many(
            "DELETE FROM person WHERE tag = ? AND NOT EXISTS"
            " (SELECT 1 FROM item WHERE item.tag = person.tag) AND NOT EXISTS"
            " (SELECT 1 FROM standing WHERE standing.tag = person.tag)",
            [(tag,) for tag in gone],
        )


def _record(
    transaction: Transaction,
    vault: Vault,
    index: int,
    leaf: dict[str, Any],
    content: Content | None,
) -> None:
    public, record_id, kind = leaf["public"], leaf["record_id"], str(leaf["kind"])
    transaction.execute(
        # The first entry of a record is its item; the later ones only change it.
        "INSERT INTO item (idx, record_id, tenant, time, decision, of)"
        " VALUES (?, ?, ?, ?, 'open', ?) ON CONFLICT (record_id) DO NOTHING",
        (index, record_id, leaf["tenant"], leaf["time"], kind.partition(".")[0]),
    )
    item = transaction.execute("SELECT idx FROM item WHERE record_id = ?", (record_id,))[0][0]
    verdicts = _verdicts(public)
    scores: dict[str, float] = {}
    for verdict in verdicts:
        for name, score in _scores(verdict).items():
            scores[name] = max(score, scores.get(name, 0.0))
    if scores:
        transaction.many(
            "INSERT INTO category (idx, name, score) VALUES (?, ?, ?) ON CONFLICT (name, idx)"
            " DO UPDATE SET score = max(score, excluded.score)",
            [(item, name, score) for name, score in scores.items()],
        )
    named = [public.get(name) for name in ("model", "policy", "code")]
    model, policy, code = (text if isinstance(text, str) else None for text in named)
    decision, listed = _decision(kind, public, verdicts), public.get("categories")
    why = ",".join(map(str, listed)) if isinstance(listed, list) else None
    transaction.execute(
        "UPDATE item SET model = coalesce(?, model), policy = coalesce(?, policy),"
        " decision = coalesce(?, decision), score = max(score, ?), code = coalesce(?, code),"
        " why = coalesce(?, why), ended = coalesce(ended, ?) WHERE idx = ?",
        (
            model,
            policy,
            decision,
            max(scores.values(), default=0.0),
            code,
            why,
            None if decision is None else leaf["time"],
            item,
        ),
    )
    barred = isinstance(listed, list) and RESTRICTED.intersection(map(str, listed))
    # `restricted` stands on a whole record also where only one of its outputs was withheld.
    if barred or public.get("restricted") is True:
        # A restricted compartment from the start: nobody opens it alone.
        transaction.execute(
            "INSERT INTO sealed (record_id) VALUES (?) ON CONFLICT (record_id) DO NOTHING",
            (record_id,),
        )
    if content is not None:
        _content(transaction, vault, index, item, leaf, content)


def _content(
    transaction: Transaction,
    vault: Vault,
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
        for table in ("words", "stems"):
            transaction.execute(
                f"INSERT INTO {table} (rowid, text) VALUES (?, ?)",  # noqa: S608 - fixed names
                (index, words),
            )
    if content.subject is not None and index == item:
        tag = vault.tag(content.subject, leaf["tenant"])
        transaction.execute("UPDATE item SET tag = ? WHERE idx = ?", (tag, item))
        _person(transaction, tag, index, leaf, content.subject)
    hashes = private.get("pdq")
    for output_id, pdq in (hashes if isinstance(hashes, dict) else {}).items():
        with contextlib.suppress(InvalidRequest):  # one odd hash must not stop the projection
            transaction.execute(
                "INSERT INTO picture (idx, at, output_id, tenant, pdq) VALUES (?, ?, ?, ?, ?)",
                # `idx` is the record's item, `at` the entry with the hash, which a cover names
                (item, index, output_id, leaf["tenant"], pdq_bytes(pdq)),
            )


def _person(
    transaction: Transaction, tag: bytes, index: int, leaf: dict[str, Any], subject: str
) -> None:
    """Note that an entry is about a person; the name is what follows the tenant's."""
    tenant, time = leaf["tenant"], leaf["time"]
    transaction.execute(
        "INSERT INTO person (tag, tenant, name, subject, first, last, newest)"
        " VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (tag, tenant) DO UPDATE SET"
        " last = excluded.last, newest = excluded.newest",
        (tag, tenant, subject.removeprefix(f"{tenant}:"), subject, time, time, index),
    )


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


def _decision(kind: str, public: dict[str, Any], verdicts: list[dict[str, Any]]) -> Ending | None:
    match kind:
        case "request.refused":
            return "block"
        case "request.failed" | "request.turned_away":
            return "failed"
        case "request.completed" | "moderation.completed" | "verify.completed":
            actions = {verdict.get("action") for verdict in verdicts}
            counted = public.get("actions")
            actions |= set(counted) if isinstance(counted, dict) else set()
            actions.add(public.get("action"))
            for decision in ("block", "review"):
                if decision in actions and kind != "request.completed":
                    return decision
            return "review" if "review" in actions else "allow"
        case _:
            return None


def _review(
    transaction: Transaction, index: int, leaf: dict[str, Any], private: dict[str, Any]
) -> None:
    record_id, public = leaf["record_id"], leaf["public"]
    table = "appeal" if public.get("appeal") else "review"
    match leaf["kind"]:
        case "review.queued":
            transaction.execute(
                # It waits since its request ended, whenever somebody came to queue it.
                "INSERT INTO review (record_id, queue, priority, queued, since, state, due)"
                " VALUES (?, ?, ?, ?,"
                " coalesce((SELECT ended FROM item WHERE item.record_id = ?), ?), ?, ?)"
                " ON CONFLICT (record_id) DO UPDATE SET queue = excluded.queue,"
                " priority = excluded.priority, holder = NULL, until = NULL, decision = NULL,"
                # What is passed on has no more time than it had.
                " state = excluded.state, due = coalesce(excluded.due, due)",
                (
                    record_id,
                    public["queue"],
                    public["priority"],
                    index,
                    record_id,
                    leaf["time"],
                    next((name for name in ("second", "disputed") if public.get(name)), None),
                    public.get("due"),
                ),
            )
        case "review.leased":
            transaction.execute(
                f"UPDATE {table} SET holder = ?, scope = ?, until = ? WHERE record_id = ?",  # noqa: S608 - fixed names
                (private.get("by"), private.get("of"), public["until"], record_id),
            )
        case "review.released":
            transaction.execute(
                f"UPDATE {table} SET holder = NULL, until = NULL WHERE record_id = ?",  # noqa: S608 - fixed names
                (record_id,),
            )
            if public.get("skipped") is True and private.get("by"):
                transaction.execute(
                    "INSERT INTO skipped (record_id, by) VALUES (?, ?) ON CONFLICT DO NOTHING",
                    (record_id, private["by"]),
                )
        case "review.decided":
            decision, by, time = public["decision"], private.get("by"), leaf["time"]
            transaction.execute(
                "INSERT INTO opinion (idx, record_id, queue, decision, by, time, first)"
                " SELECT ?, record_id, queue, ?, ?, ?, CASE state WHEN 'second' THEN"
                " (SELECT decision FROM opinion WHERE record_id = review.record_id"
                " ORDER BY idx DESC LIMIT 1) END FROM review WHERE record_id = ?",
                (index, decision, by, time, record_id),
            )
            transaction.execute(
                "UPDATE review SET holder = NULL, until = NULL, decision = ?, reviewer = ?,"
                " decided = ?, stands = CASE WHEN ? = 'escalated' THEN stands ELSE ? END"
                " WHERE record_id = ?",
                (decision, by, time, decision, decision, record_id),
            )
        case "review.commented":
            pass  # it stands on the record, and moves it nowhere
        case other:
            raise LogCorrupt(f"{other} is not known to the search index")


def _appeal(transaction: Transaction, index: int, leaf: dict[str, Any]) -> None:
    if leaf["kind"] == "appeal.opened":
        transaction.execute(
            "INSERT INTO appeal (record_id, opened, time) VALUES (?, ?, ?)"
            " ON CONFLICT (record_id) DO NOTHING",
            (leaf["record_id"], index, leaf["time"]),
        )
    else:
        transaction.execute(
            "UPDATE appeal SET outcome = ?, decided = ?, holder = NULL, until = NULL"
            " WHERE record_id = ?",
            (leaf["public"].get("outcome"), leaf["time"], leaf["record_id"]),
        )


def _saved_query(transaction: Transaction, private: dict[str, Any]) -> None:
    transaction.execute(
        "INSERT INTO saved_query (tenant, name, version, query) VALUES (?, ?,"
        " (SELECT coalesce(max(version), 0) + 1 FROM saved_query WHERE tenant = ? AND name = ?),"
        " ?)",
        (
            private["of"],
            private["name"],
            private["of"],
            private["name"],
            json.dumps(private["query"], sort_keys=True),
        ),
    )

"""The tables of the log and the row that says how far it has come."""

from __future__ import annotations

from dataclasses import dataclass, replace
from hashlib import sha256
from typing import TYPE_CHECKING, Final

from chopmark.audit.log.merkle import Frontier
from chopmark.errors import LogCorrupt

if TYPE_CHECKING:
    from chopmark.kit.database import Transaction

__all__ = [
    "APPEND_ONLY",
    "APPEND_ONLY_POSTGRES",
    "LOG_SCHEMA",
    "State",
    "load_state",
    "record_range",
    "save_state",
]

# Statements are divided by two semicolons, because a trigger's body holds single ones.
LOG_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS entry (
  idx {integer} PRIMARY KEY, event_id {key} NOT NULL UNIQUE, record_id TEXT NOT NULL,
  kind TEXT NOT NULL, tenant TEXT NOT NULL, time TEXT NOT NULL, leaf {blob} NOT NULL
){strict};;
CREATE TABLE IF NOT EXISTS content (
  idx {integer} PRIMARY KEY, key_id {blob} NOT NULL, sealed {blob} NOT NULL
){strict};;
CREATE INDEX IF NOT EXISTS content_key ON content (key_id);;
CREATE TABLE IF NOT EXISTS cover (
  idx {integer} PRIMARY KEY, salt {blob} NOT NULL, ranges {blob} NOT NULL
){strict};;
CREATE TABLE IF NOT EXISTS erasing (
  idx {integer} PRIMARY KEY, tag {blob} NOT NULL, key_id {blob} NOT NULL
){strict};;
CREATE TABLE IF NOT EXISTS hold (
  idx {integer} PRIMARY KEY, tag {blob} NOT NULL, until TEXT NOT NULL
){strict};;
CREATE TABLE IF NOT EXISTS exception (
  idx {integer} PRIMARY KEY, tag {blob} NOT NULL, until TEXT NOT NULL
){strict};;
CREATE INDEX IF NOT EXISTS exception_tag ON exception (tag);;
CREATE TABLE IF NOT EXISTS suspension (
  idx {integer} PRIMARY KEY, tag {blob} NOT NULL, until TEXT NOT NULL
){strict};;
CREATE INDEX IF NOT EXISTS suspension_tag ON suspension (tag);;
CREATE TABLE IF NOT EXISTS attachment (
  idx {integer} NOT NULL, name TEXT NOT NULL, tenant TEXT NOT NULL, key_id {blob} NOT NULL,
  time TEXT NOT NULL, size {integer} NOT NULL, sealed {blob} NOT NULL, PRIMARY KEY (idx, name)
){strict};;
CREATE INDEX IF NOT EXISTS attachment_tenant ON attachment (tenant, idx);;
CREATE TABLE IF NOT EXISTS open_request (
  record_id TEXT PRIMARY KEY, idx {integer} NOT NULL, time TEXT NOT NULL
){strict};;
CREATE TABLE IF NOT EXISTS writer (
  name {key} PRIMARY KEY, number {integer} NOT NULL
){strict};;
CREATE TABLE IF NOT EXISTS tile (
  level {integer} NOT NULL, n {integer} NOT NULL, data {blob} NOT NULL, PRIMARY KEY (level, n)
){strict};;
CREATE TABLE IF NOT EXISTS checkpoint (
  id {integer} PRIMARY KEY, size {integer} NOT NULL, frontier {blob} NOT NULL, note TEXT NOT NULL
){strict};;
CREATE TABLE IF NOT EXISTS stamp (
  size {integer} NOT NULL, token {blob} NOT NULL, PRIMARY KEY (size, token)
){strict};;
CREATE TABLE IF NOT EXISTS state (
  id {integer} PRIMARY KEY, origin TEXT NOT NULL, size {integer} NOT NULL, frontier {blob} NOT NULL,
  epoch {integer} NOT NULL, clock TEXT NOT NULL, digest {blob} NOT NULL
){strict}
"""

# A speed bump, not the protection: whoever may write the file may drop a trigger. The tree tells.
APPEND_ONLY: Final = """;;
CREATE TRIGGER IF NOT EXISTS entry_no_update BEFORE UPDATE ON entry
  BEGIN SELECT RAISE(ABORT, 'the log is append-only'); END;;
CREATE TRIGGER IF NOT EXISTS entry_no_delete BEFORE DELETE ON entry
  BEGIN SELECT RAISE(ABORT, 'the log is append-only'); END
"""


APPEND_ONLY_POSTGRES: Final = """;;
CREATE OR REPLACE FUNCTION chopmark_append_only() RETURNS trigger LANGUAGE plpgsql AS
  $$ BEGIN RAISE EXCEPTION 'the log is append-only'; END $$;;
CREATE OR REPLACE TRIGGER entry_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON entry
  FOR EACH STATEMENT EXECUTE FUNCTION chopmark_append_only()
"""


@dataclass(frozen=True, kw_only=True)
class State:
    """How far the log has come.

    Attributes:
        origin: The log's name, in every checkpoint.
        size: Number of entries.
        frontier: The tree's right edge, packed.
        epoch: How often data keys were destroyed; a writer that knows an older epoch may hold a
            destroyed key.
        clock: Boot id, wall clock and boot clock (ns) at the last commit, to notice clock steps.
    """

    origin: str
    size: int = 0
    frontier: bytes = b""
    epoch: int = 0
    clock: str = ""

    @property
    def digest(self) -> bytes:
        """SHA-256 over the members; finds a damaged row (an attacker can compute it too)."""
        # A torn or flipped row must not become a signed root.
        text = f"{self.origin}\n{self.size}\n{self.frontier.hex()}\n{self.epoch}\n{self.clock}\n"
        return sha256(text.encode()).digest()

    def tree(self) -> Frontier:
        """Return the frontier to append to.

        Raises:
            LogCorrupt: It does not fit the size.
        """
        try:
            return Frontier.unpack(self.size, self.frontier)
        except ValueError:
            raise LogCorrupt("the state row's frontier does not fit its size") from None

    def grown(self, tree: Frontier, *, clock: str) -> State:
        """Return the state after entries were appended."""
        return replace(self, size=tree.size, frontier=tree.pack(), clock=clock)


def record_range(record_id: str) -> tuple[str, str]:
    """Return where the event ids of a record begin and end.

    They all begin with the record id and a colon, so the unique index of event ids also finds
    records; an index on record ids would cost a random page for every entry once more.
    """
    return f"{record_id}:", f"{record_id};"


def load_state(transaction: Transaction) -> State | None:
    """Read the state row; None in a fresh log.

    Raises:
        LogCorrupt: The row is damaged.
    """
    rows = transaction.execute("SELECT origin, size, frontier, epoch, clock, digest FROM state")
    if not rows:
        return None
    origin, size, frontier, epoch, clock, digest = rows[0]
    try:
        state = State(origin=origin, size=size, frontier=bytes(frontier), epoch=epoch, clock=clock)
        intact = len(rows) == 1 and state.digest == bytes(digest)
    except TypeError:
        intact = False
    if not intact:
        raise LogCorrupt("the state row is damaged")
    return state


def save_state(transaction: Transaction, state: State) -> None:
    """Write the state row."""
    transaction.execute(
        "INSERT INTO state (id, origin, size, frontier, epoch, clock, digest)"
        " VALUES (1, ?, ?, ?, ?, ?, ?) ON CONFLICT (id) DO UPDATE SET size = excluded.size,"
        " frontier = excluded.frontier, epoch = excluded.epoch, clock = excluded.clock,"
        " digest = excluded.digest",
        (state.origin, state.size, state.frontier, state.epoch, state.clock, state.digest),
    )

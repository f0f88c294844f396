"""Facts counted by day and tenant, in tables of the projection: a report without reading the log.

A report of whole days takes a moment, however long the log is. What a record's later entries count
by (:class:`chopmark.audit.search.facts.Course`) is kept beside, and let go of once a request has
ended well and nobody has looked at it.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import astuple
from typing import TYPE_CHECKING, Any, Final

from chopmark.audit.search.facts import Course, facts_of

if TYPE_CHECKING:
    from chopmark.audit.search.facts import Part
    from chopmark.kit.database import Transaction

__all__ = ["TALLY_SCHEMA", "TALLY_TABLES", "Tallies", "counted", "middle_us", "whole_days"]

TALLY_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS tally (
  part TEXT NOT NULL, day TEXT NOT NULL, known TEXT NOT NULL, tenant TEXT NOT NULL,
  name TEXT NOT NULL, n INTEGER NOT NULL, PRIMARY KEY (part, day, known, tenant, name)
) WITHOUT ROWID;;
CREATE TABLE IF NOT EXISTS spent (
  part TEXT NOT NULL, us INTEGER NOT NULL, day TEXT NOT NULL, tenant TEXT NOT NULL,
  idx INTEGER NOT NULL, PRIMARY KEY (part, us, day, tenant, idx)
) WITHOUT ROWID;;
CREATE TABLE IF NOT EXISTS course (
  record_id TEXT PRIMARY KEY, received TEXT, appealed TEXT, decided TEXT, refused TEXT,
  reviewed TEXT
) WITHOUT ROWID;;
CREATE TABLE IF NOT EXISTS last_day (id INTEGER PRIMARY KEY, day TEXT NOT NULL);;
CREATE TABLE IF NOT EXISTS turned_back (earlier TEXT NOT NULL, later TEXT NOT NULL);;
"""
TALLY_TABLES: Final = ("tally", "spent", "course", "last_day", "turned_back")
_DAY: Final = 10
_MIDNIGHTS: Final = frozenset({"", "T00:00:00.000000Z"})


class Tallies:
    """Counts one batch of entries within a transaction: :meth:`count` each, then :meth:`write`.

    Args:
        transaction: Of the projection's database.
    """

    def __init__(self, transaction: Transaction) -> None:
        self._transaction = transaction
        self._counts: Counter[tuple[Part, str, str, str, str]] = Counter()
        self._spent: list[tuple[Part, int, str, str, int]] = []
        self._courses: dict[str, Course] = {}
        rows = transaction.execute("SELECT day FROM last_day")
        self._last = str(rows[0][0]) if rows else ""

    def count(self, index: int, leaf: dict[str, Any]) -> None:
        """Count an entry.

        Args:
            index: Its place in the log.
            leaf: Its members.

        Raises:
            LogCorrupt: A time is none.
        """
        day, tenant = str(leaf["time"])[:_DAY], str(leaf["tenant"])
        if day < self._last:
            # The clock was set back over midnight: reports that end between are counted anew.
            self._transaction.execute(
                "INSERT INTO turned_back (earlier, later) VALUES (?, ?)", (day, self._last)
            )
        self._last = max(day, self._last)
        for fact in facts_of(leaf, self._course(str(leaf["record_id"]))):
            on, known = fact.time[:_DAY], fact.known[:_DAY]
            self._counts[fact.part, on, known, tenant, fact.name] += 1
            if fact.us is not None:
                self._spent.append((fact.part, fact.us, on, tenant, index))

    def write(self) -> None:
        """Write down what was counted."""
        transaction = self._transaction
        transaction.many(
            "INSERT INTO tally (part, day, known, tenant, name, n) VALUES (?, ?, ?, ?, ?, ?)"
            " ON CONFLICT (part, day, known, tenant, name) DO UPDATE SET n = n + excluded.n",
            [(*key, n) for key, n in self._counts.items()],
        )
        transaction.many(
            "INSERT INTO spent (part, us, day, tenant, idx) VALUES (?, ?, ?, ?, ?)", self._spent
        )
        over = [(name,) for name, course in self._courses.items() if course == Course()]
        transaction.many("DELETE FROM course WHERE record_id = ?", over)
        transaction.many(
            "INSERT OR REPLACE INTO course (record_id, received, appealed, decided, refused,"
            " reviewed) VALUES (?, ?, ?, ?, ?, ?)",
            [
                (name, *astuple(course))
                for name, course in self._courses.items()
                if course != Course()
            ],
        )
        transaction.execute(
            "INSERT OR REPLACE INTO last_day (id, day) VALUES (1, ?)", (self._last,)
        )

    def _course(self, record_id: str) -> Course:
        if record_id not in self._courses:
            rows = self._transaction.execute(
                "SELECT received, appealed, decided, refused, reviewed FROM course"
                " WHERE record_id = ?",
                (record_id,),
            )
            received, appealed, decided, refused, reviewed = rows[0] if rows else [None] * 5
            self._courses[record_id] = Course(
                received=received,
                appealed=appealed,
                decided=decided,
                refused=refused,
                reviewed=reviewed,
            )
        return self._courses[record_id]


def whole_days(transaction: Transaction, since: str, until: str) -> tuple[str, str] | None:
    """Return the first day of a period and the one after its last.

    None where the tables cannot tell: the period begins or ends within a day, or the clock was set
    back from after its end to before.

    Args:
        transaction: Of the projection's database.
        since: First moment, RFC 3339 in UTC, or a day; empty is the beginning.
        until: Moment after its end; ``9999`` is no end.
    """
    if not {since[_DAY:], until[_DAY:]} <= _MIDNIGHTS:
        return None
    first, end = since[:_DAY], until[:_DAY]
    rows = transaction.execute(
        "SELECT 1 FROM turned_back WHERE earlier < ? AND ? <= later LIMIT 1", (end, end)
    )
    return None if rows else (first, end)


def counted(
    transaction: Transaction, days: tuple[str, str], *, tenant: str | None
) -> Counter[tuple[Part, str]]:
    """Return how often each line of each part came up in a period.

    Args:
        transaction: Of the projection's database.
        days: First day, and the one after the last.
        tenant: Whose; None is everybody's.
    """
    rows = transaction.execute(
        "SELECT part, name, sum(n) FROM tally WHERE day >= ? AND day < ? AND known < ?"
        " AND (? IS NULL OR tenant = ?) GROUP BY part, name",
        (*days, days[1], tenant, tenant),
    )
    return Counter({(part, str(name)): int(n) for part, name, n in rows})


def middle_us(
    transaction: Transaction, part: Part, n: int, days: tuple[str, str], *, tenant: str | None
) -> list[int]:
    """Return the one or two values in the middle of what took time in a period, microseconds.

    Args:
        transaction: Of the projection's database.
        part: What took time.
        n: How many values there are (:func:`counted`).
        days: First day, and the one after the last.
        tenant: Whose; None is everybody's.
    """
    if not n:
        return []
    rows = transaction.execute(
        "SELECT us FROM spent WHERE part = ? AND day >= ? AND day < ?"
        " AND (? IS NULL OR tenant = ?) ORDER BY us LIMIT ? OFFSET ?",
        (part, *days, tenant, tenant, 2 - n % 2, (n - 1) // 2),
    )
    return [int(row[0]) for row in rows]

"""Who may append: each process under a fencing number, raised when it counts as dead.

Several machines append to one log; the database's lock lets one in at a time. A process that was
silent for longer than its lease (a machine that stood still, a link that was down) must not book
anything once it comes back: others have ended its requests and answered them meanwhile. So they
raise its number, and every transaction that appends compares, under the lock, the numbers of all
whose events are in it. (Kleppmann, "How to do distributed locking", 2016: fencing tokens.)
"""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Final

from chopmark.errors import LogUnavailable

if TYPE_CHECKING:
    from collections.abc import Iterable

    from chopmark.kit.database import Database, Transaction

__all__ = ["SHUT_OUT", "Fence"]

_FIRST: Final = 1
SHUT_OUT: Final = LogUnavailable(
    "another server has taken over what this process was working on; nothing was written",
    hint="it was silent for longer than its lease: was the machine suspended or cut off?",
)
"""What an event of a process gets whose number was raised."""


class Fence:
    """The number of this process, and those of the others. Use it from any thread.

    Args:
        database: Holds the log's tables.

    Attributes:
        name: This process, 16 hex digits.
        number: What it appends under; 1 in the beginning.
        refused: Whether something of this process was refused since :meth:`renew`.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self.name = secrets.token_hex(8)
        self.number = _FIRST
        self.refused = False

    def late(
        self, transaction: Transaction, writers: Iterable[tuple[str, int]]
    ) -> frozenset[tuple[str, int]]:
        """Return those names with their numbers that may append no more.

        Args:
            transaction: Of the append itself, so that nobody raises a number between.
            writers: Name and number of each process whose events are in it.
        """
        asked = set(writers)
        names = sorted({name for name, _ in asked})
        marks = ", ".join("?" * len(names))
        rows = transaction.execute(
            f"SELECT name, number FROM writer WHERE name IN ({marks})",  # noqa: S608 - marks only
            names,
        )
        raised = {str(name): int(number) for name, number in rows}
        found = frozenset(one for one in asked if one[1] < raised.get(one[0], _FIRST))
        if any(name == self.name for name, _ in found):
            self.refused = True
        return found

    def shut_out(self, name: str) -> None:
        """Raise a process's number: what it sends under the old one is refused from now on.

        Raises:
            LogUnavailable: It could not be raised.
        """
        with self._database.write() as transaction:
            transaction.execute(
                "INSERT INTO writer (name, number) VALUES (?, ?)"
                " ON CONFLICT (name) DO UPDATE SET number = writer.number + 1",
                (name, _FIRST + 1),
            )

    def renew(self) -> None:
        """Append under the newest number from now on; for a process that knows what it lost.

        Raises:
            LogUnavailable: It cannot be read.
        """
        with self._database.read() as transaction:
            rows = transaction.execute("SELECT number FROM writer WHERE name = ?", (self.name,))
        self.number = int(rows[0][0]) if rows else _FIRST
        self.refused = False

"""What a log signed before, and what it is good for at every opening.

Whoever brings back an old database file, or cuts it, does not think of the other files; and a log
that signed for more than it has must not sign again for less.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from chopmark.audit.log.merkle import EMPTY_ROOT, Frontier, root_at
from chopmark.audit.log.schema import State, load_state, save_state
from chopmark.audit.log.tiles import node_reader
from chopmark.audit.proof.note import Checkpoint, open_checkpoint
from chopmark.errors import ConfigurationError, InvalidRequest, LogCorrupt

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from chopmark.audit.proof.log_keys import LogKeys
    from chopmark.audit.proof.marks import Mark, Marks
    from chopmark.audit.proof.note import NoteKey
    from chopmark.kit.database import Database, Transaction

__all__ = ["check_before_use", "last_checkpoint", "opened_marks"]

_RESTORE = "it was cut or restored from a backup; bring back the newer one, or see audit restore"
_ANOTHER = (
    "if another home began this log: copy its folders audit and keys/log here, or take a schema of"
    " your own; else run chopmark audit verify, somebody may have rewritten the log"
)


def check_before_use(
    database: Database, keys: LogKeys, marks: Marks, *, restoring: bool = False
) -> None:
    """Compare the log with its name and with the checkpoints that are kept outside its database.

    A log that is new gets its state row, its public key's file and its first marks here.

    Args:
        database: The log's.
        keys: Its keys.
        marks: Where its newest checkpoint is kept.
        restoring: Let a log pass that is shorter than it was.

    Raises:
        LogUnavailable: A kept checkpoint cannot be read.
        LogCorrupt: The log is shorter than it was, other entries stand in it, its key was changed,
            or nothing that it signed is left.
        ConfigurationError: It has another origin.
    """
    name = keys.signer.key.name
    with database.write() as transaction:
        state = load_state(transaction)
        if state is None:
            state = State(origin=name)
            save_state(transaction, state)
        if state.origin != name:
            raise ConfigurationError(
                f"this log is {state.origin!r}, not {name!r}",
                hint="a log keeps its origin for life",
            )
        keys.publish()
        kept = [mark for mark in marks.read() if mark.note is not None]
        claims = opened_marks(kept, keys.ring)
        if not kept and not state.size:
            # Signed before the first entry comes, so that no log is ever without anything signed.
            marks.write(keys.signer.sign(0, EMPTY_ROOT).note)
        elif not kept:
            _signed_by_this_home(transaction, keys.ring, state.size)
        if restoring:
            return
        for where, checkpoint in claims:
            if checkpoint.size > state.size:
                raise LogCorrupt(
                    f"the log has {state.size} entries and signed for {checkpoint.size} before"
                    f" ({where})",
                    hint=_RESTORE,
                )
            if root_at(checkpoint.size, node_reader(transaction, state.size)) != checkpoint.root:
                raise LogCorrupt(
                    f"the first {checkpoint.size} entries are not those signed for before"
                    f" ({where})",
                    hint="run chopmark audit verify",
                )


def _signed_by_this_home(transaction: Transaction, ring: Sequence[NoteKey], size: int) -> None:
    """Refuse a log with entries that a home without any mark has no signature over."""
    notes = transaction.execute("SELECT note FROM checkpoint ORDER BY id DESC LIMIT 1")
    if not notes:
        raise LogCorrupt(
            f"the log has {size} entries, and nothing that it ever signed is left here",
            hint=_ANOTHER,
        )
    try:
        open_checkpoint(str(notes[0][0]), ring)
    except InvalidRequest:
        raise LogCorrupt(
            f"the log has {size} entries, and its newest checkpoint is signed by no key of this"
            " home, which never signed for it",
            hint=_ANOTHER,
        ) from None
    last_checkpoint(transaction, ring)


def opened_marks(marks: Iterable[Mark], ring: Sequence[NoteKey]) -> list[tuple[str, Checkpoint]]:
    """Return place and checkpoint of the marks that there are.

    Raises:
        LogCorrupt: One is not signed by a key of the log.
    """
    found = []
    for mark in marks:
        if mark.note is None:
            continue
        try:
            found.append((mark.where, open_checkpoint(mark.note, ring)))
        except InvalidRequest as error:
            raise LogCorrupt(
                f"{mark.where}: {error.message}",
                hint="the mark or the log's key was changed; run chopmark audit verify",
            ) from None
    return found


def last_checkpoint(
    transaction: Transaction, ring: Sequence[NoteKey]
) -> tuple[int, Checkpoint, Frontier] | None:
    """Return number, note and frontier of the newest checkpoint in the table.

    Raises:
        LogCorrupt: It is not ours, or does not fit its frontier.
    """
    rows = transaction.execute(
        "SELECT id, size, frontier, note FROM checkpoint ORDER BY id DESC LIMIT 1"
    )
    if not rows:
        return None
    number, size, frontier, note = rows[0]
    try:
        checkpoint = open_checkpoint(note, ring)
        tree = Frontier.unpack(size, bytes(frontier))
    except (InvalidRequest, ValueError, TypeError):
        raise LogCorrupt(f"checkpoint {number} is damaged") from None
    if checkpoint.size != tree.size or checkpoint.root != tree.root():
        raise LogCorrupt(f"checkpoint {number} does not fit its frontier")
    return number, checkpoint, tree

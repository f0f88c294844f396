"""The checkpoint that a log keeps outside its database, and what it is good for at every opening.

Whoever brings back an old database file, or cuts it, does not think of the other file; and a log
that signed for more than it has must not sign again for less.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from chopmark.audit.log.merkle import root_at
from chopmark.audit.log.schema import State, load_state, save_state
from chopmark.audit.log.tiles import node_reader
from chopmark.audit.proof.note import open_checkpoint
from chopmark.errors import ConfigurationError, InvalidRequest, LogCorrupt, LogUnavailable
from chopmark.kit.files import write_public

if TYPE_CHECKING:
    from chopmark.audit.log.paths import Paths
    from chopmark.audit.proof.note import NoteSigner
    from chopmark.kit.database import Database

__all__ = ["check_before_use"]


def check_before_use(database: Database, signer: NoteSigner, paths: Paths) -> None:
    """Compare the log with its name and with the checkpoint that it kept outside its database.

    A log that is new gets its state row and its public key's file here.

    Raises:
        LogUnavailable: The kept checkpoint cannot be read.
        LogCorrupt: The log is shorter than it was, or other entries stand in it.
        ConfigurationError: It has another origin.
    """
    try:
        kept = paths.checkpoint.read_text("utf-8") if paths.checkpoint.is_file() else None
    except (OSError, UnicodeDecodeError) as error:
        raise LogUnavailable(f"cannot read {paths.checkpoint}: {error}") from None
    with database.write() as transaction:
        state = load_state(transaction)
        if state is None:
            state = State(origin=signer.key.name)
            save_state(transaction, state)
        if state.origin != signer.key.name:
            raise ConfigurationError(
                f"this log is {state.origin!r}, not {signer.key.name!r}",
                hint="a log keeps its origin for life",
            )
        if not paths.public_key.is_file():
            write_public(paths.public_key, f"{signer.key}\n".encode(), error=LogUnavailable)
        if kept is None:
            return
        try:
            checkpoint = open_checkpoint(kept, signer.key)
        except InvalidRequest as error:
            raise LogCorrupt(f"{paths.checkpoint}: {error.message}") from None
        if checkpoint.size > state.size:
            raise LogCorrupt(
                f"the log has {state.size} entries and signed for {checkpoint.size} before",
                hint="it was cut or restored from a backup; bring back the newer one",
            )
        if root_at(checkpoint.size, node_reader(transaction, state.size)) != checkpoint.root:
            raise LogCorrupt(
                f"the first {checkpoint.size} entries are not those signed for before",
                hint="run chopmark audit verify",
            )

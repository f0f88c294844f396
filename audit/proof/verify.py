"""Verifying a log: the walk over it, with what an auditor may and may not read."""

from __future__ import annotations

import contextlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Final

from chopmark.audit.log.connect import open_keys, open_log
from chopmark.audit.log.paths import Paths
from chopmark.audit.log.schema import load_state
from chopmark.audit.log.vault import Vault
from chopmark.audit.proof.note import NoteKey
from chopmark.audit.proof.report import LogReport, Problem
from chopmark.audit.proof.walk import Walk
from chopmark.audit.proof.witness import WitnessKey
from chopmark.errors import AuditError, LogUnavailable
from chopmark.kit.files import write_public

if TYPE_CHECKING:
    from collections.abc import Iterable
    from concurrent.futures import Future

    from chopmark.kit.types import Progress

__all__ = ["verify_log"]

_WALKS: Final = 3


def verify_log(
    home: Path,
    *,
    progress: Progress | None = None,
    since_checkpoint: bool = False,
    kept: Iterable[str] = (),
    public_key: str | None = None,
    witnesses: Iterable[str] = (),
    database: str | None = None,
    keys_database: str | None = None,
) -> LogReport:
    """Walk the whole log under ``home`` and say what is wrong with it, and where.

    Entries are hashed into tiles, root and frontier, and these compared with what is stored; each
    checkpoint's signature and root are checked; each content row must open its entry's commitment,
    and each commitment without a content row must be covered by an erasure or retention event.

    What a signature cannot show: somebody who holds the signing key can rewrite the whole log.
    Only a checkpoint that was kept elsewhere shows that; give such notes as ``kept``.

    Args:
        home: Chopmark's state folder.
        progress: Told how many entries of how many are done.
        since_checkpoint: Begin at the checkpoint up to which the last walk found nothing wrong.
        kept: Checkpoints (signed notes) that were kept outside, to be found again in the log.
        public_key: The log's verifier key from a source that you trust; by default the one that
            lies beside the log.
        witnesses: Verifier keys of witnesses, each of whom must have cosigned a checkpoint here:
            what whoever stole the log's key cannot give to a rewritten log.
        database: As for :meth:`AuditLog.open`.
        keys_database: As for :meth:`AuditLog.open`.

    Raises:
        LogUnavailable: There is no log, or it cannot be read.
        InvalidRequest: A verifier key is not one.
    """
    paths = Paths(Path(home))
    text = public_key if public_key is not None else _read(paths.public_key)
    key = NoteKey.parse(text)
    cosigners = tuple(WitnessKey.parse(item) for item in witnesses)
    for _ in range(_WALKS):
        walk = _walked(
            paths,
            key,
            progress,
            tuple(kept),
            cosigners,
            since_checkpoint=since_checkpoint,
            url=database,
            keys_url=keys_database,
        )
        # An erasure that destroys keys while we walk an older snapshot looks like a lost key.
        if not walk.overtaken:
            break
    report = LogReport(
        size=walk.tree.size, root=walk.tree.root().hex(), problems=tuple(walk.problems)
    )
    if report.ok and walk.newest is not None:
        with contextlib.suppress(LogUnavailable):  # an auditor may have no right to write here
            write_public(paths.verified, walk.newest.note.encode(), error=LogUnavailable)
    return report


def _walked(
    paths: Paths,
    key: NoteKey,
    progress: Progress | None,
    kept: tuple[str, ...],
    witnesses: tuple[WitnessKey, ...],
    *,
    since_checkpoint: bool,
    url: str | None,
    keys_url: str | None,
) -> Walk:
    with contextlib.ExitStack() as opened:
        database = opened.enter_context(contextlib.closing(open_log(paths, url, write=False)))
        walk = Walk(key=key, progress=progress, witnesses=witnesses)
        with contextlib.suppress(LogUnavailable):  # an auditor may have no right to read content
            if paths.kek.is_file():
                keys = opened.enter_context(
                    contextlib.closing(open_keys(paths, keys_url, write=False))
                )
                walk.vault = Vault(keys, _bytes(paths.kek), remember=True)
        notes = [("kept checkpoint", note) for note in kept]
        if paths.checkpoint.is_file():
            notes.append(("checkpoint file", _read(paths.checkpoint)))
        start = _read(paths.verified) if since_checkpoint and paths.verified.is_file() else None
        checked: Future[list[str]] | None = None
        if start is None:
            # SQLite reads its pages without holding the interpreter's lock, so on another core.
            pool = opened.enter_context(ThreadPoolExecutor(1))
            checked = pool.submit(_self_check, paths, url)
        with walk.guarded("database"), database.read() as transaction:
            walk.run(transaction, notes, start)
        if walk.vault is not None:
            with walk.guarded("key file"):
                for detail in walk.vault.check():
                    walk.wrong("key_damaged", "key file", detail)
        if checked is not None and progress is not None:
            progress(0, 0, "the database's own check")
        for line in checked.result() if checked is not None else ():
            walk.problems.append(Problem(what="database_damaged", where="database", detail=line))
        if any(problem.what == "key_missing" for problem in walk.problems):
            with contextlib.suppress(AuditError), database.read() as transaction:
                state = load_state(transaction)
                walk.overtaken = state is not None and state.epoch != walk.epoch
    return walk


def _self_check(paths: Paths, url: str | None) -> list[str]:
    with contextlib.closing(open_log(paths, url, write=False)) as database:
        return database.self_check()


def _read(path: Path) -> str:
    return _bytes(path).decode("utf-8", "replace")


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise LogUnavailable(f"cannot read {path}: {error.strerror}") from None

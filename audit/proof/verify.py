"""Verifying a log: the walk over it, with what an auditor may and may not read."""

from __future__ import annotations

import contextlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Final

from chopmark.audit.log.connect import open_keys, open_log
from chopmark.audit.log.destroyed import Destroyed
from chopmark.audit.log.paths import Paths
from chopmark.audit.log.schema import load_state
from chopmark.audit.log.vault import Vault
from chopmark.audit.log.wrapping import Wrapping
from chopmark.audit.proof.marks import Marks
from chopmark.audit.proof.note import parse_keys
from chopmark.audit.proof.report import LogReport, Problem
from chopmark.audit.proof.signed import Signed
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
    mark: Path | None = None,
    marked: bool = True,
    expected: Iterable[str] = (),
) -> LogReport:
    """Walk the whole log under ``home`` and say what is wrong with it, and where.

    Entries are hashed into tiles, root and frontier, and these compared with what is stored; each
    checkpoint's signature and root are checked; each content row must open its entry's commitment,
    and each commitment without a content row must be covered by an erasure or retention event. What
    the places outside the log's folder remember (:mod:`chopmark.audit.proof.marks`) must be in it.

    What a signature cannot show: somebody who holds the signing key, and can change every place
    that remembers, can rewrite the whole log. Only a checkpoint that was kept elsewhere shows that;
    give such notes as ``kept``, or name a place with ``mark``.

    Args:
        home: Chopmark's state folder.
        progress: Told how many entries of how many are done.
        since_checkpoint: Begin at the checkpoint up to which the last walk found nothing wrong.
        kept: Checkpoints (signed notes) that were kept outside, to be found again in the log.
        public_key: The log's verifier key from a source that you trust, or several, a line each;
            by default those that lie beside the log. A key that followed one of them is trusted
            when that one signed the entry which says so.
        witnesses: Verifier keys of witnesses, each of whom must have cosigned a checkpoint here:
            what whoever stole the log's key cannot give to a rewritten log.
        database: As for :meth:`AuditLog.open`.
        keys_database: As for :meth:`AuditLog.open`.
        mark: As for :meth:`AuditLog.open`.
        marked: False leaves out the places that remember the newest checkpoint: whether a backup,
            which is older than they are, is whole in itself.
        expected: Ids of records that another store of this home names (the manifests do), taken
            before this is called; the log must have an entry of each.

    Raises:
        LogUnavailable: There is no log, or it cannot be read.
        InvalidRequest: A verifier key is not one.
    """
    paths = Paths(Path(home))
    keys = parse_keys(public_key if public_key is not None else _read(paths.public_key))
    beside = parse_keys(_read(paths.public_key)) if paths.public_key.is_file() else ()
    wanted = frozenset(expected)
    cosigners = tuple(WitnessKey.parse(item) for item in witnesses)
    # Before the walk's snapshot: what a mark speaks of was in the log when it was written.
    marks = tuple(Marks(paths, mark).look()) if marked else ()
    for _ in range(_WALKS):
        walk = Walk(
            signed=Signed(
                keys=keys,
                candidates=tuple(key for key in beside if key.name == keys[0].name),
                marks=marks,
                witnesses=cosigners,
            ),
            progress=progress,
            expected=wanted,
        )
        _walked(
            walk,
            paths,
            tuple(kept),
            since_checkpoint=since_checkpoint,
            url=database,
            keys_url=keys_database,
        )
        # An erasure that destroys keys while we walk an older snapshot looks like a lost key.
        if not walk.overtaken:
            break
    unread = [f"{one.where}: {one.unread}" for one in marks if one.unread]
    if walk.unopened:
        unread.append(
            "data keys: missing, or not ours to read; no content was compared with its entry"
            f" ({walk.unopened})"
        )
    report = LogReport(
        size=walk.tree.size,
        root=walk.tree.root().hex(),
        problems=tuple(walk.problems),
        not_looked_at=tuple(unread),
    )
    # A walk that goes on from there must not pass over what nobody opened.
    if report.ok and not walk.unopened and walk.signed.newest is not None:
        with contextlib.suppress(LogUnavailable):  # an auditor may have no right to write here
            write_public(paths.verified, walk.signed.newest.note.encode(), error=LogUnavailable)
    return report


def _walked(
    walk: Walk,
    paths: Paths,
    kept: tuple[str, ...],
    *,
    since_checkpoint: bool,
    url: str | None,
    keys_url: str | None,
) -> None:
    with contextlib.ExitStack() as opened:
        database = opened.enter_context(contextlib.closing(open_log(paths, url, write=False)))
        with contextlib.suppress(LogUnavailable):  # an auditor may have no right to read content
            if paths.kek.is_file():
                keys = opened.enter_context(
                    contextlib.closing(open_keys(paths, keys_url, write=False))
                )
                wrapping = Wrapping(paths.kek.parent, make=False)
                walk.vault = Vault(keys, wrapping, remember=True)
        notes = [("kept checkpoint", note) for note in kept]
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
                for key_id, _ in walk.vault.returned(Destroyed(paths.destroyed).read()):
                    detail = f"the key {key_id.hex()} was destroyed, and is here again"
                    walk.wrong("key_returned", "key file", detail)
        if checked is not None and walk.progress is not None:
            walk.progress(0, 0, "the database's own check")
        for line in checked.result() if checked is not None else ():
            walk.problems.append(Problem(what="database_damaged", where="database", detail=line))
        if any(problem.what == "key_missing" for problem in walk.problems):
            with contextlib.suppress(AuditError), database.read() as transaction:
                state = load_state(transaction)
                walk.overtaken = state is not None and state.epoch != walk.epoch


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

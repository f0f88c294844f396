"""Disks that fail and servers that go, for tests and the benchmark: nothing here runs in service.

:class:`WatchedVfs` shows every write, truncation and sync that SQLite makes, so that they can be
recorded or refused. :class:`PowerLoss` makes, from a recording, the files that a power loss at any
moment may leave: everything that was not synced may be lost, kept in part, torn at 512 bytes, or
written in another order. That is harsher than most file systems are.
"""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Final, Literal, TypeAlias

import apsw

from chopmark.errors import LogUnavailable

__all__ = ["LOSSES", "Loss", "Operation", "PowerLoss", "State", "TemporaryPostgres", "WatchedVfs"]

SECTOR: Final = 512
Kind = Literal["write", "truncate", "sync", "delete", "ack", "file"]
Loss = Literal["lost", "subset", "torn", "reordered"]
LOSSES: Final[tuple[Loss, ...]] = ("lost", "subset", "torn", "reordered")


@dataclass(frozen=True, slots=True)
class Operation:
    """One thing that happened to a file.

    Attributes:
        kind: ``ack`` marks that the caller was told of ``offset`` events; ``file`` a whole file
            that was replaced.
        path: The file.
        offset: Where it was written, or the size that it was cut to.
        data: What was written.
    """

    kind: Kind
    path: str
    offset: int = 0
    data: bytes = b""


Watch: TypeAlias = Callable[[Operation], None]


class WatchedVfs(apsw.VFS):
    """The operating system's files, with somebody looking on.

    Args:
        name: To give as ``vfs``.
        watch: Called before each operation; may raise :class:`apsw.IOError` or
            :class:`apsw.FullError` in its place.
    """

    def __init__(self, name: str, watch: Watch) -> None:
        super().__init__(name, "")
        self.watch = watch

    def xOpen(self, name: str | apsw.URIFilename | None, flags: list[int]) -> _WatchedFile:  # noqa: N802
        return _WatchedFile(self, name, flags)

    def xDelete(self, filename: str, syncdir: bool) -> None:  # noqa: N802
        self.watch(Operation("delete", filename))
        super().xDelete(filename, syncdir)


class _WatchedFile(apsw.VFSFile):
    def __init__(
        self, vfs: WatchedVfs, name: str | apsw.URIFilename | None, flags: list[int]
    ) -> None:
        super().__init__("", name, flags)
        self._vfs = vfs
        self._path = name.filename() if isinstance(name, apsw.URIFilename) else str(name)

    def xWrite(self, data: bytes, offset: int) -> None:  # noqa: N802
        self._vfs.watch(Operation("write", self._path, offset, bytes(data)))
        super().xWrite(data, offset)

    def xTruncate(self, newsize: int) -> None:  # noqa: N802
        self._vfs.watch(Operation("truncate", self._path, newsize))
        super().xTruncate(newsize)

    def xSync(self, flags: int) -> None:  # noqa: N802
        self._vfs.watch(Operation("sync", self._path))
        super().xSync(flags)


@dataclass(frozen=True)
class State:
    """What a power loss left.

    Attributes:
        files: Content by path.
        acknowledged: How many events their callers had been told of.
        loss: What happened to the writes that were not synced.
        place: After how many operations.
    """

    files: dict[str, bytes]
    acknowledged: int
    loss: Loss
    place: int


@dataclass
class PowerLoss:
    """Replays a recording and gives the states that a power loss may leave.

    Args:
        operations: The recording, in order.
        seed: Of the choices.
    """

    operations: list[Operation]
    seed: int = 0
    _durable: dict[str, bytes] = field(default_factory=dict)
    _pending: dict[str, list[Operation]] = field(default_factory=dict)

    def states(self, *, each: int = 1, losses: tuple[Loss, ...] = LOSSES) -> Iterator[State]:
        """Give ``each`` states of every kind of loss after every operation.

        A loss of everything that was not synced is given once only, where syncs left it the same.
        """
        choose = random.Random(self.seed)  # noqa: S311 - not for secrets
        acknowledged, fresh = 0, True
        for place, operation in enumerate(self.operations):
            if operation.kind == "ack":
                acknowledged, fresh = operation.offset, True
            else:
                fresh = self._apply(operation) or fresh
            unsynced = any(self._pending.values())
            for loss in losses:
                repeats = each if loss != "lost" and unsynced else int(loss == "lost" and fresh)
                for _ in range(repeats):
                    yield State(self._after(loss, choose), acknowledged, loss, place)
            fresh = False

    def _apply(self, operation: Operation) -> bool:
        """Take one operation; tell whether it changed what is durable."""
        path = operation.path
        if operation.kind == "sync":
            waiting = self._pending.pop(path, [])
            content = bytearray(self._durable.get(path, b""))
            for item in waiting:
                _write(content, item, len(item.data))
            self._durable[path] = bytes(content)
            return bool(waiting)
        if operation.kind == "file":
            self._durable[path] = operation.data
            return True
        if operation.kind == "delete":
            self._pending.pop(path, None)
            return self._durable.pop(path, None) is not None
        self._pending.setdefault(path, []).append(operation)
        return False

    def _after(self, loss: Loss, choose: random.Random) -> dict[str, bytes]:
        files = dict(self._durable)
        if loss == "lost":
            return files
        for path, waiting in self._pending.items():
            content = bytearray(files.get(path, b""))
            kept = [item for item in waiting if choose.random() < _KEPT[loss]]
            if loss == "reordered":
                choose.shuffle(kept)
            for item in kept:
                length = len(item.data)
                if loss == "torn" and choose.random() < 1 / 2:
                    length = min(length, SECTOR * choose.randrange(1 + length // SECTOR))
                _write(content, item, length)
            files[path] = bytes(content)
        return files


_KEPT: Final[dict[Loss, float]] = {"lost": 0.0, "subset": 0.5, "torn": 0.85, "reordered": 0.8}


def _write(content: bytearray, operation: Operation, length: int) -> None:
    if operation.kind == "truncate":
        del content[operation.offset :]
        content.extend(bytes(operation.offset - len(content)))
        return
    end = operation.offset + length
    if len(content) < end:
        content.extend(bytes(end - len(content)))
    content[operation.offset : end] = operation.data[:length]


def lay_out(state: State, home: Path, target: Path) -> None:
    """Write a state's files, recorded under ``home``, to the same places under ``target``."""
    for path, data in state.files.items():
        place = target / Path(path).relative_to(home)
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(data)


class TemporaryPostgres:
    """A PostgreSQL server of our own, in a folder of its own, reached through a socket file.

    Debian's binaries are used, as the user postgres where we are root (PostgreSQL refuses root).

    Args:
        parent: Where its folder is made; a socket's path must stay short.
        listen: An address of a network of ours that it takes connections at as well.
    """

    def __init__(self, parent: Path | None = None, *, listen: str = "") -> None:
        self._listen = listen
        self._parent = parent or Path("/tmp")  # noqa: S108 - removed at the end, ours alone
        self._folder: Path | None = None
        self._binaries = self._find()

    @staticmethod
    def _find() -> Path | None:
        found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), reverse=True)
        elsewhere = shutil.which("initdb")
        return found[0].parent if found else Path(elsewhere).parent if elsewhere else None

    def _run(self, program: str, *arguments: str) -> None:
        command = [f"{self._binaries}/{program}", *arguments]
        if os.geteuid() == 0:
            command = ["runuser", "-u", "postgres", "--", *command]
        done = subprocess.run(
            command,
            check=False,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            cwd="/",
            env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8"},
        )
        if done.returncode:
            raise LogUnavailable(f"PostgreSQL: {done.stderr.decode(errors='replace')[:300]}")

    def __enter__(self) -> str:
        """Start the server; return its address.

        Raises:
            LogUnavailable: PostgreSQL is not installed, or does not start.
        """
        if self._binaries is None:
            raise LogUnavailable("PostgreSQL is not installed", hint="apt-get install postgresql")
        if find_spec("psycopg") is None:
            raise LogUnavailable("psycopg is not installed", hint="the postgres extra")
        self._folder = Path(tempfile.mkdtemp(prefix="chopmark-pg-", dir=self._parent))
        try:
            self._folder.chmod(0o755)
            if os.geteuid() == 0:
                shutil.chown(self._folder, "postgres")
            self._run("initdb", "-D", self._data, "-U", "chopmark", "--auth=trust", "-E", "UTF8")
            if self._listen:
                with Path(f"{self._data}/pg_hba.conf").open("a", encoding="utf-8") as rules:
                    rules.write("host all chopmark samenet trust\n")
            self.start()
        except (OSError, LookupError) as error:
            shutil.rmtree(self._folder, ignore_errors=True)
            raise LogUnavailable(f"PostgreSQL cannot be started: {error}") from None
        return f"postgresql://chopmark@/postgres?host={self._folder}"

    @property
    def _data(self) -> str:
        return f"{self._folder}/data"

    def start(self) -> None:
        """Start the server and wait until it answers."""
        options = f"-c listen_addresses={self._listen} -c unix_socket_directories={self._folder}"
        log = f"{self._folder}/log"
        self._run("pg_ctl", "-D", self._data, "-w", "-l", log, "-o", options, "start")

    def stop(self, mode: Literal["fast", "immediate"] = "fast") -> None:
        """Stop it; ``immediate`` is what a crash looks like to the next start."""
        self._run("pg_ctl", "-D", self._data, "-w", "-m", mode, "stop")

    def __exit__(self, *_: object) -> None:
        """Stop the server and remove its folder."""
        with contextlib.suppress(LogUnavailable):
            self.stop("immediate")
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)

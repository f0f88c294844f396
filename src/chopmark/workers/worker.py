"""The inside of one worker process: takes jobs from a socket until that ends."""

from __future__ import annotations

import gc
import os
import pickle
import signal
import traceback
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from chopmark.errors import ChopmarkError
from chopmark.workers import sandbox, values, wire

if TYPE_CHECKING:
    import socket

    from chopmark.workers.interface import Answer, JobTable

__all__ = ["Manner", "work"]

_STATM = "/proc/self/statm"


@dataclass(frozen=True, slots=True, kw_only=True)
class Manner:
    """How the workers of a pool run.

    Attributes:
        trusted: They hold keys, see no foreign bytes, and their answers may be unpickled.
        most_answer_mb: Largest buffer of an answer, in MiB.
    """

    trusted: bool
    most_answer_mb: int


def work(sock: socket.socket, table: JobTable, manner: Manner) -> None:
    """Do what is asked for until the other side ends; never returns.

    Called in a process that was forked for this and nothing else.
    """
    sandbox.die_with_parent()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the one who gave us the work
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    statm = os.open(_STATM, os.O_RDONLY | os.O_CLOEXEC) if Path(_STATM).exists() else None
    held = () if manner.trusted else sandbox.confine(most_file_mb=manner.most_answer_mb)
    wire.send(sock, values.encode({"pid": os.getpid(), "held": held}, {}))
    while True:
        try:
            body, files = wire.receive(sock)
        except wire.Broken:
            os._exit(0)
        answer = _done(table, manner, body, files, statm)
        try:
            wire.send(sock, *answer)
        except (wire.Broken, OSError):
            os._exit(1)
        del answer, body
        # What a picture took is given back before the next one comes.
        gc.collect(0)


def _done(
    table: JobTable, manner: Manner, body: bytes, files: list[int], statm: int | None
) -> tuple[bytes, tuple[bytes, ...]]:
    try:
        name, value, memory_mb = pickle.loads(body)  # noqa: S301  from whom we serve
        if statm is not None:
            sandbox.allowed_memory(statm, memory_mb)
        buffers = [wire.read_buffer(file, most=2**40) for file in files]
        answer: Answer = table.functions[name](value, buffers)
        return _packed(answer.value, table, manner), answer.buffers
    except ChopmarkError as error:
        if _for_memory(error):
            return _failed(manner, {"code": "over_memory"})
        return _failed(manner, values.encode_error(error))
    except MemoryError:
        return _failed(manner, {"code": "over_memory"})
    except BaseException as error:  # noqa: BLE001  it is told to whoever asked, and the worker lives on
        # Where it went wrong, without what it was given: locals may be a prompt.
        where = "".join(traceback.format_tb(error.__traceback__)[-4:])
        return _failed(manner, {"code": "", "type": type(error).__name__, "where": where[:4000]})


def _for_memory(error: BaseException | None) -> bool:
    """Tell whether an error came of a lack of memory: "damaged" would be said of a sound file."""
    while error is not None:
        if isinstance(error, MemoryError) or "bad_alloc" in str(error):
            return True
        error = error.__cause__ or error.__context__
    return False


def _packed(value: Any, table: JobTable, manner: Manner) -> bytes:
    if manner.trusted:
        return pickle.dumps(("ok", value))
    return values.encode(("ok", value), table.values)


def _failed(manner: Manner, fields: dict[str, Any]) -> tuple[bytes, tuple[bytes, ...]]:
    if manner.trusted:
        return pickle.dumps(("error", fields)), ()
    return values.encode(("error", fields), {}), ()

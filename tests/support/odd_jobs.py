"""Jobs that misbehave, for worker processes to do; loaded there by name."""

from __future__ import annotations

import os
import signal
import socket
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from chopmark.errors import UnreadableImage
from chopmark.workers import Answer, JobTable
from chopmark.workers.worker import Manner
from tests.support.wait import HANG_S

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["MANNER", "open_jobs"]

MANNER = Manner(trusted=False, most_answer_mb=8)


def open_jobs(_value: object) -> JobTable:
    return JobTable(
        functions={
            "echo": lambda value, buffers: Answer(value=value, buffers=tuple(buffers)),
            "pid": lambda _value, _buffers: Answer(value=os.getpid()),
            "hang": _hang,
            "crash": _crash,
            "eat": _eat,
            "refuse": _refuse,
            "break": _break,
            "smuggle": lambda _value, _buffers: Answer(value=Path("/etc")),
            "flood": lambda _value, _buffers: Answer(buffers=(bytes(9 << 20),)),
            "try": _try,
        },
        values={},
    )


def _hang(value: Any, _buffers: Sequence[bytes]) -> Answer:
    if value:
        Path(value).touch()
    time.sleep(2 * HANG_S)
    return Answer()


def _crash(_value: Any, _buffers: Sequence[bytes]) -> Answer:
    signal.raise_signal(signal.SIGSEGV)
    return Answer()


def _eat(value: Any, _buffers: Sequence[bytes]) -> Answer:
    return Answer(value=len(bytearray(value << 20)))


def _refuse(_value: Any, _buffers: Sequence[bytes]) -> Answer:
    raise UnreadableImage("that is no picture", hint="send one", param="image")


def _break(_value: Any, _buffers: Sequence[bytes]) -> Answer:
    raise LookupError("what nobody foresaw")


def _try(value: Any, _buffers: Sequence[bytes]) -> Answer:
    """Do what a process that was taken over would like to do; say what came of it."""
    what, argument = value
    try:
        match what:
            case "read":
                Path(argument).read_bytes()
            case "write":
                Path(argument).write_text("here")
            case "connect":
                socket.create_connection(tuple(argument), timeout=1).close()
            case "listen":
                socket.socket(socket.AF_UNIX).bind(argument)
            case "execute":
                os.execv(argument, [argument])  # noqa: S606  that it cannot is what is tested
            case "fork":
                if os.fork() == 0:
                    os._exit(0)
            case "signal":
                os.kill(int(argument), 0)
            case "environment":
                return Answer(value=sorted(os.environ))
    except OSError as error:
        return Answer(value=type(error).__name__)
    return Answer(value="done")

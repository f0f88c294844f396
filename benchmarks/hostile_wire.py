"""How hostile requests are sent: without waiting for leave, and looking for the answer meanwhile.

A server that refuses a large body answers while the body is still on its way and then hangs up. A
client that first sends everything would see a broken connection instead of the answer.
"""

from __future__ import annotations

import asyncio
import contextlib
import resource
import selectors
import socket
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from benchmarks.wire import read_answer, status_and_code

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Outcome", "exchange", "half_sent"]

_PIECE: Final = 2**18


@dataclass(frozen=True)
class Outcome:
    """What a request got.

    Attributes:
        said: Status and code, or ``closed``, ``refused``, ``no answer``.
        seconds: From its first byte.
    """

    said: str
    seconds: float


def exchange(port: int, request: bytes, *, limit_s: float) -> Outcome:
    """Send a request over a connection of its own and read the answer as soon as there is one."""
    began = time.perf_counter()

    def passed() -> float:
        return time.perf_counter() - began

    try:
        connection = socket.create_connection(("127.0.0.1", port), timeout=limit_s)
    except OSError as error:
        return Outcome(_broken(error), passed())
    with connection, selectors.DefaultSelector() as selector:
        connection.setblocking(False)
        selector.register(connection, selectors.EVENT_READ | selectors.EVENT_WRITE)
        view, sent, received = memoryview(request), 0, b""
        while passed() < limit_s:
            for _, event in selector.select(limit_s - passed()):
                try:
                    if event & selectors.EVENT_READ:
                        piece = connection.recv(_PIECE)
                        received += piece
                        said = _answer(received, ended=not piece)
                        if said is not None:
                            return Outcome(said, passed())
                    if event & selectors.EVENT_WRITE and sent < len(request):
                        sent += connection.send(view[sent : sent + _PIECE])
                except BlockingIOError:
                    continue
                except OSError as error:
                    said = _answer(received, ended=True)
                    return Outcome(said if received and said else _broken(error), passed())
            if sent == len(request):
                selector.modify(connection, selectors.EVENT_READ)
    return Outcome("no answer", passed())


def _answer(received: bytes, *, ended: bool) -> str | None:
    """Return status and code where the answer is whole; what it says of its length decides."""
    if not received:
        return "closed" if ended else None
    head, found, body = received.partition(b"\r\n\r\n")
    lines = head.lower().split(b"\r\n")
    length = next((int(line[15:]) for line in lines if line.startswith(b"content-length:")), None)
    whole = ended or (found and length is not None and len(body) >= length)
    if not whole and not (b"transfer-encoding: chunked" in lines and body.endswith(b"0\r\n\r\n")):
        return None
    return asyncio.run(_parsed(received))


async def _parsed(received: bytes) -> str:
    reader = asyncio.StreamReader()
    reader.feed_data(received)
    reader.feed_eof()
    try:
        return status_and_code(await read_answer(reader))
    except (OSError, ValueError, IndexError):
        return "closed within an answer"


def _broken(error: OSError) -> str:
    return "refused" if isinstance(error, ConnectionRefusedError) else "closed"


@contextlib.contextmanager
def _many_files(count: int) -> Iterator[None]:
    """Let this process have so many connections; servers that start later must not inherit it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = hard if hard != resource.RLIM_INFINITY else count + soft
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(most, count + 256)), hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def half_sent(port: int, part: bytes, count: int, *, limit_s: float) -> list[Outcome]:
    """Open so many connections, send the same part of a request over each, and wait.

    Returns:
        What became of each; ``held`` where the server still waited when the limit was over.
    """
    began = time.perf_counter()
    outcomes: list[Outcome] = []
    with (
        _many_files(count),
        selectors.DefaultSelector() as selector,
        contextlib.ExitStack() as all_,
    ):
        for _ in range(count):
            try:
                connection = socket.create_connection(("127.0.0.1", port), timeout=5)
                all_.enter_context(connection)
                connection.sendall(part)
                connection.setblocking(False)
                selector.register(connection, selectors.EVENT_READ)
            except OSError as error:
                said = "refused" if not isinstance(error, TimeoutError) else "no connection"
                outcomes.append(Outcome(said, time.perf_counter() - began))
        while selector.get_map() and (left := began + limit_s - time.perf_counter()) > 0:
            for key, _ in selector.select(left):
                connection = key.fileobj  # type: ignore[assignment]
                selector.unregister(connection)
                try:
                    said = _answer(connection.recv(_PIECE), ended=True) or "closed"
                except OSError:
                    said = "closed"
                connection.close()
                outcomes.append(Outcome(said, time.perf_counter() - began))
        held = len(selector.get_map())
    return outcomes + [Outcome("held", time.perf_counter() - began)] * held

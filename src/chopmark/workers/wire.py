"""Frames between two processes of one machine: a short body, and large bytes in shared memory.

A frame is a head (body length, number of buffers), then the body. Each buffer travels as a
descriptor of an anonymous file in memory (``memfd_create(2)``) beside the head, so that megabytes
of pixels cross no socket. They are read with ``pread``: mapping them would let the other side
shorten the file under our hands, which ends a process (SIGBUS).
"""

from __future__ import annotations

import os
import socket
import struct
import tempfile
import time
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = [
    "MOST_BODY", "MOST_BUFFERS", "Broken", "Late", "read_buffer", "read_buffers",
    "receive", "send", "send_with",
]  # fmt: skip

#: Bytes of a body. A generator's job has an edit's pictures in it, which may be several of 64 MP.
MOST_BODY: Final = 1 << 30
#: Descriptors in one frame; the kernel takes 253 (SCM_MAX_FD).
MOST_BUFFERS: Final = 64
_HEAD: Final = struct.Struct(">II")


class Broken(Exception):
    """The other side ended, or sent what is no frame."""


class Late(Broken):
    """The other side did not take or send a whole frame in time."""


def send(
    sock: socket.socket,
    body: bytes,
    buffers: Sequence[bytes | memoryview] = (),
    *,
    until: float | None = None,
) -> None:
    """Send a frame.

    Args:
        sock: A connected stream socket of the family AF_UNIX.
        body: At most ``MOST_BODY`` bytes.
        buffers: Go in shared memory.
        until: On ``time.monotonic``; None waits.

    Raises:
        Late: It was not taken in time.
        Broken: The other side is gone.
    """
    if len(body) > MOST_BODY or len(buffers) > MOST_BUFFERS:
        raise Broken(f"a frame of {len(body)} bytes with {len(buffers)} buffers")
    files = [_in_memory(buffer) for buffer in buffers]
    try:
        send_with(sock, body, files, until=until)
    finally:
        for file in files:
            os.close(file)


def send_with(
    sock: socket.socket, body: bytes, files: Sequence[int], *, until: float | None = None
) -> None:
    """Send a frame with descriptors that are open already; else as :func:`send`."""
    head = _HEAD.pack(len(body), len(files))
    try:
        _hurry(sock, until)
        if files:
            sent = socket.send_fds(sock, [head], list(files))
            sock.sendall(head[sent:] + body)
        else:
            sock.sendall(head + body)
    except TimeoutError as error:
        raise Late("a frame was not taken in time") from error
    except OSError as error:
        raise Broken("the other process is gone") from error


def receive(
    sock: socket.socket, *, until: float | None = None, most: int = MOST_BODY
) -> tuple[bytes, list[int]]:
    """Return the body of the next frame and its buffers' descriptors, which are the caller's.

    Args:
        sock: As for :func:`send`.
        until: Likewise.
        most: Bytes of a body that are taken.

    Raises:
        Late: It was not there in time.
        Broken: The other side ended, or sent what is no frame.
    """
    files: list[int] = []
    try:
        _hurry(sock, until)
        head, files, _, _ = socket.recv_fds(sock, _HEAD.size, MOST_BUFFERS)
        if not head:
            raise Broken("the other process ended")
        head += _exactly(sock, _HEAD.size - len(head), until)
        length, count = _HEAD.unpack(head)
        if length > most or count != len(files):
            raise Broken("what came is no frame")
        return _exactly(sock, length, until), files
    except (OSError, Broken) as error:
        for file in files:
            os.close(file)
        if isinstance(error, TimeoutError):
            raise Late("a frame did not come in time") from error
        raise error if isinstance(error, Broken) else Broken("the other process is gone") from error


def read_buffer(file: int, *, most: int) -> bytes:
    """Return what a buffer holds, and close it.

    Raises:
        Broken: It has more than ``most`` bytes, or less than it said.
    """
    try:
        size = os.fstat(file).st_size
        if size > most:
            raise Broken(f"a buffer of {size} bytes")
        # One call gives all there is, without a second copy, up to the kernel's 2 GiB.
        parts, done = [], 0
        while done < size:
            part = os.pread(file, size - done, done)
            if not part:
                raise Broken("a buffer was shortened")
            parts.append(part)
            done += len(part)
        return parts[0] if len(parts) == 1 else b"".join(parts)
    except OSError as error:
        raise Broken("a buffer cannot be read") from error
    finally:
        os.close(file)


def read_buffers(files: Sequence[int], *, most: int) -> tuple[bytes, ...]:
    """Return what several buffers hold, and close them all, whatever comes of one."""
    left = list(files)
    try:
        found = []
        while left:
            found.append(read_buffer(left.pop(0), most=most))
        return tuple(found)
    finally:
        for file in left:
            os.close(file)


def _hurry(sock: socket.socket, until: float | None) -> None:
    """Let the next call on a socket wait until then, and no longer."""
    if until is None:
        sock.settimeout(None)
        return
    left = until - time.monotonic()
    if left <= 0:
        raise TimeoutError
    sock.settimeout(left)


def _exactly(sock: socket.socket, length: int, until: float | None) -> bytes:
    data = bytearray(length)
    view, done = memoryview(data), 0
    while done < length:
        # Anew for each piece: a byte now and then must not hold us for ever.
        _hurry(sock, until)
        got = sock.recv_into(view[done:])
        if got == 0:
            raise Broken("the other process ended")
        done += got
    return bytes(data)


def _in_memory(data: bytes | memoryview) -> int:
    """Return a descriptor of an anonymous file with these bytes."""
    if hasattr(os, "memfd_create"):
        file = os.memfd_create("chopmark", os.MFD_CLOEXEC)
    else:  # macOS: a file without a name
        with tempfile.TemporaryFile() as unnamed:
            file = os.dup(unnamed.fileno())
    view, done = memoryview(data).cast("B"), 0
    while done < len(view):
        done += os.pwrite(file, view[done:], done)
    return file

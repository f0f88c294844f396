"""One sequencer for all processes on a machine: the first leads, the others hand it their events.

Every process could book by itself (the write lock and the state row see to that), but then each
transaction begins with cold page caches and waits for the others' disks. So whoever takes the
leader's lock first listens on a socket in the log's folder, and the others send it what they have
prepared; it books everything that is queued at once. Nothing depends on it: when the leader is gone
or slow, a process books by itself for a while, and event ids keep anything from being booked twice.

Leader and followers run as one user: the folder lets nobody else in, so what a follower has sealed
and hashed is taken as it comes. The full walk would show a follower that lies.
"""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
import socket
import struct
import threading
import time
from typing import TYPE_CHECKING, Final

from chopmark.audit.log.events import Event
from chopmark.audit.log.job import Job
from chopmark.audit.log.leaf import hash_of
from chopmark.audit.log.ledger import TWICE
from chopmark.audit.log.sealed import Sealed
from chopmark.errors import ChopmarkError

if TYPE_CHECKING:
    from collections.abc import Callable
    from concurrent.futures import Future
    from pathlib import Path

    from chopmark.audit.log.events import Record
    from chopmark.audit.log.ledger import Ledger

    _Put = Callable[[list[Job]], Future[list[Record | ChopmarkError]]]

__all__ = ["Relay"]

_LOG = logging.getLogger(__name__)
# Between processes of one version on one machine only; nothing of it is ever stored.
_HEAD: Final = struct.Struct(">II")  # bytes and jobs that follow
_ITEM: Final = struct.Struct(">2q11I")  # epoch, fencing number, lengths of the eleven fields
_REPLY: Final = struct.Struct(">QI")  # the leader's epoch, and how many places follow
_MAX_FRAME: Final = 32 * 1024 * 1024
_PATIENCE_S: Final = 5.0
_ALONE_S: Final = 10.0
_AGAIN_S: Final = 0.1
_ELSEWHERE: Final = -1


class Relay:
    """Books jobs here or with the leader.

    Args:
        folder: The log's folder, which only its owner can enter.
        ledger: Books here.
        put: Queues jobs with this process's own sequencer; used while this process leads.
    """

    def __init__(self, folder: Path, ledger: Ledger, put: _Put) -> None:
        self._folder, self._ledger, self._put = folder, ledger, put
        self._leading: int | None = None
        self._listener: socket.socket | None = None
        self._leader: socket.socket | None = None
        self._guard = threading.Lock()
        self._clients: set[socket.socket] = set()
        self._closed = False
        self._alone_until = 0.0

    def book(self, jobs: list[Job]) -> list[Record | ChopmarkError]:
        """Book jobs, by whoever does it best; see :meth:`Ledger.book`."""
        if self._leading is None and self._leader is None and time.monotonic() >= self._alone_until:
            self._lead_or_follow()
        if self._leader is None:
            results = self._ledger.book(jobs)
            twice = [place for place, result in enumerate(results) if result is TWICE]
            if twice:
                again = self._ledger.book([jobs[place] for place in twice])
                for place, result in zip(twice, again, strict=True):
                    results[place] = result
            return results
        indexes = self._ask(jobs)
        results = []
        rest = [job for job, index in zip(jobs, indexes, strict=True) if index == _ELSEWHERE]
        answers = iter(self._ledger.book(rest) if rest else [])
        for job, index in zip(jobs, indexes, strict=True):
            results.append(next(answers) if index == _ELSEWHERE else job.record_at(index))
        return results

    def _lead_or_follow(self) -> None:
        """Take the leader's lock, or connect to who has it; do neither where neither works."""
        try:
            lock = os.open(
                self._folder / "leader.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600
            )
            try:
                # The kernel gives it back when the process dies, however it dies.
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                os.close(lock)
                self._leader = self._connected()
                _LOG.debug("another process writes the log; records go through it")
                return
            self._leading = lock
            _LOG.debug("this process writes the log for those that share its folder")
            self._listen()
        except OSError:  # the leader has the lock and does not listen yet, for example
            self._alone_until = time.monotonic() + _AGAIN_S

    def _address(self, folder: int) -> str:
        # A socket's path has room for 107 characters; through the descriptor it is always short.
        return f"/proc/self/fd/{folder}/log.sock"

    def _connected(self) -> socket.socket:
        folder = os.open(self._folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        leader = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            leader.settimeout(_PATIENCE_S)
            leader.connect(self._address(folder))
        except OSError:
            leader.close()
            raise
        finally:
            os.close(folder)
        return leader

    def _listen(self) -> None:
        (self._folder / "log.sock").unlink(missing_ok=True)
        folder = os.open(self._folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            listener.bind(self._address(folder))
            (self._folder / "log.sock").chmod(0o600)
            listener.listen(128)
        except OSError:
            listener.close()
            raise
        finally:
            os.close(folder)
        self._listener = listener
        threading.Thread(
            target=self._accept, args=(listener,), name="chopmark-leader", daemon=True
        ).start()

    def _accept(self, listener: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = listener.accept()
                with self._guard:
                    if self._closed:
                        client.close()
                        return
                    self._clients.add(client)
                try:
                    threading.Thread(
                        target=self._serve, args=(client,), name="chopmark-follower", daemon=True
                    ).start()
                except RuntimeError:
                    # From Python 3.12 on no thread starts once the main one has ended. Whoever
                    # asked must not wait for an answer that never comes: it books by itself.
                    client.close()
                    listener.close()
                    return

    def _serve(self, client: socket.socket) -> None:
        """Book what one follower sends, batch by batch, until it goes."""
        try:
            while True:
                size, count = _HEAD.unpack(_receive(client, _HEAD.size))
                if size > _MAX_FRAME:
                    return
                jobs = self._unpacked(_receive(client, size), count)
                indexes = self._booked(jobs)
                reply = struct.pack(f">{count}q", *indexes)
                client.sendall(_REPLY.pack(self._ledger.epoch, count) + reply)
        except (OSError, struct.error, ValueError, ChopmarkError):
            return  # the follower books by itself
        finally:
            with self._guard:
                self._clients.discard(client)
            client.close()

    def _booked(self, jobs: list[Job]) -> list[int]:
        """Have a follower's jobs booked with our own; return their places."""
        try:
            results = self._put(jobs).result(_PATIENCE_S)
        except (ChopmarkError, TimeoutError):
            return [_ELSEWHERE] * len(jobs)
        return [_ELSEWHERE if isinstance(item, ChopmarkError) else item.index for item in results]

    def _unpacked(self, frame: bytes, count: int) -> list[Job]:
        jobs, place = [], 0
        for _ in range(count):
            epoch, number, *sizes = _ITEM.unpack_from(frame, place)
            place += _ITEM.size
            fields = []
            for size in sizes:
                fields.append(frame[place : place + size])
                place += size
            kind, record_id, event_id, tenant, time, leaf, writer, *private = fields
            key_id, tag, wrapped, sealed = private
            key = self._ledger.vault.known(key_id, tag, wrapped) if key_id else None
            event = Event(
                kind=kind.decode(),  # type: ignore[arg-type]
                record_id=record_id.decode(),
                event_id=event_id.decode(),
                tenant=tenant.decode(),
            )
            jobs.append(
                Job(
                    event=event,
                    time=time.decode(),
                    leaf=leaf,
                    hash=hash_of(leaf),
                    data=None,
                    sealed=None
                    if key is None
                    else Sealed(key=key, ciphertext=sealed, commitment=b""),
                    epoch=epoch,
                    writer=writer.decode(),
                    number=number,
                    remote=True,
                )
            )
        return jobs

    def _ask(self, jobs: list[Job]) -> list[int]:
        """Send jobs to the leader; return their places, or that they are to be booked here."""
        leader, frame = self._leader, _packed(jobs)
        if leader is None or len(frame) > _MAX_FRAME:
            return [_ELSEWHERE] * len(jobs)
        try:
            leader.sendall(_HEAD.pack(len(frame), len(jobs)) + frame)
            epoch, count = _REPLY.unpack(_receive(leader, _REPLY.size))
            indexes = struct.unpack(f">{len(jobs)}q", _receive(leader, 8 * len(jobs)))
            if count != len(jobs):
                raise OSError
        except TimeoutError:
            # It may be stopped, and would answer the next one as late: book alone for a while.
            self._alone_until = time.monotonic() + _ALONE_S
            self._leave(leader)
            return [_ELSEWHERE] * len(jobs)
        except (OSError, struct.error):
            self._leave(leader)
            return [_ELSEWHERE] * len(jobs)
        # The leader may know of an erasure that we do not; our cached keys are old then.
        self._ledger.learn(epoch)
        keys = [job.sealed.key for job in jobs if job.sealed is not None]
        if keys:
            self._ledger.vault.settle(keys)
        return list(indexes)

    def _leave(self, leader: socket.socket) -> None:
        """Part from a leader. What it booked, nobody knows; booking it again finds out."""
        self._leader = None
        leader.close()

    def close(self) -> None:
        """Stop leading, or following."""
        with self._guard:
            self._closed = True
            clients = list(self._clients)
        if self._leader is not None:
            self._leader.close()
            self._leader = None
        if self._listener is not None:
            with contextlib.suppress(OSError):
                self._listener.shutdown(socket.SHUT_RDWR)
            self._listener.close()
            self._listener = None
            with contextlib.suppress(OSError):
                (self._folder / "log.sock").unlink()
        for client in clients:
            with contextlib.suppress(OSError):
                client.shutdown(socket.SHUT_RDWR)
        if self._leading is not None:
            os.close(self._leading)
            self._leading = None


def _packed(jobs: list[Job]) -> bytes:
    parts = []
    for job in jobs:
        event, sealed = job.event, job.sealed
        fields = [
            event.kind.encode(),
            event.record_id.encode(),
            event.event_id.encode(),
            event.tenant.encode(),
            job.time.encode(),
            job.leaf,
            job.writer.encode(),
        ]
        if sealed is None:
            fields += [b"", b"", b"", b""]
        else:
            key = sealed.key
            fields += [key.key_id, key.tag, key.wrapped, sealed.ciphertext]
        parts += [_ITEM.pack(job.epoch, job.number, *map(len, fields)), *fields]
    return b"".join(parts)


def _receive(connection: socket.socket, size: int) -> bytes:
    """Read exactly ``size`` bytes.

    Raises:
        OSError: The other end is gone, or too slow.
    """
    parts, missing = [], size
    while missing:
        part = connection.recv(min(missing, 1 << 20))
        if not part:
            raise ConnectionResetError
        parts.append(part)
        missing -= len(part)
    return b"".join(parts)

"""The log's public files in an object store: tiles that never change, and one checkpoint.

Monitors read them there (https://c2sp.org/tlog-tiles), also while no server runs. Several servers
write there: a tile is written by whoever comes first and compared by the others, and the checkpoint
is changed only from the very one that was read, never to a smaller size.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from chopmark.audit.proof.note import open_checkpoint, parse_keys
from chopmark.errors import InvalidRequest, LogCorrupt, LogUnavailable

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from chopmark.audit import AuditLog
    from chopmark.audit.proof.note import Checkpoint
    from chopmark.kit.objects import Objects

__all__ = ["LogObjects"]

_CHECKPOINT: Final = "checkpoint"
_MOST_TRIES: Final = 10
_ENTRIES: Final = "entries"


class LogObjects:
    """Public files of one log, below ``log/`` of a bucket.

    Args:
        objects: The bucket.
        entries: Whether the bundles of entries are public as well.
    """

    def __init__(self, objects: Objects, *, entries: bool) -> None:
        self._objects, self._entries = objects, entries
        self._there: set[str] = set()

    def publish(self, log: AuditLog, folder: Path) -> int:
        """Bring the bucket up to what the log signs now; return how many objects were written.

        Args:
            log: The log.
            folder: Where its public files stand here.

        Raises:
            LogCorrupt: The bucket has other tiles, or a checkpoint of another log or history.
            LogUnavailable: The bucket does not answer.
        """
        try:
            for _ in range(_MOST_TRIES):
                signed = log.proof.publish(folder)
                try:
                    written = sum(self._put(path, data) for path, data in self._tiles(folder))
                except FileNotFoundError:
                    continue  # a reader had the folder brought up to date just now
                return written + self._replace_checkpoint(log, signed)
        except self._objects.exceptions.BaseError as error:
            text = (str(error).splitlines() or [type(error).__name__])[0]
            raise LogUnavailable(f"CHOPMARK_OBJECTS: {text[:300]}") from None
        raise LogUnavailable(f"{folder} changes all the time")

    def _tiles(self, folder: Path) -> Iterator[tuple[str, bytes]]:
        for file in sorted((folder / "tile").rglob("*")):
            path = f"log/{file.relative_to(folder).as_posix()}"
            if not file.is_file() or path in self._there:
                continue
            if self._entries or not path.startswith(f"log/tile/{_ENTRIES}/"):
                yield path, file.read_bytes()

    def _put(self, path: str, data: bytes) -> bool:
        written = self._objects.create(path, data)
        if not written:
            found = self._objects.read(path)
            if found is None or found[0] != data:
                raise LogCorrupt(
                    f"CHOPMARK_OBJECTS has another {path}",
                    hint="the bucket is another log's, or the log was changed: audit verify",
                )
        self._there.add(path)
        return written

    def _replace_checkpoint(self, log: AuditLog, signed: Checkpoint) -> bool:
        path, data = f"log/{_CHECKPOINT}", signed.note.encode()
        ring = parse_keys(log.proof.public_keys)
        for _ in range(_MOST_TRIES):
            found = self._objects.read(path)
            if found is None:
                if self._objects.create(path, data):
                    return True
                continue
            try:
                known = open_checkpoint(found[0].decode("utf-8", "replace"), ring)
            except InvalidRequest as error:
                raise LogCorrupt(f"CHOPMARK_OBJECTS has another checkpoint: {error}") from None
            if known.size == signed.size and known.root != signed.root:
                raise LogCorrupt("CHOPMARK_OBJECTS has a checkpoint of another history")
            if known.size > signed.size or found[0] == data:
                return False  # another server was here since
            if self._objects.replace(path, data, found[1]):
                return True
        raise LogUnavailable("CHOPMARK_OBJECTS: the checkpoint was changed by others all the time")

"""Files that come in parts (``/v1/uploads``): the parts wait for an hour to be put together.

A part is a file like those of :mod:`chopmark.tenancy.files`, of a purpose of its own: it takes the
tenant's room while it waits, is in no list, and goes by itself.
"""

from __future__ import annotations

import hashlib
import secrets
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

from chopmark.errors import ChopmarkError, FileNotKept, FilesFull, InvalidRequest, UploadNotFound

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from chopmark.tenancy.files import FileStore, KeptFile

__all__ = ["Upload", "UploadStatus", "Uploads"]

UploadStatus = Literal["pending", "completed", "cancelled", "expired"]
_SECONDS: Final = 3600
_MOST_OPEN: Final = 100
_PART: Final = "upload_part"
_OCTETS: Final = "application/octet-stream"


@dataclass(frozen=True, slots=True, kw_only=True)
class Upload:
    """A file on its way.

    Attributes:
        upload_id: Its name.
        purpose: What the file will be for.
        filename: As its sender calls it.
        size: Bytes that it will have.
        keep_s: Seconds that it will be kept.
        created: Unix time in seconds.
        expires: Unix time in seconds from which on no part is taken.
        status: How far it has come.
    """

    upload_id: str
    purpose: str
    filename: str
    size: int
    keep_s: int
    created: int
    expires: int
    status: UploadStatus


class Uploads:
    """The uploads of all tenants. Every method may wait for a disk: call it in a thread.

    Args:
        files: Where the parts lie, and the whole in the end.
        clock: Seconds since 1970.
    """

    def __init__(self, files: FileStore, *, clock: Callable[[], float] = time.time) -> None:
        self._files, self._database, self._clock = files, files.database, clock

    def begin(self, tenant: str, *, size: int, purpose: str, filename: str, keep_s: int) -> Upload:
        """Open an upload, for an hour.

        Args:
            tenant: Whose.
            size: Bytes of the whole.
            purpose: What the file is for.
            filename: As its sender calls it.
            keep_s: Seconds that the file is kept.

        Raises:
            FilesFull: A hundred of the tenant are open.
        """
        now = int(self._clock())
        upload = Upload(
            upload_id=f"upload_{secrets.token_hex(16)}",
            purpose=purpose,
            filename=filename,
            size=size,
            keep_s=keep_s,
            created=now,
            expires=now + _SECONDS,
            status="pending",
        )
        with self._database.write() as transaction:
            # Whoever asks of one that is over is told so for a day.
            transaction.execute("DELETE FROM upload WHERE expires <= ?", (now - 24 * _SECONDS,))
            rows = transaction.execute(
                "SELECT count(*) FROM upload"
                " WHERE tenant = ? AND status = 'pending' AND expires > ?",
                (tenant, now),
            )
            if int(rows[0][0]) >= _MOST_OPEN:
                raise FilesFull(
                    f"{_MOST_OPEN} uploads are open", hint="complete or cancel some of them"
                )
            transaction.execute(
                "INSERT INTO upload"
                " (id, tenant, purpose, filename, bytes, keep_s, created, expires, status)"
                " VALUES (?, ?, ?, ?, ?, ?, ?, ?, 'pending')",
                (upload.upload_id, tenant, purpose, filename, size, keep_s, now, upload.expires),
            )
        return upload

    def add_part(self, tenant: str, upload_id: str, data: bytes, *, most_bytes: int) -> KeptFile:
        """Keep a part.

        Args:
            tenant: Whose.
            upload_id: Of which upload.
            data: Its bytes.
            most_bytes: As in :meth:`chopmark.tenancy.files.FileStore.add`.

        Raises:
            UploadNotFound: There is none of this name.
            InvalidRequest: It takes no part any more, or the parts are more than the whole.
            FilesFull: The tenant has no room left.
        """
        upload = self._open(tenant, upload_id)
        with self._database.read() as transaction:
            rows = transaction.execute(
                "SELECT coalesce(sum(bytes), 0) FROM kept_file"
                " WHERE tenant = ? AND purpose = ? AND filename = ?",
                (tenant, _PART, upload_id),
            )
        total = int(rows[0][0]) + len(data)
        if total > upload.size:
            raise InvalidRequest(
                f"the parts have {total} bytes by now, and the file was to have {upload.size}",
                param="data",
            )
        return self._files.add(
            tenant,
            data,
            purpose=_PART,
            filename=upload_id,
            mime=_OCTETS,
            keep_s=max(1, upload.expires - int(self._clock())),
            most_bytes=most_bytes,
            file_id=f"part_{secrets.token_hex(16)}",
        )

    def complete(
        self, tenant: str, upload_id: str, parts: Sequence[str], *, md5: str, most_bytes: int
    ) -> tuple[Upload, KeptFile]:
        """Put the parts together, in the order of their names here; return the file.

        Args:
            tenant: Whose.
            upload_id: Of which upload.
            parts: Names of its parts.
            md5: Of the whole, in hexadecimal; empty: not checked.
            most_bytes: As in :meth:`chopmark.tenancy.files.FileStore.add`.

        Raises:
            UploadNotFound: There is none of this name.
            InvalidRequest: It is over already, a part is not its own, or the parts are not what
                was said of the whole; they stay, and it can be tried again.
            FilesFull: The tenant has no room left.
        """
        upload = self._open(tenant, upload_id)
        if not self._enter(upload_id, "pending", "completing"):
            raise _over("completing")  # somebody else does it at this moment
        try:
            data = self._joined(tenant, upload, parts)
            if md5 and hashlib.md5(data, usedforsecurity=False).hexdigest() != md5.lower():
                raise InvalidRequest("the parts together have another md5", param="md5")
            kept = self._files.add(
                tenant,
                data,
                purpose=upload.purpose,
                filename=upload.filename,
                mime="application/jsonl" if upload.purpose == "batch" else _OCTETS,
                keep_s=upload.keep_s,
                most_bytes=most_bytes,
                instead_of=parts,
            )
        except ChopmarkError:
            self._enter(upload_id, "completing", "pending")
            raise
        self._enter(upload_id, "completing", "completed")
        return self._get(tenant, upload_id), kept

    def cancel(self, tenant: str, upload_id: str) -> Upload:
        """Take no more parts, and let go of those that came.

        Raises:
            UploadNotFound: There is none of this name.
            InvalidRequest: It is over already.
        """
        self._open(tenant, upload_id)
        if not self._enter(upload_id, "pending", "cancelled"):
            raise _over("completing")
        with self._database.read() as transaction:
            rows = transaction.execute(
                "SELECT id FROM kept_file WHERE tenant = ? AND purpose = ? AND filename = ?",
                (tenant, _PART, upload_id),
            )
        for (part,) in rows:
            self._files.delete(tenant, str(part))
        return self._get(tenant, upload_id)

    def _joined(self, tenant: str, upload: Upload, parts: Sequence[str]) -> bytes:
        if len(set(parts)) != len(parts):
            raise InvalidRequest("a part is named twice", param="part_ids")
        total = 0
        for place, name in enumerate(parts):
            where = f"part_ids[{place}]"
            try:
                part = self._files.get(tenant, name)
            except FileNotKept:
                part = None
            if part is None or (part.purpose, part.filename) != (_PART, upload.upload_id):
                raise InvalidRequest(f"{where}: no part of this upload", param=where)
            total += part.size
        if total != upload.size:
            raise InvalidRequest(
                f"the parts have {total} bytes, and the file was to have {upload.size}",
                param="part_ids",
            )
        return b"".join(self._files.data(name) for name in parts)

    def _enter(self, upload_id: str, before: str, status: str) -> bool:
        """Change the status where it is still what it was; tell whether it was."""
        with self._database.write() as transaction:
            return bool(
                transaction.execute(
                    "UPDATE upload SET status = ? WHERE id = ? AND status = ? RETURNING id",
                    (status, upload_id, before),
                )
            )

    def _open(self, tenant: str, upload_id: str) -> Upload:
        upload = self._get(tenant, upload_id)
        if upload.status != "pending":
            raise _over(upload.status)
        return upload

    def _get(self, tenant: str, upload_id: str) -> Upload:
        with self._database.read() as transaction:
            rows = transaction.execute(
                "SELECT purpose, filename, bytes, keep_s, created, expires, status FROM upload"
                " WHERE id = ? AND tenant = ?",
                (upload_id, tenant),
            )
        if not rows:
            raise UploadNotFound(f"there is no upload {upload_id[:60]!r}, or not any more")
        purpose, filename, size, keep_s, created, expires, status = rows[0]
        late = status in {"pending", "completing"} and int(expires) <= self._clock()
        return Upload(
            upload_id=upload_id,
            purpose=purpose,
            filename=filename,
            size=int(size),
            keep_s=int(keep_s),
            created=int(created),
            expires=int(expires),
            status="expired" if late else status,
        )


def _over(status: str) -> InvalidRequest:
    return InvalidRequest(
        f"the upload is {status}", hint="an upload is open for an hour, until it is completed"
    )

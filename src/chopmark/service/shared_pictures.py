"""Pictures that clients fetch a little later: at addresses that expire, or by an answer's name.

What is kept here was released, judged, marked, signed and booked. It lies with the tenants' other
files for an hour, so that every server over the same home gives it out, also after a restart, and
it goes when what was asked for is erased. An address is a capability: its signature is made with a
secret of the home, so that nobody guesses one, and it opens one picture until its time is over.
"""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from chopmark.errors import FileNotKept, PictureNotFound
from chopmark.kit.files import random_secret
from chopmark.kit.ids import record_of
from chopmark.pipeline.withdrawals import refuse_withdrawn

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from chopmark.pipeline.parts import Parts
    from chopmark.pipeline.released import Output
    from chopmark.tenancy.files import FileStore

__all__ = ["EarlierAnswers", "SharedPicture", "SharedPictures", "was_erased"]

_SECONDS: Final = 3600
_BYTES: Final = 256 * 2**20
_EARLIER_BYTES: Final = 128 * 2**20
_NAME: Final = "text/x-chopmark-name"


@dataclass(frozen=True, slots=True, kw_only=True)
class SharedPicture:
    """One picture.

    Attributes:
        data: The file's bytes.
        mime: Its media type.
        record_ids: The requests that it was made and given out for.
        name: Of the picture.
        created: Unix time in seconds from which on it is kept.
    """

    data: bytes = field(repr=False)
    mime: str
    record_ids: tuple[str, ...]
    name: str
    created: int


class SharedPictures:
    """Keeps at most 256 MiB of a tenant, each picture for an hour; the oldest go first.

    Every method may wait for a disk: call it in a thread.

    Args:
        files: Where they lie.
        home: Whose secret signs the addresses.
        clock: Seconds since 1970.
    """

    def __init__(
        self, files: FileStore, home: Path, *, clock: Callable[[], float] = time.time
    ) -> None:
        self._files, self._home, self._clock = files, home, clock

    def share(self, tenant: str, output: Output, record_id: str) -> str:
        """Keep a picture, and return the path and query of its address.

        Raises:
            ChopmarkError: It could not be kept.
        """
        until = int(self._clock()) + _SECONDS
        name = f"{output.output_id}.{'jpg' if output.format == 'jpeg' else output.format}"
        _keep(self._files, tenant, f"shared-{name}", output, record_id, "shared_picture")
        self._files.keep_within(tenant, "shared_picture", _BYTES)
        return f"/v1/images/content/{name}?expires={until}&signature={self._sign(name, until)}"

    def get(self, name: str, *, expires: int, signature: str) -> SharedPicture:
        """Return the picture that an address opens.

        Raises:
            PictureNotFound: The address is not ours or over, or the picture had to go earlier; it
                does not say which.
        """
        right = hmac.compare_digest(
            self._sign(name, expires).encode(), signature.encode("utf-8", "replace")
        )
        picture = _kept(self._files, None, f"shared-{name}") if right else None
        if expires <= self._clock() or picture is None:
            raise PictureNotFound(
                "there is no picture at this address, or not any more",
                hint="addresses are good for an hour at most; ask for b64_json to keep a picture",
            )
        return picture

    def _sign(self, name: str, until: int) -> str:
        secret = random_secret(self._home / "tenancy" / "shared.key", length=32)
        return hmac.new(secret, f"{name}\n{until}".encode(), hashlib.sha256).hexdigest()


class EarlierAnswers:
    """The newest picture of earlier answers, for whoever got them and nobody else.

    Keeps at most 128 MiB of a tenant, each for an hour; the oldest go first. Every method may wait
    for a disk: call it in a thread.

    Args:
        files: Where they lie.
    """

    def __init__(self, files: FileStore) -> None:
        self._files = files

    def keep(
        self, tenant: str, owner: str, names: tuple[str, str], output: Output, record_id: str
    ) -> None:
        """Keep a picture under its own name and that of the answer.

        Args:
            tenant: Whose.
            owner: Who may have it again.
            names: Of the picture, and of the answer that it was in.
            output: The picture.
            record_id: The request.

        Raises:
            ChopmarkError: It could not be kept.
        """
        first, second = (_earlier(owner, name) for name in names)
        _keep(self._files, tenant, first, output, record_id, "earlier_answer")
        self._files.add(
            tenant,
            first.encode(),
            purpose="earlier_name",
            filename="",
            mime=_NAME,
            keep_s=_SECONDS,
            most_bytes=0,
            file_id=second,
            records=[record_id],
        )
        self._files.keep_within(tenant, "earlier_answer", _EARLIER_BYTES)

    def standing(self, parts: Parts, tenant: str, owner: str, name: str) -> SharedPicture | None:
        """Return what an owner has under a name, unless what was asked for is erased by now.

        Raises:
            OutputWithdrawn: The desk withdrew it.
        """
        found = self._get(tenant, owner, name)
        return None if found is None or was_erased(parts, found.record_ids) else found

    def forget(self, tenant: str, owner: str, name: str) -> bool:
        """Let go of an answer and its picture; tell whether there was one."""
        pointer = _earlier(owner, name)
        found = _kept(self._files, tenant, pointer)
        if found is None or found.mime != _NAME:
            return False
        for file_id in (found.data.decode(), pointer):
            with contextlib.suppress(FileNotKept):
                self._files.delete(tenant, file_id)
        return True

    def _get(self, tenant: str, owner: str, name: str) -> SharedPicture | None:
        found = _kept(self._files, tenant, _earlier(owner, name))
        if found is not None and found.mime == _NAME:
            found = _kept(self._files, tenant, found.data.decode())
        return found


def was_erased(parts: Parts, record_ids: Sequence[str]) -> bool:
    """Tell whether what was asked for, or who asked, was erased since.

    Raises:
        OutputWithdrawn: The desk withdrew a picture of it.
    """
    for record_id in record_ids:
        refuse_withdrawn(parts, record_id)
    return bool(parts.request_log.custody.contentless(list(record_ids)))


def _earlier(owner: str, name: str) -> str:
    digest = hashlib.sha256(f"{owner}\n{name}".encode()).hexdigest()
    return f"earlier-{digest[:40]}"


def _keep(
    files: FileStore, tenant: str, file_id: str, output: Output, record_id: str, purpose: str
) -> None:
    files.add(
        tenant,
        output.data,
        purpose=purpose,
        filename=output.output_id,
        mime=output.mime,
        keep_s=_SECONDS,
        most_bytes=0,
        file_id=file_id,
        # A picture from the past falls with the request that it was made for, too.
        records=dict.fromkeys([record_id, record_of(output.output_id)]),
    )


def _kept(files: FileStore, tenant: str | None, file_id: str) -> SharedPicture | None:
    try:
        kept = files.get(tenant, file_id)
    except FileNotKept:
        return None
    return SharedPicture(
        data=files.data(file_id),
        mime=kept.mime,
        record_ids=tuple(files.piece_records(file_id)),
        name=kept.filename,
        created=kept.created,
    )

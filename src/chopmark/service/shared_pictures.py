"""Pictures at addresses that expire: for clients that want a URL, and fetch it a little later.

What is held here was released, judged, marked, signed and booked. An address is a capability: its
signature is made with a secret of this process, so that nobody guesses one, and it opens one
picture until its time is over. Nothing is written to a disk; a restart closes all of them.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from chopmark.errors import PictureNotFound

if TYPE_CHECKING:
    from collections.abc import Callable

    from chopmark.pipeline.released import Output

__all__ = ["EarlierAnswers", "SharedPicture", "SharedPictures"]

_SECONDS: Final = 3600
_BYTES: Final = 256 * 2**20
_EARLIER_BYTES: Final = 128 * 2**20


@dataclass(frozen=True, slots=True, kw_only=True)
class SharedPicture:
    """One picture, and until when it is given out.

    Attributes:
        data: The file's bytes.
        mime: Its media type.
        record_id: The request that it was made for.
        until: Seconds since 1970.
    """

    data: bytes = field(repr=False)
    mime: str
    record_id: str
    until: int


class SharedPictures:
    """Holds at most 256 MiB, each picture for an hour; the oldest go first.

    Args:
        clock: Seconds since 1970.
    """

    def __init__(self, *, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._secret = secrets.token_bytes(32)
        self._lock = threading.Lock()
        self._held: dict[str, SharedPicture] = {}

    def share(self, output: Output, record_id: str) -> str:
        """Hold a picture, and return the path and query of its address."""
        until = int(self._clock()) + _SECONDS
        name = f"{output.output_id}.{'jpg' if output.format == 'jpeg' else output.format}"
        picture = SharedPicture(
            data=output.data, mime=output.mime, record_id=record_id, until=until
        )
        with self._lock:
            # The newest last: what is held again counts as new.
            self._held.pop(name, None)
            self._held[name] = picture
            self._make_room()
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
        with self._lock:
            picture = self._held.get(name)
        if not right or expires <= self._clock() or picture is None:
            raise PictureNotFound(
                "there is no picture at this address, or not any more",
                hint="addresses are good for an hour at most; ask for b64_json to keep a picture",
            )
        return picture

    def _sign(self, name: str, until: int) -> str:
        return hmac.new(self._secret, f"{name}\n{until}".encode(), hashlib.sha256).hexdigest()

    def _make_room(self) -> None:
        now = self._clock()
        for name in [name for name, one in self._held.items() if one.until <= now]:
            del self._held[name]
        total = sum(len(one.data) for one in self._held.values())
        for name in list(self._held):
            if total <= _BYTES or len(self._held) == 1:
                break
            total -= len(self._held.pop(name).data)


class EarlierAnswers:
    """The newest picture of earlier answers, for whoever got them and nobody else.

    Holds at most 128 MiB, each for an hour; the oldest go first.

    Args:
        clock: Seconds since 1970.
    """

    def __init__(self, *, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._held: dict[tuple[str, str], SharedPicture] = {}

    def keep(self, owner: str, names: tuple[str, ...], output: Output, record_id: str) -> None:
        """Hold a picture under some names."""
        until = int(self._clock()) + _SECONDS
        picture = SharedPicture(
            data=output.data, mime=output.mime, record_id=record_id, until=until
        )
        with self._lock:
            for name in names:
                self._held[owner, name] = picture
            now = self._clock()
            for key in [key for key, one in self._held.items() if one.until <= now]:
                del self._held[key]
            # Several names of one picture count each: it goes a little earlier than it must.
            total = sum(len(one.data) for one in self._held.values())
            for key in list(self._held)[: -len(names)]:
                if total <= _EARLIER_BYTES:
                    break
                total -= len(self._held.pop(key).data)

    def get(self, owner: str, name: str) -> SharedPicture | None:
        """Return what an owner has under a name, if it is still there."""
        with self._lock:
            picture = self._held.get((owner, name))
        return None if picture is None or picture.until <= self._clock() else picture

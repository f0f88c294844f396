"""Shared counts in Redis or Valkey; each step is one script, so that nothing comes between.

A mark lies beside the counts. Where it is missing, the server was emptied (a restart without
persistence): that is told instead of counting anew from nothing.
"""

from __future__ import annotations

import struct
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from chopmark.kit.redis import connect, lost
from chopmark.tenancy.shared_state import MOST_SKEW_S, WINDOW_S, Document, Taken, Window

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from chopmark.tenancy.shared_state import Change

__all__ = ["RedisState", "StateEmptiedError", "StateLostError"]

# The digit is the form of what is kept; another form has other names.
_ROOT: Final = "chopmark:1:"
_HERE: Final = f"{_ROOT}here"
_MOST_TRIES: Final = 100
#: Until when a document is kept, before it.
_ENDS: Final = struct.Struct("<d")
_EMPTIED: Final = "EMPTIED"
_GUARD: Final = (
    f"if redis.call('EXISTS', KEYS[1]) == 0 then return redis.error_reply('{_EMPTIED}') end\n"
)
_TAKE: Final = f"""{_GUARD}
local limit, width, skew = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local now = tonumber(ARGV[6])
if not now then
  local clock = redis.call('TIME')
  now = clock[1] + clock[2] / 1000000
end
local start, used = now, 0
local function meet(began, count)
  if began and count and now - began >= -skew and now - began < width then
    start, used = math.min(start, began), math.max(used, count)
  end
end
local known = redis.call('HMGET', KEYS[2], 'start', 'used')
meet(tonumber(known[1] or nil), tonumber(known[2] or nil))
meet(tonumber(ARGV[4]), tonumber(ARGV[5]))
local allowed = 0
if used < limit then allowed, used = 1, used + 1 end
redis.call('HSET', KEYS[2], 'start', string.format('%.6f', start), 'used', used)
redis.call('PEXPIRE', KEYS[2], math.ceil(1000 * math.max(1, width - (now - start))))
return {{allowed, string.format('%.6f', start), used}}
"""
_READ: Final = f"{_GUARD} return redis.call('GET', KEYS[2])"
_SWAP: Final = f"""{_GUARD}
local old = redis.call('GET', KEYS[2])
if (ARGV[1] == '0' and old) or (ARGV[1] == '1' and old ~= ARGV[2]) then return 0 end
if ARGV[3] == '0' then redis.call('DEL', KEYS[2])
else redis.call('SET', KEYS[2], ARGV[4], 'PX', ARGV[5]) end
return 1
"""


class StateLostError(Exception):
    """The server does not answer, or refuses."""


class StateEmptiedError(Exception):
    """The server answers, and has forgotten everything."""


class RedisState:
    """Counts that all servers with one Redis share.

    Args:
        url: See :func:`chopmark.kit.redis.connect`.
        clock: Seconds since 1970; where it is not given, this machine's for documents, and the
            server's own for windows.

    Raises:
        ConfigurationError: It cannot be used.
    """

    at_once = False

    def __init__(self, url: str, *, clock: Callable[[], float] | None = None) -> None:
        self.clock = clock or time.time
        self._windows_by = clock
        self._client = connect(url)
        self._lost = lost()
        register = self._client.register_script
        self._take, self._read, self._swap = register(_TAKE), register(_READ), register(_SWAP)

    @contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except self._lost as error:
            text = (str(error).splitlines() or [type(error).__name__])[0]
            # Redis puts the script's name behind it.
            kind = StateEmptiedError if text.startswith(_EMPTIED) else StateLostError
            raise kind(text) from None

    def take(self, name: str, limit: int, *, seen: Window | None = None) -> Taken:
        """Count one request; see :class:`chopmark.tenancy.shared_state.SharedState`.

        Raises:
            StateLostError: It does not answer.
            StateEmptiedError: It was emptied.
        """
        window = seen or Window(-1e9, 0)
        now = f"{self._windows_by():.6f}" if self._windows_by else ""
        args = [limit, WINDOW_S, MOST_SKEW_S, f"{window.start:.6f}", window.used, now]
        with self._told():
            allowed, start, used = self._take(keys=[_HERE, f"{_ROOT}window:{name}"], args=args)
        return Taken(bool(allowed), Window(float(start), int(used)))

    def read(self, kind: str, name: str) -> bytes | None:
        """Return a document; raises as :meth:`take`."""
        with self._told():
            packed: bytes | None = self._read(keys=[_HERE, _document(kind, name)])
        return self._unpacked(packed)

    def _unpacked(self, packed: bytes | None) -> bytes | None:
        if packed is None or _ENDS.unpack_from(packed)[0] <= self.clock():
            return None
        return packed[_ENDS.size :]

    def change(self, kind: str, name: str, change: Change, *, keep_s: float) -> bytes | None:
        """Change a document; raises as :meth:`take`."""
        key = _document(kind, name)
        for _ in range(_MOST_TRIES):
            with self._told():
                old: bytes | None = self._read(keys=[_HERE, key])
            body = change(self._unpacked(old))
            new = b"" if body is None else _ENDS.pack(self.clock() + keep_s) + body
            args = [int(old is not None), old or b"", int(body is not None), new, _ms(keep_s)]
            with self._told():
                if self._swap(keys=[_HERE, key], args=args):
                    return body
        raise StateLostError(f"{kind} was changed by others {_MOST_TRIES} times")

    def refill(self, documents: Iterable[Document], *, over: bool) -> None:
        """Give the server what another keeper has.

        Args:
            documents: What.
            over: Also where it has one already.
        """
        with self._told():
            for kind, name, body, ends in documents:
                left_ms = _ms(ends - self.clock())
                packed = _ENDS.pack(ends) + body
                self._client.set(_document(kind, name), packed, px=left_ms, nx=not over)

    def begin(self) -> None:
        """Say that what is here is all there is; raises :class:`StateLostError`."""
        with self._told():
            self._client.set(_HERE, b"1")

    def begun(self) -> bool:
        """Tell whether it was not emptied; raises :class:`StateLostError`."""
        with self._told():
            return bool(self._client.exists(_HERE))

    def close(self) -> None:
        """Close the connections. Idempotent."""
        self._client.close()


def _ms(seconds: float) -> int:
    return max(1, round(1000 * seconds))


def _document(kind: str, name: str) -> str:
    return f"{_ROOT}document:{kind}:{name}"

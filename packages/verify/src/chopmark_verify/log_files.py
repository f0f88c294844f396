"""Where a log's public files are read from: a folder, or an address."""

from __future__ import annotations

import urllib.error
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING, Final

from chopmark.errors import InvalidRequest, LogUnavailable

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["reader"]

_SECONDS: Final = 20.0
#: Of one file: a bundle of 256 entries of 64 KiB is the largest.
_MOST: Final = 256 * (2 + 65535)
_LOOPBACK: Final = ("http://127.0.0.1", "http://[::1]", "http://localhost")


def reader(where: str) -> Callable[[str], bytes | None]:
    """Return what gives the file at a path below ``where``, ``None`` where there is none.

    Raises:
        InvalidRequest: The address is neither https nor of this machine.
    """
    if not where.startswith(("https://", "http://")):
        folder = Path(where)
        return lambda path: _from_folder(folder / path)
    if where.startswith("http://") and not where.startswith(_LOOPBACK):
        raise InvalidRequest("the address is not https", hint="give https://..., or a folder")
    base = where.rstrip("/")
    return lambda path: _fetched(f"{base}/{path}")


def _from_folder(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise LogUnavailable(f"{path} cannot be read: {error.strerror}") from error


def _fetched(url: str) -> bytes | None:
    try:
        with urllib.request.urlopen(url, timeout=_SECONDS) as answer:  # noqa: S310  see `reader`
            data: bytes = answer.read(_MOST + 1)
    except urllib.error.HTTPError as error:
        # 401 and 403: the log keeps its entries to auditors.
        if error.code in {401, 403, 404, 410}:
            return None
        raise LogUnavailable(f"{url} answered {error.code}") from error
    except OSError as error:
        raise LogUnavailable(f"{url} cannot be fetched: {error}") from error
    if len(data) > _MOST:
        raise LogUnavailable(f"{url} is larger than any file of a log")
    return data

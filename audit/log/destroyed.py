"""Which data keys were destroyed, written down outside the log's folder.

A backup that is put back brings back keys, and with them the content of people who were erased
since. This list, of digests that tell nothing, is how that is noticed and undone.
"""

from __future__ import annotations

from hashlib import sha256
from typing import TYPE_CHECKING, Final

from chopmark.errors import LogUnavailable
from chopmark.kit.files import append_private

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["Destroyed"]

_HEX: Final = 64


class Destroyed:
    """The list of destroyed keys.

    Args:
        path: Its file; a line each.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def add(self, key_id: bytes) -> None:
        """Write down a key; on the disk when this returns.

        Raises:
            LogUnavailable: The file cannot be written.
        """
        line = sha256(key_id).hexdigest().encode() + b"\n"
        append_private(self._path, line, error=LogUnavailable)

    def read(self) -> frozenset[str]:
        """Return SHA-256 of the ids of destroyed keys, hex.

        Raises:
            LogUnavailable: The file cannot be read.
        """
        try:
            text = self._path.read_text("ascii", "replace")
        except FileNotFoundError:
            return frozenset()
        except OSError as error:
            raise LogUnavailable(f"cannot read {self._path}: {error.strerror}") from None
        return frozenset(line for line in text.splitlines() if len(line) == _HEX)

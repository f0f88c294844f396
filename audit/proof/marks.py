"""High-water marks: the newest checkpoint, kept in several places that do not go back together.

Whoever brings back an old folder, cuts the log, or forges it and removes what was signed, must find
and change all of them: one lies in the log's folder, one beside the signing key, one among the
other keys, one with the manifests, and one where the deployer says (``CHOPMARK_LOG_MARK``), best on
another machine. A mark never runs ahead of the log: it is written once the entries and the
checkpoint are durable.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from chopmark.errors import LogUnavailable
from chopmark.kit.files import exclusive, write_private, write_public

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from chopmark.audit.log.paths import Paths

__all__ = ["Mark", "Marks"]


@dataclass(frozen=True, kw_only=True)
class Mark:
    """One place's memory of the log.

    Attributes:
        where: The place, in a few words.
        note: The checkpoint that was kept there; None where there is none.
        unread: Why it could not be looked at; empty where it was.
    """

    where: str
    note: str | None
    unread: str = ""


class Marks:
    """The places in which the newest checkpoint of a log is kept.

    Args:
        paths: Where the log lives.
        elsewhere: A file that the deployer names; None where there is none.
    """

    def __init__(self, paths: Paths, elsewhere: Path | None = None) -> None:
        self._paths, self._elsewhere = paths, elsewhere
        self._written = ""

    def _places(self) -> list[tuple[str, Path, bool]]:
        """Return name, file, and whether everybody may read it."""
        paths = self._paths
        places = [
            ("checkpoint file", paths.checkpoint, True),
            ("signer's memory", paths.signed, False),
            ("mark among the keys", paths.marks / "signed", False),
        ]
        # A home need not have manifests, and only their store makes that folder.
        if paths.manifests.is_dir():
            places.append(("mark with the manifests", paths.manifests / "log-checkpoint", False))
        if self._elsewhere is not None:
            places.append(("mark elsewhere", self._elsewhere, True))
        return places

    def read(self) -> list[Mark]:
        """Return what each place remembers.

        Raises:
            LogUnavailable: A place cannot be looked at, which is another thing than remembering
                nothing.
        """
        found = self.look()
        for mark in found:
            if mark.unread:
                raise LogUnavailable(
                    f"{mark.where}: {mark.unread}",
                    hint="it keeps the log's newest checkpoint; make it readable",
                )
        return found

    def look(self) -> list[Mark]:
        """Return what each place remembers, and which could not be looked at."""
        found = []
        for where, path, _ in self._places():
            note, unread = None, ""
            try:
                note = path.read_text("utf-8")
            except FileNotFoundError:
                pass
            except (OSError, UnicodeDecodeError) as error:
                unread = f"cannot read {path}: {error}"
            found.append(Mark(where=where, note=note, unread=unread))
        return found

    def write(self, note: str) -> None:
        """Keep a checkpoint in every place, where it is another than was kept last.

        Raises:
            LogUnavailable: A place does not take it.
        """
        places = self._places()
        # The folder of manifests may have come since.
        if note == self._written and all(path.exists() for _, path, _ in places):
            return
        for _, path, public in places:
            put = write_public if public else write_private
            put(path, note.encode(), error=LogUnavailable)
        self._written = note

    def forget(self) -> None:
        """Remove what every place remembers, before another history is signed by another key.

        Raises:
            LogUnavailable: A place cannot be written to.
        """
        for where, path, _ in self._places():
            try:
                path.unlink(missing_ok=True)
            except OSError as error:
                raise LogUnavailable(f"{where}: cannot remove {path}: {error.strerror}") from None
        self._written = ""

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Keep other processes from signing meanwhile, so that no mark goes back in size.

        Raises:
            LogUnavailable: The signer's folder cannot be written to.
        """
        with exclusive(self._paths.signing_key.parent, error=LogUnavailable):
            yield

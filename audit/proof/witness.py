"""Witnesses: others who sign that the log only ever grew.

https://c2sp.org/tlog-cosignature and https://c2sp.org/tlog-witness, as they stood in November 2026.
Only the Ed25519 form is spoken; lines of other algorithms are left alone, as the texts ask.
"""

from __future__ import annotations

import base64
import http.client
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from chopmark.audit.proof.note import NoteKey, note_parts, open_checkpoint
from chopmark.errors import ConfigurationError, InvalidRequest, LogUnavailable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from chopmark.audit.proof.note import Checkpoint

__all__ = [
    "Cosignature",
    "Witness",
    "WitnessKey",
    "cosignatures",
    "load_witnesses",
    "with_lines",
    "witnessed_by",
]

_COSIGNATURE: Final = b"\x04"
_STAMPED: Final = 4 + 8 + 64
_MAX_ANSWER: Final = 64 * 1024
_SIZE: Final = re.compile(rb"(0|[1-9][0-9]{0,18})\n?")
_LOOPBACK: Final = frozenset({"localhost", "127.0.0.1", "::1"})


class WitnessKey(NoteKey):
    """The Ed25519 key of a witness: a verifier key of signature type 0x04."""

    algorithm = _COSIGNATURE


@dataclass(frozen=True, kw_only=True)
class Cosignature:
    """A witness's statement: this was the largest tree of the log that I had seen.

    Attributes:
        witness: The witness's name.
        time: When it was made, seconds since 1970.
        line: The signature line, as it stands in the note, without the line feed.
    """

    witness: str
    time: int
    line: str


def cosignatures(note: str, keys: Iterable[WitnessKey]) -> list[Cosignature]:
    """Return the good cosignatures of these witnesses on a checkpoint, in the note's order.

    Raises:
        InvalidRequest: Not a signed note, or a line claims one of the keys and does not verify.
    """
    body, lines = note_parts(note)
    known = {(key.name, key.key_hash): key for key in keys}
    found = []
    for line in lines:
        mark, _, rest = line.partition(" ")
        name, _, encoded = rest.partition(" ")
        try:
            raw = base64.b64decode(encoded, validate=True)
        except ValueError:
            continue
        key = known.get((name, raw[:4]))
        if mark != "\u2014" or key is None:
            continue  # another's signature, or of an algorithm that is not spoken here
        # tlog-cosignature, "Format": key hash (4), POSIX time (8, big-endian), Ed25519 (64); what
        # is signed is not the note alone but the note under the line that names that time.
        stamp = int.from_bytes(raw[4:12], "big")
        message = f"cosignature/v1\ntime {stamp}\n".encode() + body
        if len(raw) != _STAMPED or stamp >= 1 << 63 or not key.verify(message, raw[12:]):
            raise InvalidRequest(f"the cosignature of {name!r} does not verify")
        found.append(Cosignature(witness=name, time=stamp, line=line))
    return found


def with_lines(note: str, lines: Iterable[str]) -> str:
    """Return the note with more signature lines; one that stands there already is not doubled."""
    _, standing = note_parts(note)
    return note + "".join(f"{line}\n" for line in lines if line not in standing)


@dataclass(frozen=True, kw_only=True)
class Witness:
    """A witness that can be asked.

    Attributes:
        url: Its submission prefix: https, or http on the loopback interface.
        key: What its cosignatures are checked with.
        timeout_s: Longest wait for one answer.

    Raises:
        ConfigurationError: The address cannot be used.
    """

    url: str
    key: WitnessKey
    timeout_s: float = 10.0

    def __post_init__(self) -> None:
        """Check the address."""
        parts = urlsplit(self.url)
        secure = parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in _LOOPBACK)
        if not secure or not parts.hostname or parts.query or parts.fragment:
            raise ConfigurationError(
                f"{self.url!r} is no address of a witness", hint="https://host/prefix"
            )

    def cosign(
        self, checkpoint: Checkpoint, prove: Callable[[int, int], tuple[bytes, ...]]
    ) -> Cosignature:
        """Have a checkpoint cosigned.

        Args:
            checkpoint: Signed by the log.
            prove: Gives the consistency proof between two sizes.

        Raises:
            LogUnavailable: It cannot be reached, or does not answer as a witness does.
            InvalidRequest: It refuses: it has seen another history of this log, does not know the
                log, or signs something that does not verify.
        """
        old = 0
        for _ in range(2):
            proof = prove(old, checkpoint.size) if old else ()
            status, answer = self._post(_request(old, proof, checkpoint.note))
            size = _SIZE.fullmatch(answer)
            if status == http.client.CONFLICT and size is not None and int(size[1]) != old:
                old = int(size[1])  # what the witness saw last; it is asked again from there
                if old > checkpoint.size:
                    raise InvalidRequest(
                        f"witness {self.key.name} has seen {old} entries, the log has"
                        f" {checkpoint.size}: it was cut, or shows itself differently to others"
                    )
                continue
            return self._answered(status, answer, checkpoint)
        raise InvalidRequest(f"witness {self.key.name} changes its mind about what it saw last")

    def _answered(self, status: int, answer: bytes, checkpoint: Checkpoint) -> Cosignature:
        name = self.key.name
        if status in {http.client.CONFLICT, http.client.UNPROCESSABLE_ENTITY}:
            raise InvalidRequest(
                f"witness {name} has seen another history of this log",
                hint="run chopmark audit verify; somebody may have rewritten the log",
            )
        if status in {http.client.FORBIDDEN, http.client.NOT_FOUND}:
            raise InvalidRequest(f"witness {name} does not know this log or its key")
        if status != http.client.OK:
            raise LogUnavailable(f"witness {name} answered with status {status}")
        lines = answer.decode("utf-8", "replace").split("\n")
        note = with_lines(checkpoint.note, [line for line in lines if line])
        found = cosignatures(note, [self.key])
        if not found:
            raise InvalidRequest(f"witness {name} answered without a cosignature of its key")
        return found[-1]

    def _post(self, body: bytes) -> tuple[int, bytes]:
        parts = urlsplit(self.url)
        secure = parts.scheme == "https"
        make = http.client.HTTPSConnection if secure else http.client.HTTPConnection
        connection = make(str(parts.hostname), parts.port, timeout=self.timeout_s)
        try:
            connection.request("POST", f"{parts.path.rstrip('/')}/add-checkpoint", body)
            response = connection.getresponse()
            return response.status, response.read(_MAX_ANSWER)
        except (OSError, http.client.HTTPException) as error:
            raise LogUnavailable(
                f"witness {self.key.name} cannot be reached ({type(error).__name__})"
            ) from None
        finally:
            connection.close()


def _request(old: int, proof: Iterable[bytes], note: str) -> bytes:
    # tlog-witness, "add-checkpoint": the size it saw last, the proof from there, the note.
    lines = [f"old {old}", *(base64.b64encode(item).decode() for item in proof)]
    return ("\n".join(lines) + "\n\n" + note).encode()


def load_witnesses(path: Path) -> list[Witness]:
    """Read witnesses from a file: an address and a verifier key a line; ``#`` begins a comment.

    Raises:
        ConfigurationError: The file cannot be read, or a line is something else.
    """
    try:
        text = path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"cannot read {path}: {error}") from None
    found = []
    for number, line in enumerate(text.splitlines(), 1):
        words = line.partition("#")[0].split()
        if not words:
            continue
        try:
            url, key = words
            found.append(Witness(url=url, key=WitnessKey.parse(key)))
        except (ValueError, InvalidRequest, ConfigurationError) as error:
            wrong = getattr(error, "message", "an address and a verifier key, with a space between")
            raise ConfigurationError(f"{path}, line {number}: {wrong}") from None
    return found


def witnessed_by(note: str, key: WitnessKey) -> bool:
    """Tell whether a checkpoint carries a good cosignature of this witness."""
    open_checkpoint(note, None)
    try:
        return bool(cosignatures(note, [key]))
    except InvalidRequest:
        return False

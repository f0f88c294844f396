"""Witnesses and time stamps: what whoever holds the log's own key cannot make."""

from __future__ import annotations

import base64
import shutil
import subprocess
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from chopmark.audit import (
    AuditLog,
    Event,
    Witness,
    WitnessKey,
    cosignatures,
    load_witnesses,
    verify_log,
)
from chopmark.audit.log.merkle import verify_consistency
from chopmark.audit.proof.note import NoteKey, note_parts, open_checkpoint
from chopmark.audit.proof.witness import with_lines
from chopmark.errors import ConfigurationError, InvalidRequest, LogUnavailable
from tests.support.http import Asked, Loopback, Reply
from tests.support.logs import forget_marks, paths_of
from tests.support.wait import HANG_S

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    MakeEvent = Callable[..., Event]
    OpenLog = Callable[..., AuditLog]


class SmallWitness:
    """A witness (C2SP tlog-witness) on the loopback interface; remembers the largest tree.

    Attributes:
        lie: Answers with this instead, when it is set: status and body.
    """

    def __init__(self, name: str, log_key: str) -> None:
        self._private = Ed25519PrivateKey.generate()
        self.key = WitnessKey(name=name, public=self._private.public_key().public_bytes_raw())
        self._log = NoteKey.parse(log_key)
        self.size, self._root = 0, b""
        self.lie: tuple[int, bytes] | None = None

    def answer(self, body: bytes) -> tuple[int, bytes]:
        """Answer one add-checkpoint request."""
        if self.lie is not None:
            return self.lie
        head, _, note = body.decode().partition("\n\n")
        first, *proof = head.split("\n")
        old = int(first.removeprefix("old "))
        try:
            checkpoint = open_checkpoint(note, self._log)
        except InvalidRequest:
            return 403, b""
        if old > checkpoint.size:
            return 400, b""
        if old != self.size:
            return 409, f"{self.size}\n".encode()
        path = [base64.b64decode(line) for line in proof]
        if old == checkpoint.size and self._root != checkpoint.root:
            return 409, f"{self.size}\n".encode()
        if old and not verify_consistency(old, checkpoint.size, self._root, checkpoint.root, path):
            return 422, b""
        self.size, self._root = checkpoint.size, checkpoint.root
        return 200, self.line(note).encode()

    def line(self, note: str, *, at: int | None = None) -> str:
        """Sign a note's text."""
        stamp = int(time.time()) if at is None else at
        text, _ = note_parts(note)
        signature = self._private.sign(f"cosignature/v1\ntime {stamp}\n".encode() + text)
        raw = self.key.key_hash + stamp.to_bytes(8, "big") + signature
        return f"\u2014 {self.key.name} {base64.b64encode(raw).decode()}\n"


@contextmanager
def serving(witness: SmallWitness) -> Iterator[Witness]:
    """Let a witness listen; give what a log asks it by."""

    def reply(asked: Asked) -> Reply:
        known = asked.path == "/w/add-checkpoint"
        return Reply(*witness.answer(asked.body)) if known else Reply(404)

    with Loopback(reply) as server:
        yield Witness(url=f"{server.url}/w/", key=witness.key, timeout_s=HANG_S)


def fill(log: AuditLog, make_event: MakeEvent, count: int) -> None:
    for future in [log.submit(make_event()) for _ in range(count)]:
        future.result(30)


def test_cosignatures_are_collected_as_the_log_grows(
    open_log: OpenLog, make_event: MakeEvent
) -> None:
    log = open_log()
    one, two = (SmallWitness(f"example.org/w{n}", log.public_key) for n in (1, 2))
    with serving(one) as ask_one, serving(two) as ask_two:
        for count in (3, 0, 300, 1):
            fill(log, make_event, count)
            signed, problems = log.proof.cosign([ask_one, ask_two])
            assert problems == ()
            found = cosignatures(signed.note, [one.key, two.key])
            assert {item.witness for item in found} == {"example.org/w1", "example.org/w2"}
            assert one.size == two.size == signed.size == log.size
        again, _ = log.proof.cosign(
            [ask_one]
        )  # the same size: its newer line stands beside the older
        assert len(cosignatures(again.note, [one.key])) <= 2
    receipt = log.proof.receipt(5)
    keys = [str(one.key), str(two.key)]
    assert receipt.verify(log.public_key, witnesses=keys) == ()
    home = paths_of(log).home
    log.close()
    assert verify_log(home, witnesses=keys).problems == ()
    stranger = SmallWitness("example.org/w3", log.public_key)
    problems = receipt.verify(log.public_key, witnesses=[str(stranger.key)])
    assert [item.what for item in problems] == ["not_witnessed"]
    assert [item.what for item in verify_log(home, witnesses=[str(stranger.key)]).problems] == [
        "not_witnessed"
    ]


@pytest.mark.usefixtures("sqlite_only")
def test_a_log_rewritten_with_its_own_key_is_refused(
    open_log: OpenLog, make_event: MakeEvent, tmp_path: Path
) -> None:
    log = open_log()
    witness = SmallWitness("example.org/w", log.public_key)
    with serving(witness) as ask:
        fill(log, make_event, 40)
        assert log.proof.cosign([ask])[1] == ()
        log.close()
        forged = tmp_path / "forged"
        (forged / "audit").mkdir(parents=True)
        shutil.copytree(tmp_path / "audit" / "signer", forged / "audit" / "signer")
        forget_marks(forged)  # the thief of a key takes its signer's memory along, or not
        other = open_log(forged)
        assert other.public_key == log.public_key
        for count in (20, 20, 20):  # shorter, as long, longer than what the witness saw
            fill(other, make_event, count)
            _, problems = other.proof.cosign([ask])
            assert [item.what for item in problems] == ["witness_refused"], count
        other.close()
    assert verify_log(forged).problems == ()  # the key alone cannot tell
    found = verify_log(forged, witnesses=[str(witness.key)]).problems
    assert [item.what for item in found] == ["not_witnessed"]


LIES: dict[str, tuple[int, bytes, str]] = {
    "down": (500, b"", "witness_down"),
    "unknown log": (404, b"", "witness_refused"),
    "wrong key": (403, b"", "witness_refused"),
    "fork": (422, b"", "witness_refused"),
    "ahead": (409, b"999999\n", "witness_refused"),
    "never ending": (409, b"0\n", "witness_refused"),
    "silence": (200, b"", "witness_refused"),
    "noise": (200, b"\xff\x00\n" * 99, "witness_refused"),
    "another's line": (200, "\u2014 example.org/x AAAA\n".encode(), "witness_refused"),
}


@pytest.mark.usefixtures("sqlite_only")
@pytest.mark.parametrize("lie", LIES)
def test_odd_answers(open_log: OpenLog, make_event: MakeEvent, lie: str) -> None:
    log = open_log()
    fill(log, make_event, 2)
    witness = SmallWitness("example.org/w", log.public_key)
    status, body, what = LIES[lie]
    witness.lie = (status, body)
    before = log.proof.checkpoint()
    with serving(witness) as ask:
        signed, problems = log.proof.cosign([ask])
    assert [item.what for item in problems] == [what]
    assert signed.note == before.note
    assert log.append(make_event()).index == 2  # and the log goes on


@pytest.mark.usefixtures("sqlite_only")
def test_a_witness_that_is_gone(open_log: OpenLog, make_event: MakeEvent) -> None:
    log = open_log()
    fill(log, make_event, 2)
    witness = SmallWitness("example.org/w", log.public_key)
    with serving(witness) as ask:
        pass
    assert [item.what for item in log.proof.cosign([ask])[1]] == ["witness_down"]
    with pytest.raises(LogUnavailable):
        ask.cosign(log.proof.checkpoint(), log.proof.consistency_proof)


@pytest.mark.usefixtures("sqlite_only")
def test_a_forged_or_changed_cosignature_does_not_count(
    open_log: OpenLog, make_event: MakeEvent
) -> None:
    log = open_log()
    fill(log, make_event, 3)
    note = log.proof.checkpoint().note
    witness = SmallWitness("example.org/w", log.public_key)
    line = witness.line(note, at=1_700_000_000).rstrip("\n")
    assert cosignatures(with_lines(note, [line]), [witness.key])[0].time == 1_700_000_000
    assert with_lines(with_lines(note, [line]), [line]) == with_lines(note, [line])
    fill(log, make_event, 1)
    for forged, text in (
        (line, log.proof.checkpoint().note),  # of another checkpoint
        (line[:-8] + "AAAAAAA=", note),
        (line[:-4], note),
        (witness.line(note, at=1 << 63).rstrip("\n"), note),
    ):
        with pytest.raises(InvalidRequest):
            cosignatures(with_lines(text, [forged]), [witness.key])
    assert cosignatures(with_lines(note, ["\u2014 example.org/w @@@"]), [witness.key]) == []
    for text in ("", "no note", note[:-1]):
        with pytest.raises(InvalidRequest):
            cosignatures(text, [witness.key])


def test_keys_and_addresses(tmp_path: Path) -> None:
    log_key = NoteKey(name="example.org/log", public=bytes(32))
    witness = SmallWitness("example.org/w", str(log_key))
    assert WitnessKey.parse(str(witness.key)) == witness.key
    file = tmp_path / "witnesses"
    file.write_text(f"# ours\nhttps://example.org/w {witness.key}  # the first\n\n")
    assert load_witnesses(file) == [Witness(url="https://example.org/w", key=witness.key)]
    for text in ("https://example.org", f"http://example.org {witness.key}", "https://x y+z+w"):
        file.write_text(text)
        with pytest.raises(ConfigurationError, match="line 1"):
            load_witnesses(file)
    with pytest.raises(ConfigurationError):
        load_witnesses(tmp_path / "none")


def openssl(*arguments: str, cwd: Path) -> bytes:
    return subprocess.run(
        ["openssl", *arguments], cwd=cwd, check=True, capture_output=True, timeout=60
    ).stdout


def test_a_checkpoint_is_time_stamped(
    open_log: OpenLog, make_event: MakeEvent, tmp_path: Path
) -> None:
    """By OpenSSL's own authority, and checked by OpenSSL."""
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed")
    folder = tmp_path / "tsa"
    folder.mkdir()
    (folder / "tsa.cnf").write_text(
        "[req]\ndistinguished_name=dn\nprompt=no\n[dn]\nCN=stamp\n"
        "[ext]\nextendedKeyUsage=critical,timeStamping\n[tsa]\ndefault_tsa=t\n"
        "[t]\nserial=serial\ncrypto_device=builtin\nsigner_digest=sha256\ndigests=sha256\n"
        "default_policy=1.2.3.4\naccuracy=secs:1\n"
    )
    (folder / "serial").write_text("01\n")
    certify = "req -x509 -newkey rsa:2048 -nodes -keyout key.pem -out cert.pem -days 30"
    openssl(*certify.split(), *"-config tsa.cnf -extensions ext".split(), cwd=folder)

    def stamper(data: bytes) -> bytes:
        (folder / "data").write_bytes(data)
        openssl(*"ts -query -data data -sha256 -cert -out q".split(), cwd=folder)
        reply = "ts -reply -config tsa.cnf -queryfile q -signer cert.pem -inkey key.pem -out reply"
        openssl(*reply.split(), cwd=folder)
        return (folder / "reply").read_bytes()

    log = open_log()
    fill(log, make_event, 3)
    log.proof.stamp(stamper)
    fill(log, make_event, 3)
    stamp = log.proof.stamp(stamper)
    assert [item.size for item in log.proof.stamps()] == [3, 6]
    assert log.proof.stamps()[1] == stamp
    for item in log.proof.stamps():
        (folder / "data").write_bytes(item.data)
        (folder / "token").write_bytes(item.token)
        check = ("ts", "-verify", "-data", "data", "-in", "token", "-CAfile", "cert.pem")
        openssl(*check, cwd=folder)
        (folder / "data").write_bytes(item.data + b"x")
        with pytest.raises(subprocess.CalledProcessError):
            openssl(*check, cwd=folder)
    log.close()
    assert verify_log(paths_of(log).home).problems == ()

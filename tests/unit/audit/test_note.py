"""Signed notes against the specification's own example and against damage."""

from __future__ import annotations

import base64

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from chopmark.audit.proof.note import NoteKey, NoteSigner, open_checkpoint
from chopmark.errors import ChopmarkError, InvalidRequest

SIGNER = NoteSigner("example.org/log", Ed25519PrivateKey.from_private_bytes(bytes(range(32))))
CHECKPOINT = SIGNER.sign(1234, bytes(range(32)))


def test_reads_the_example_of_the_go_documentation() -> None:
    # golang.org/x/mod/sumdb/note, package documentation: the key of PeterNeumann.
    key = NoteKey.parse("PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW")
    assert key.key_hash.hex() == "c74f20a3"
    assert str(key) == "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
    text = (
        "If you think cryptography is the answer to your problem,\n"
        "then you don't know what your problem is.\n"
    )
    line = (
        "x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6Ry"
        "yBwJnAM="
    )
    assert key.verify(text.encode(), base64.b64decode(line)[4:])


def test_round_trip() -> None:
    assert open_checkpoint(CHECKPOINT.note, SIGNER.key) == CHECKPOINT
    assert NoteKey.parse(str(SIGNER.key)) == SIGNER.key


def test_other_signatures_may_stand_beside_ours() -> None:
    witness = NoteSigner("witness.example", Ed25519PrivateKey.generate())
    body = CHECKPOINT.note.rpartition("\n\n")[0] + "\n"
    other = witness.sign(1, bytes(32)).note.rpartition("\n\n")[2]
    note = CHECKPOINT.note + other
    assert open_checkpoint(note, SIGNER.key).size == 1234
    assert open_checkpoint(f"{body}\n{other}", None).size == 1234
    with pytest.raises(InvalidRequest, match="not signed"):
        open_checkpoint(f"{body}\n{other}", SIGNER.key)


@given(st.integers(0, len(CHECKPOINT.note) - 1), st.characters(codec="utf-8"))
def test_any_changed_character_is_refused(place: int, character: str) -> None:
    if CHECKPOINT.note[place] == character:
        return
    note = CHECKPOINT.note[:place] + character + CHECKPOINT.note[place + 1 :]
    with pytest.raises(ChopmarkError):
        open_checkpoint(note, SIGNER.key)


@given(st.text())
def test_any_text_is_refused_cleanly(text: str) -> None:
    for read in (NoteKey.parse, lambda note: open_checkpoint(note, None)):
        with pytest.raises(ChopmarkError):
            read(text)

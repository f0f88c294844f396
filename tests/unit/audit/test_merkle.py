"""The tree against the recursive definition of RFC 6962, written a second time here."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chopmark.audit.log.merkle import (
    EMPTY_ROOT,
    Frontier,
    consistency_proof,
    inclusion_proof,
    leaf_hash,
    root_at,
    verify_consistency,
    verify_inclusion,
)

LEAVES = [leaf_hash(str(number).encode()) for number in range(300)]


def mth(hashes: list[bytes]) -> bytes:
    if not hashes:
        return hashlib.sha256().digest()
    if len(hashes) == 1:
        return hashes[0]
    k = 1
    while k * 2 < len(hashes):
        k *= 2
    return hashlib.sha256(b"\x01" + mth(hashes[:k]) + mth(hashes[k:])).digest()


def node(level: int, i: int) -> bytes:
    return mth(LEAVES[i << level : (i + 1) << level])


def test_known_answers() -> None:
    # RFC 6962 test vectors, as in the certificate-transparency reference code.
    assert EMPTY_ROOT.hex() == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    tree = Frontier()
    tree.append(leaf_hash(b""))
    assert tree.root().hex() == "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d"
    tree.append(leaf_hash(b"\x00"))
    assert tree.root().hex() == "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125"


def test_frontier_agrees_with_the_definition() -> None:
    tree = Frontier()
    for size in range(len(LEAVES)):
        assert tree.root() == mth(LEAVES[:size]) == root_at(size, node)
        assert Frontier.unpack(size, tree.pack()).root() == tree.root()
        tree.append(LEAVES[size])


@settings(max_examples=150, deadline=None)
@given(st.integers(1, 300), st.data())
def test_inclusion_of_the_right_leaf_only(size: int, data: st.DataObject) -> None:
    index = data.draw(st.integers(0, size - 1))
    root = mth(LEAVES[:size])
    proof = inclusion_proof(index, size, node)
    assert verify_inclusion(index, size, LEAVES[index], proof, root)
    other = data.draw(st.integers(0, 299))
    if other != index:
        assert not verify_inclusion(index, size, LEAVES[other], proof, root)
        assert not verify_inclusion(other, size, LEAVES[index], proof, root)
    assert not verify_inclusion(index, size, LEAVES[index], [*proof, root], root)
    if proof:
        assert not verify_inclusion(index, size, LEAVES[index], proof[:-1], root)


@settings(max_examples=150, deadline=None)
@given(st.integers(0, 300), st.data())
def test_consistency_of_prefixes_only(second: int, data: st.DataObject) -> None:
    first = data.draw(st.integers(0, second))
    one, two = mth(LEAVES[:first]), mth(LEAVES[:second])
    proof = consistency_proof(first, second, node)
    assert verify_consistency(first, second, one, two, proof)
    assert not verify_consistency(first, second, leaf_hash(b"forged"), two, proof)
    if first:
        assert not verify_consistency(first, second, one, leaf_hash(b"forged"), proof)
    assert not verify_consistency(first, second, one, two, [*proof, one])


@pytest.mark.parametrize("arguments", [(-1, 5), (5, 5), (0, 0)])
def test_no_proof_of_what_is_not_there(arguments: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match="not in the tree"):
        inclusion_proof(*arguments, node)
    assert not verify_inclusion(*arguments, LEAVES[0], [], LEAVES[0])


def test_malformed_proofs_are_refused() -> None:
    assert not verify_inclusion(0, 2, LEAVES[0], [b"short"], mth(LEAVES[:2]))
    assert not verify_consistency(1, 2, LEAVES[0], mth(LEAVES[:2]), [b"short"])
    with pytest.raises(ValueError, match="first tree"):
        consistency_proof(3, 2, node)

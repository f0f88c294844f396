"""The Merkle tree of RFC 6962 section 2.1 (the same as RFC 9162 section 2.1), without any storage.

A tree over ``n`` leaves is cut at the largest power of two below ``n``. The node ``(level, i)``
is the root of the perfect subtree over the leaves ``[i << level, (i + 1) << level)``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from hashlib import sha256
from typing import TypeAlias

__all__ = [
    "EMPTY_ROOT",
    "HASH_SIZE",
    "Frontier",
    "NodeReader",
    "consistency_proof",
    "inclusion_proof",
    "leaf_hash",
    "node_hash",
    "root_at",
    "verify_consistency",
    "verify_inclusion",
]

HASH_SIZE = 32
EMPTY_ROOT = sha256(b"").digest()  # MTH({}) of RFC 6962, section 2.1

NodeReader: TypeAlias = Callable[[int, int], bytes]
"""Gives the 32-byte hash of the node ``(level, i)`` of a perfect subtree."""


def leaf_hash(data: bytes) -> bytes:
    """Return the hash of a leaf: SHA-256 over a zero byte and the data."""
    # The prefixes 0 and 1 (RFC 6962, section 2.1) keep a leaf from passing for an inner node.
    return sha256(b"\x00" + data).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """Return the hash of an inner node: SHA-256 over a one byte and both children."""
    return sha256(b"\x01" + left + right).digest()


class Frontier:
    """The right edge of a growing tree: one hash per set bit of its size, largest first.

    It is all that is needed to append, and to compute the root.
    """

    __slots__ = ("hashes", "size")

    def __init__(self, size: int = 0, hashes: Iterable[bytes] = ()) -> None:
        self.size = size
        self.hashes = list(hashes)
        if size < 0 or len(self.hashes) != size.bit_count():
            raise ValueError("a frontier has one hash per set bit of its size")

    @classmethod
    def unpack(cls, size: int, blob: bytes) -> Frontier:
        """Read what :meth:`pack` wrote.

        Raises:
            ValueError: The length does not fit the size.
        """
        if len(blob) % HASH_SIZE:
            raise ValueError("a frontier is a whole number of hashes")
        return cls(size, (blob[i : i + HASH_SIZE] for i in range(0, len(blob), HASH_SIZE)))

    def pack(self) -> bytes:
        """Return the hashes, largest subtree first, without the size."""
        return b"".join(self.hashes)

    def copy(self) -> Frontier:
        """Return an independent frontier of the same tree."""
        return Frontier(self.size, self.hashes)

    def append(self, leaf: bytes) -> None:
        """Add one leaf hash at the right."""
        # As a binary counter carries: each set bit from the lowest on is a finished subtree that
        # the new leaf completes to the next larger one.
        merged, carry = leaf, self.size
        while carry & 1:
            merged = sha256(b"\x01" + self.hashes.pop() + merged).digest()
            carry >>= 1
        self.hashes.append(merged)
        self.size += 1

    def append_subtree(self, level: int, root: bytes) -> None:
        """Add ``2 ** level`` leaves at once by the root over them; the size is a multiple of that.

        Raises:
            ValueError: It is not.
        """
        if self.size & ((1 << level) - 1):
            raise ValueError("a subtree does not begin here")
        merged, carry = root, self.size >> level
        while carry & 1:
            merged = sha256(b"\x01" + self.hashes.pop() + merged).digest()
            carry >>= 1
        self.hashes.append(merged)
        self.size += 1 << level

    def root(self) -> bytes:
        """Return the root of the tree."""
        if not self.hashes:
            return EMPTY_ROOT
        root = self.hashes[-1]
        for left in reversed(self.hashes[:-1]):
            root = node_hash(left, root)
        return root


def _split(count: int) -> int:
    """Return the largest power of two that is smaller than ``count`` (> 1)."""
    return 1 << (count - 1).bit_length() - 1


def _range_root(low: int, high: int, node: NodeReader) -> bytes:
    """Return the root over the leaves ``[low, high)``, where ``low`` is where a subtree begins."""
    count = high - low
    if count & (count - 1) == 0:
        level = count.bit_length() - 1
        return node(level, low >> level)
    middle = low + _split(count)
    return node_hash(_range_root(low, middle, node), _range_root(middle, high, node))


def root_at(size: int, node: NodeReader) -> bytes:
    """Return the root that the tree had when it held ``size`` leaves."""
    return _range_root(0, size, node) if size else EMPTY_ROOT


def inclusion_proof(index: int, size: int, node: NodeReader) -> list[bytes]:
    """Return the audit path of leaf ``index`` in the tree of ``size`` leaves (RFC 9162, 2.1.3.1).

    Raises:
        ValueError: ``index`` is not in ``0..size-1``.
    """
    if not 0 <= index < size:
        raise ValueError("the leaf is not in the tree")
    path: list[bytes] = []
    low, high = 0, size
    while high - low > 1:
        middle = low + _split(high - low)  # k of RFC 9162, section 2.1.1
        if index < middle:
            path.append(_range_root(middle, high, node))
            high = middle
        else:
            path.append(_range_root(low, middle, node))
            low = middle
    path.reverse()
    return path


def consistency_proof(first: int, second: int, node: NodeReader) -> list[bytes]:
    """Return the proof that the tree of ``first`` leaves is a prefix of that of ``second``.

    RFC 9162, section 2.1.4.1. Empty when ``first`` is 0 or equal to ``second``.

    Raises:
        ValueError: ``first`` is not in ``0..second``.
    """
    if not 0 <= first <= second:
        raise ValueError("the first tree is not smaller than the second")
    if first in (0, second):
        return []
    path: list[bytes] = []
    low, high, whole = 0, second, True
    while first != high:
        middle = low + _split(high - low)
        if first <= middle:
            path.append(_range_root(middle, high, node))
            high = middle
        else:
            path.append(_range_root(low, middle, node))
            low, whole = middle, False
    # The old tree's own root is known to whoever asks, so it is left out (SUBPROOF with b = true).
    if not whole:
        path.append(_range_root(low, high, node))
    path.reverse()
    return path


def verify_inclusion(
    index: int, size: int, leaf: bytes, proof: Sequence[bytes], root: bytes
) -> bool:
    """Tell whether ``proof`` leads from ``leaf`` to ``root`` (RFC 9162, section 2.1.3.2)."""
    if not 0 <= index < size or any(len(item) != HASH_SIZE for item in proof):
        return False
    # `fn` and `sn` are the places of the node and of the last node on its level, as in the RFC.
    fn, sn, current = index, size - 1, leaf
    for item in proof:
        if sn == 0:
            return False
        if fn & 1 or fn == sn:
            current = node_hash(item, current)
            # At the right edge a node without a sibling stands on several levels at once.
            while not fn & 1 and fn:
                fn >>= 1
                sn >>= 1
        else:
            current = node_hash(current, item)
        fn >>= 1
        sn >>= 1
    return sn == 0 and current == root


def verify_consistency(
    first: int, second: int, first_root: bytes, second_root: bytes, proof: Sequence[bytes]
) -> bool:
    """Tell whether ``proof`` shows the first tree to be a prefix (RFC 9162, section 2.1.4.2)."""
    if not 0 <= first <= second or any(len(item) != HASH_SIZE for item in proof):
        return False
    if first == second:
        return not proof and first_root == second_root
    if first == 0:
        return not proof and first_root == EMPTY_ROOT
    path = list(proof)
    # Over a power of two the old root is itself a node of the new tree, so no proof repeats it.
    if first & (first - 1) == 0:
        path.insert(0, first_root)
    if not path:
        return False
    fn, sn = first - 1, second - 1
    while fn & 1:
        fn >>= 1
        sn >>= 1
    old = new = path[0]
    for item in path[1:]:
        if sn == 0:
            return False
        if fn & 1 or fn == sn:
            old, new = node_hash(item, old), node_hash(item, new)
            while not fn & 1 and fn:
                fn >>= 1
                sn >>= 1
        else:
            new = node_hash(new, item)
        fn >>= 1
        sn >>= 1
    return sn == 0 and old == first_root and new == second_root

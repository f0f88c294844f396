"""The test of the payload, and the bound on its p-value.

**Claim.** Let a picture be made without the key (it may be anything; no distribution is assumed).
Let the detector make at most ``TESTS`` payload tests, of n-bit payloads. Then for every t the
probability, over the key, that the largest test statistic reaches t is at most

    p(t) = TESTS * 2^n * exp(-t^2 / 2).

**Proof.** One test has a geometry, a codebook entry c, and from the picture a real vector r of
m dimensions: the payload coefficients, weighted. It asks for the code word w that makes
z = sum_i r_i w_i s_i / |r| largest, where s = s(c) are the secret signs and w_i = +-1.

1. Which tests *can* be made, and every r, depend on the picture and the *synchronisation* part of
   the key only; no geometry is ever chosen by looking at the payload signs. Entries are, once: for
   the geometry that needs no search, :func:`likely_entries` picks some by their payload, and so all
   256 count as tested there, each twice, since the better of picture and negative is taken.
   (Ending the search early, which looks too, only removes tests.) So fix the picture and the
   synchronisation part: there is now a fixed list of at most ``TESTS`` pairs (c, r).
2. The payload signs are independent of those, uniform on {-1, +1} (here: output of SHAKE-256 under
   another label; telling it from uniform would break SHAKE-256). For one pair and one word w, the
   products w_i s_i are again independent and uniform, so z is a Rademacher sum with sum of squares
   1, and Hoeffding's inequality (Hoeffding 1963, theorem 2) gives P(z >= t) <= exp(-t^2 / 2).
3. The union over at most ``TESTS`` pairs and 2^n words gives the claim; averaging over what was
   fixed keeps it.

With N ``candidates`` only their words are tested, and N replaces 2^n. Nothing is estimated and
nothing is approximated: the bound holds for flat, adversarial or synthetic pictures too. It is a
statement about the key, so it needs a key that is random and unknown to the picture's maker.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from chopmark.provenance.watermark.lattice._layout import CODEBOOK

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from chopmark.provenance.watermark.lattice._layout import Complex, Layout

__all__ = [
    "ALIGNED_TESTS",
    "ENTRY_TESTS",
    "HEARD_TESTS",
    "INFORMED_TESTS",
    "PART_TESTS",
    "SEARCH_TESTS",
    "TESTS",
    "likely_entries",
    "limited",
    "log_p_value",
    "payload_vector",
    "score",
]

INFORMED_TESTS = 1
ALIGNED_TESTS = 2
ENTRY_TESTS = 2 * CODEBOOK  # each as it is and as a negative
HEARD_TESTS = 2
SEARCH_TESTS = 4
PART_TESTS = 4
TESTS = INFORMED_TESTS + ALIGNED_TESTS + ENTRY_TESTS + HEARD_TESTS + SEARCH_TESTS + PART_TESTS
"""The most payload tests that the detector makes for one picture and one key, informed or not."""

# Standard deviations; of 256 entries the best reaches 2.8 by chance, a mark that can be read 4.5.
_AGREEING = 3.0


def log_p_value(z: float, *, words: float) -> float:
    """Return the natural logarithm of the p-value, at most 0.

    Args:
        z: The largest statistic found.
        words: How many payloads were possible: 2^64, or the number of candidates.
    """
    if z <= 0:
        return 0.0
    return min(0.0, math.log(TESTS) + math.log(words) - z * z / 2)


def limited(coefficients: Complex) -> Complex:
    """Return whitened coefficients (K,), none above twice the usual size: no chance one decides."""
    size = np.abs(coefficients)
    usual = np.sqrt(np.mean(size**2)) + 1e-9
    return np.asarray(coefficients / np.maximum(1, size / (2 * usual)), np.complex64)


def payload_vector(coefficients: Complex) -> NDArray[np.float32]:
    """Return the real vector r of a test, shape (2 P,). Signs play no part in it.

    Args:
        coefficients: Payload coefficients, summed over whitened tiles, shape (P,).
    """
    values = limited(coefficients)
    return np.stack([values.real, values.imag], axis=1).ravel()


def likely_entries(vector: NDArray[np.float32], layout: Layout, *, most: int) -> list[int]:
    """Return the codebook entries under which the repetitions of the code bits agree.

    Looks at the payload signs: whoever tests one of these has tested all 256. Those that agree no
    better than chance are left out, because decoding them takes most of the time.

    Args:
        vector: From :func:`payload_vector`.
        layout: The key's layout.
        most: How many, at most.
    """
    signs, slots = layout.by_code_bit
    values = np.append(vector, np.float32(0))[slots]
    soft = np.einsum("ebk,bk->eb", signs, values)
    energy = np.einsum("eb,eb->e", soft, soft)
    squares = values.astype(np.float64) ** 2
    chance = squares.sum()
    spread = np.sqrt(2 * (squares.sum(axis=1) ** 2 - (squares**2).sum(axis=1)).sum()) + 1e-9
    agreeing = (energy - chance) / spread
    best = np.argsort(-agreeing)[:most]
    return [int(entry) for entry in best if agreeing[entry] > _AGREEING]


def score(vector: NDArray[np.float32], values: NDArray[np.int8]) -> float:
    """Return z = sum r_i v_i / |r| for the values v = +-1 that the dimensions should carry."""
    size = float(np.linalg.norm(vector))
    return float(vector @ values) / size if size > 0 else 0.0

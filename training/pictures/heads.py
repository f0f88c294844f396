"""Fits the linear heads on the encoder's vectors, and sets where their 0.5 lies."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

__all__ = ["Fitted", "area", "fit"]

_STRENGTHS: Final = (0.3, 1.0, 3.0, 10.0, 30.0)


@dataclass(frozen=True, kw_only=True)
class Fitted:
    """A head: ``sigmoid(weight @ vector + bias)``.

    Attributes:
        weight: (512,).
        bias: A number.
        strength: scikit-learn's ``C``, chosen by the areas below.
        areas: Area under the ROC curve of each package, by a head that saw none of it; against the
            others of that package, or of all packages where it has none.
    """

    weight: NDArray[np.float32]
    bias: float
    strength: float
    areas: dict[str, float]


def area(positive: NDArray[np.float32], negative: NDArray[np.float32]) -> float:
    """Return the area under the ROC curve: how often a positive scores above a negative."""
    ranks = np.searchsorted(np.sort(negative), positive, "left")
    ties = np.searchsorted(np.sort(negative), positive, "right") - ranks
    return float(np.mean((ranks + ties / 2) / len(negative)))


def fit(
    vectors: NDArray[np.float32],
    labels: NDArray[np.bool_],
    sources: Sequence[str],
    *,
    false: float,
) -> Fitted:
    """Fit one head.

    Args:
        vectors: (n, 512), of length 1.
        labels: Whether each shows what the head looks for.
        sources: The package of each; each is left out once, to choose the strength and to set 0.5.
        false: The share of the others, of packages that were left out, that may reach 0.5.
    """
    from sklearn.linear_model import LogisticRegression

    places = np.array(sources)
    best: tuple[float, float, dict[str, float], NDArray[np.float32]] | None = None
    for strength in _STRENGTHS:
        held = np.zeros(len(labels), np.float32)
        for source in set(sources):
            out = places == source
            model = LogisticRegression(C=strength, class_weight="balanced", max_iter=2000)
            model.fit(vectors[~out], labels[~out])
            held[out] = model.decision_function(vectors[out])
        areas = {}
        for source in sorted(set(sources)):
            positive, negative = labels & (places == source), ~labels & (places == source)
            if positive.sum() >= 5:
                # A package of photographs alone is compared with the drawings of all others.
                areas[source] = area(held[positive], held[negative if negative.any() else ~labels])
        mean = float(np.mean(list(areas.values())))
        if best is None or mean > best[0]:
            best = (mean, strength, areas, held)
    if best is None:  # there is always a strength to try
        raise ValueError("no strength was tried")
    _, strength, areas, held = best
    model = LogisticRegression(C=strength, class_weight="balanced", max_iter=2000)
    model.fit(vectors, labels)
    bar = float(np.quantile(held[~labels], 1 - false))
    return Fitted(
        weight=model.coef_[0].astype(np.float32),
        bias=float(model.intercept_[0]) - bar,
        strength=strength,
        areas=areas,
    )

"""Fit the head with masked losses, and fix its operating point on the development set."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from chopmark.safety.categories import MODEL_CATEGORIES
from chopmark.safety.text.features import BUCKETS, hashed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from training.safety.data import Example

__all__ = ["Fitted", "calibrate", "fit"]

Fitted = dict[str, "NDArray[np.float32]"]
_OUT = len(MODEL_CATEGORIES)


def fit(
    made: Sequence[Example],
    vectors: NDArray[np.float32],
    *,
    seed: int,
    epochs: int = 12,
    width: int = 256,
) -> Fitted:
    """Train the network and the linear part together.

    The loss is binary cross-entropy per category, weighted by the mask, with rare categories'
    positives counted more (square root of the imbalance).

    Returns:
        ``hidden``, ``hidden_bias``, ``out``, ``out_bias``, ``pieces`` in float32.
    """
    import torch

    torch.manual_seed(seed)
    torch.set_num_threads(1)
    target = torch.from_numpy(np.stack([one.target for one in made]))
    mask = torch.from_numpy(np.stack([one.mask for one in made]))
    dense = torch.from_numpy(vectors)
    sparse = [hashed(one.text) for one in made]
    positive = (target * mask).sum(0)
    negative = ((1 - target) * mask).sum(0)
    boost = torch.sqrt(negative / positive.clamp(min=1.0)).clamp(1.0, 8.0)

    hidden = torch.nn.Linear(vectors.shape[1], width)
    out = torch.nn.Linear(width, _OUT)
    pieces = torch.nn.EmbeddingBag(BUCKETS, _OUT, mode="sum", sparse=True)
    torch.nn.init.zeros_(pieces.weight)
    torch.nn.init.constant_(out.bias, -3.0)
    quick = torch.optim.AdamW(
        [*hidden.parameters(), *out.parameters()], lr=1.5e-3, weight_decay=0.02
    )
    slow = torch.optim.SparseAdam(list(pieces.parameters()), lr=4e-2)
    order = np.random.default_rng(seed)
    size = 128
    for epoch in range(epochs):
        rate = 0.5 * (1 + np.cos(np.pi * epoch / epochs))
        for group in quick.param_groups:
            group["lr"] = 1.5e-3 * rate + 1e-5
        for group in slow.param_groups:
            group["lr"] = 4e-2 * rate + 1e-4
        lost = 0.0
        shuffled = order.permutation(len(made))
        for first in range(0, len(made), size):
            batch = shuffled[first : first + size]
            pick = torch.from_numpy(batch)
            parts = [sparse[int(at)] for at in batch]
            lengths = [len(buckets) for buckets, _ in parts]
            offsets = torch.tensor(np.concatenate([[0], np.cumsum(lengths)[:-1]]))
            buckets = torch.from_numpy(np.concatenate([b for b, _ in parts]))
            weights = torch.from_numpy(np.concatenate([w for _, w in parts]))
            linear = pieces(buckets, offsets, per_sample_weights=weights)
            inner = torch.nn.functional.dropout(torch.relu(hidden(dense[pick])), 0.3)
            # Each half is left out now and then, so that neither leans on the other.
            keep = (torch.rand(len(batch), 2) > 0.15).float()
            keep[keep.sum(1) == 0] = 1.0
            deep = inner @ out.weight.T
            logits = out.bias + keep[:, :1] * deep + keep[:, 1:] * linear
            loss = torch.nn.functional.binary_cross_entropy_with_logits(
                logits, target[pick], weight=mask[pick], pos_weight=boost, reduction="sum"
            ) / len(batch)
            # Looked up sparsely: indexing would give the table a dense gradient.
            used = torch.nn.functional.embedding(buckets, pieces.weight, sparse=True)
            loss = loss + 2e-4 * (used**2).sum() / len(batch)
            quick.zero_grad()
            slow.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            quick.step()
            slow.step()  # type: ignore[no-untyped-call]
            lost += float(loss.detach()) * len(batch)
        print(f"  epoch {epoch + 1}: loss {lost / len(made):.4f}", flush=True)
    return {
        "hidden": hidden.weight.detach().numpy().T.copy(),
        "hidden_bias": hidden.bias.detach().numpy().copy(),
        "out": out.weight.detach().numpy().T.copy(),
        "out_bias": out.bias.detach().numpy().copy(),
        "pieces": pieces.weight.detach().numpy().copy(),
    }


def calibrate(
    logits: NDArray[np.float32],
    target: NDArray[np.float32],
    mask: NDArray[np.float32],
    benign_pictures: NDArray[np.bool_],
    *,
    rate: float = 0.01,
    also: Sequence[tuple[NDArray[np.bool_], float]] = (),
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]:
    """Return scale, shift and the operating logits, so that a score of 0.5 is the operating point.

    The slope of each category is that of a logistic fit on the development set. The points are set
    together: one number t, the same tail for all categories, such that a share ``rate`` of the
    benign picture prompts is above the point of at least one category.

    Args:
        logits: (n, 10), each text's largest over its windows.
        target: (n, 10) labels.
        mask: (n, 10), 0 where a label is unknown.
        benign_pictures: (n,) which rows are benign picture prompts.
        rate: The false-positive rate of all categories together.
        also: Other kinds of benign rows, each with its rate. Where the common bar stops more of
            them, the bars of the categories that stop them are raised, the one that stops most
            first, until the rate is kept: texts of another register need other points.
    """
    slopes = np.ones(_OUT, np.float32)
    starts = np.zeros(_OUT, np.float32)
    for at in range(_OUT):
        seen = mask[:, at] > 0
        slopes[at], starts[at] = _logistic(logits[seen, at], target[seen, at])
    probabilities = logits * slopes + starts
    benign = probabilities[benign_pictures]
    worst = np.sort(benign.max(axis=1))[::-1]
    allowed = int(rate * len(worst))
    bars = np.full(_OUT, float(worst[allowed]) + 1e-6)
    for rows, most in also:
        bars = _raised(bars, probabilities[rows], most)
    points = (bars - starts) / slopes
    return slopes, (-slopes * points).astype(np.float32), points.astype(np.float32)


def _raised(
    bars: NDArray[np.float64], benign: NDArray[np.float32], rate: float
) -> NDArray[np.float64]:
    """Raise single bars in small steps until at most a share ``rate`` of the rows is above any."""
    bars = bars.copy()
    for _ in range(2000):
        above = benign >= bars
        stopped = above.any(axis=1)
        if stopped.mean() <= rate:
            break
        # Only what one category alone stops is freed by raising it; the rest waits its turn.
        alone = above[above.sum(axis=1) == 1].sum(axis=0)
        worst = int(alone.argmax()) if alone.any() else int(above.sum(axis=0).argmax())
        bars[worst] += 0.02
    return bars


def _logistic(x: NDArray[np.float32], y: NDArray[np.float32]) -> tuple[float, float]:
    """Fit P(y) = sigmoid(a x + b) by Newton's method, a little regularised (Platt, 1999)."""
    a, b = 1.0, 0.0
    hit = float(y.sum())
    soft = np.where(y > 0, (hit + 1) / (hit + 2), 1 / (len(y) - hit + 2))

    def loss(a: float, b: float) -> float:
        z = a * x + b
        return float((np.logaddexp(0, z) - soft * z).sum()) + 5e-3 * (a - 1) ** 2

    for _ in range(100):
        p = 1 / (1 + np.exp(-np.clip(a * x + b, -50, 50)))
        w = p * (1 - p) + 1e-9
        ga, gb = float(((p - soft) * x).sum()) + 1e-2 * (a - 1), float((p - soft).sum())
        haa, hab, hbb = float((w * x * x).sum()) + 1e-2, float((w * x).sum()), float(w.sum())
        det = haa * hbb - hab * hab
        da, db = (hbb * ga - hab * gb) / det, (haa * gb - hab * ga) / det
        # Where the classes hardly overlap a whole step leaps over the minimum: halve it.
        step, here = 1.0, loss(a, b)
        while step > 1e-6 and loss(a - step * da, b - step * db) > here:
            step /= 2
        a, b = a - step * da, b - step * db
        if step * (abs(da) + abs(db)) < 1e-6:
            break
    return max(a, 0.2), b

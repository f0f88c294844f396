"""Make logits into odds: for each kind of text, how likely one of such a logit is harmful in use.

In use, nine texts in ten are harmless. The rows that are used here were not trained on; harmful and
harmless ones are weighted so that they stand one to nine, and each source counts alike, so that
no source decides because it is large.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from chopmark.safety.categories import MODEL_CATEGORIES
from chopmark.safety.text.head import GROUPS, group_of
from training.safety.mixture import form_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from chopmark.safety.text.encoder import SentenceEncoder
    from training.safety.data import Row

__all__ = ["Calibrated", "calibrate", "groups_of"]

_HARMFUL: Final[float] = 0.1
#: The share of harmless texts that may reach a category's own tail; tails are laid on one another.
_TAIL: Final[float] = 0.004
#: Most weight of a row against the mean: a source of few rows would else decide by one of them.
_MOST: Final[float] = 8.0
#: What people say to one another is seldom what they ask of a picture, and the tests of such
#: comments are made to be hard: they count this much.
_COMMENTS: Final = frozenset({"comment", "hate_functional", "emoji"})
_TALK: Final[float] = 0.1
#: Added to the odds of a kind of text after the fit, of one category or of all. Edits that undress
#: are what the law asks safeguards against, and their rows are few: the doubt goes against them, as
#: far as 2 % of held-out ordinary edits allow (90 % of 243 caught, 1.9 % of 361 flagged). In other
#: languages fewer of the harmless captions that calibrate were flagged than the aim of 2 % allows;
#: with these it is 1.5 % of names and 2.4 % of what is longer. English names that look grave and
#: are harmless have fewer rows than use has. Edits say "them" and "remove the car" more often than
#: any row of hate or crime does; few such edits are among the rows.
_LEAN: Final[tuple[tuple[str, str | None, float], ...]] = (
    ("other-edit", "sexual/nonconsensual", 1.6),
    ("other", None, 0.8),
    ("other-short", None, 1.5),
    ("en", None, -0.3),
    *(
        (group, category, lean)
        for group in ("en-edit", "other-edit")
        for category, lean in (("hate", -3.0), ("illicit", -2.0))
    ),
)


@dataclass(frozen=True, kw_only=True)
class Calibrated:
    """Scale and shift, shape (6, 11) each, for :class:`chopmark.safety.text.head.PromptHead`."""

    scale: NDArray[np.float32]
    shift: NDArray[np.float32]


def groups_of(rows: Sequence[Row], encoder: SentenceEncoder) -> NDArray[np.int64]:
    """Return the number of each row's kind of text in ``GROUPS``."""
    return np.array(
        [
            GROUPS.index(
                group_of(
                    english=row.lang == "en",
                    tokens=len(encoder.read(form_of(row.text, row.lang)).ids),
                    edit=row.kind == "edit",
                )
            )
            for row in rows
        ],
        np.int64,
    )


def calibrate(
    logits: NDArray[np.float32], rows: Sequence[Row], groups: NDArray[np.int64]
) -> Calibrated:
    """Fit both for every kind of text.

    Args:
        logits: (n, 11).
        rows: Whose logits they are.
        groups: Of each row its kind of text.
    """
    benign = np.array([row.benign for row in rows])
    scale = np.ones((len(GROUPS), len(MODEL_CATEGORIES)), np.float32)
    shift = np.zeros_like(scale)
    for number in range(len(GROUPS)):
        here = groups == number
        if not here.any():
            continue  # nobody knows such a text: its logits stay as they are
        tails = _tails(logits, benign, groups, number)
        worst = (logits[here] - tails).max(axis=1)
        a, b = _fit(
            worst, ~benign[here], _weights([r for r, h in zip(rows, here, strict=True) if h])
        )
        scale[number] = a
        shift[number] = b - a * tails
        for group, category, lean in _LEAN:
            if group == GROUPS[number]:
                leans = [category in {None, name} for name in MODEL_CATEGORIES]
                shift[number, leans] += lean
    return Calibrated(scale=scale, shift=shift)


def _tails(
    logits: NDArray[np.float32],
    benign: NDArray[np.bool_],
    groups: NDArray[np.int64],
    number: int,
) -> NDArray[np.float32]:
    """Return of each category the logit that few harmless texts reach, in kinds alike."""
    name = GROUPS[number]
    like = [n for n, other in enumerate(GROUPS) if ("edit" in other) == ("edit" in name)]
    held = logits[benign & np.isin(groups, like)]
    tails: NDArray[np.float32] = np.quantile(held, 1 - _TAIL, axis=0).astype(np.float32)
    # Half of the way to their mean: the tails of rare categories are known badly.
    between: NDArray[np.float32] = (tails + tails.mean()) / 2
    return between


def _weights(rows: Sequence[Row]) -> NDArray[np.float64]:
    weights = np.zeros(len(rows))
    for harmful, share in ((True, _HARMFUL), (False, 1 - _HARMFUL)):
        side = [at for at, row in enumerate(rows) if row.benign != harmful]
        if not side:
            continue
        names = [rows[at].source + rows[at].kind for at in side]
        each = np.array([1.0 / names.count(name) for name in names])
        each = np.minimum(each, _MOST * each.mean())
        each *= [_TALK if rows[at].kind in _COMMENTS else 1.0 for at in side]
        weights[side] = share * each / each.sum()
    return weights * len(rows)


def _fit(
    x: NDArray[np.float32], y: NDArray[np.bool_], weights: NDArray[np.float64]
) -> tuple[float, float]:
    """Fit P(y) = sigmoid(a x + b) with weights, a little regularised (Platt, 1999)."""
    a, b = 1.0, -1.0
    hit = y.astype(np.float64)
    for _ in range(100):
        p = 1 / (1 + np.exp(-np.clip(a * x + b, -50, 50)))
        w, r = weights * p * (1 - p) + 1e-9, weights * (p - hit)
        ga, gb = float((r * x).sum()) + 1e-1 * (a - 1), float(r.sum())
        haa, hab, hbb = float((w * x * x).sum()) + 1e-1, float((w * x).sum()), float(w.sum())
        det = haa * hbb - hab * hab
        da, db = (hbb * ga - hab * gb) / det, (haa * gb - hab * ga) / det
        step = min(1.0, 2.0 / (abs(da) + abs(db) + 1e-9))
        a, b = a - step * da, b - step * db
        if abs(da) + abs(db) < 1e-7:
            break
    return float(np.clip(a, 0.3, 3.0)), b

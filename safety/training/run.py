"""One training, from rows to a calibrated head; the program and the benchmark call it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from chopmark.safety.categories import MODEL_CATEGORIES
from chopmark.safety.text.features import windows
from chopmark.safety.text.head import PromptHead
from chopmark.safety.text.normalize import normalize
from chopmark.safety.training.data import PICTURE_KINDS, PICTURES_ONLY, Row, examples
from chopmark.safety.training.fit import Fitted, calibrate, fit
from chopmark.safety.training.templates import authored_rows

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from chopmark.safety.training.embed import VectorStore

__all__ = ["PICTURE_KINDS", "head_of", "largest", "train"]

#: Share of benign picture prompts that may stand at an operating point; the word rules and the
#: review band have the rest of one in a hundred.
RATE = 0.009


def head_of(
    fitted: Fitted,
    *,
    scale: NDArray[np.float32] | None = None,
    shift: NDArray[np.float32] | None = None,
) -> PromptHead:
    """Return a head of fitted weights, rounded as its file rounds them."""
    blank = np.zeros(len(MODEL_CATEGORIES), np.float32)
    rounded = {name: value.astype(np.float16).astype(np.float32) for name, value in fitted.items()}
    return PromptHead(
        hidden=rounded["hidden"],
        hidden_bias=rounded["hidden_bias"],
        out=rounded["out"],
        out_bias=rounded["out_bias"],
        pieces=fitted["pieces"].astype(np.float16),
        scale=blank + 1 if scale is None else scale.astype(np.float32),
        shift=blank if shift is None else shift.astype(np.float32),
        digest="",
    )


def largest(head: PromptHead, texts: Sequence[str], store: VectorStore) -> NDArray[np.float32]:
    """Return each text's logits, normalised first, the largest over its windows, shape (n, 10)."""
    plain = [normalize(text).text for text in texts]
    parts = [[text[a:b] for a, b in windows(text)] for text in plain]
    vectors = store.vectors([part for group in parts for part in group])
    logits = np.empty((len(plain), len(MODEL_CATEGORIES)), np.float32)
    at = 0
    for row, group in enumerate(parts):
        found = [head.logits(vectors[at + n], part) for n, part in enumerate(group)]
        logits[row] = np.max(found, axis=0)
        at += len(group)
    return logits


def train(
    rows: Sequence[Row],
    dev: Sequence[Row],
    *,
    store: VectorStore,
    seed: int,
    epochs: int,
) -> tuple[Fitted, PromptHead, dict[str, object]]:
    """Fit on ``rows``, fix the operating points on ``dev``; rows with a variant are left out.

    Returns:
        The weights, the calibrated head, and what it reaches on ``dev``.
    """
    ours = authored_rows(seed)
    made = examples([*rows, *ours], rng=np.random.default_rng(seed))
    print(f"{len(made)} examples of {len(rows)} rows and {len(ours)} of ours", flush=True)
    fitted = fit(made, store.vectors([one.text for one in made]), seed=seed, epochs=epochs)
    fixing = [row for row in dev if row.variant is None]
    logits = largest(head_of(fitted), [row.text for row in fixing], store)
    target = np.array(
        [[name in row.categories for name in MODEL_CATEGORIES] for row in fixing], np.float32
    )
    mask = np.array(
        [
            [name in row.categories or name not in row.unknown for name in MODEL_CATEGORIES]
            for row in fixing
        ],
        np.float32,
    )
    # Labels from keywords, and labels that describe pictures and not texts, fix no slope.
    sure = np.array([not row.weak and row.source not in PICTURES_ONLY for row in fixing])
    pictures = np.array([row.benign and row.kind in PICTURE_KINDS for row in fixing])
    scale, shift, _ = calibrate(logits, target, mask * sure[:, None], pictures, rate=RATE)
    above = (logits * scale + shift) >= 0
    said: dict[str, object] = {
        "examples": len(made),
        "ours": len(ours),
        "benign_pictures_above": float(above[pictures].any(axis=1).mean()),
        "recall": {
            name: float(above[target[:, at] > 0, at].mean()) if target[:, at].any() else None
            for at, name in enumerate(MODEL_CATEGORIES)
        },
    }
    return fitted, head_of(fitted, scale=scale, shift=shift), said

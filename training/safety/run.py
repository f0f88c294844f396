"""One training, from rows to a calibrated head; the program and the benchmark call it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from chopmark.safety.categories import MODEL_CATEGORIES
from chopmark.safety.text.features import windows
from chopmark.safety.text.head import PromptHead
from chopmark.safety.text.normalize import normalize
from training.safety.data import PICTURE_KINDS, PICTURES_ONLY, Row, examples, held_out
from training.safety.fit import Fitted, calibrate, fit
from training.safety.scary import CHECK, TRAIN, scary_rows
from training.safety.short import short_rows
from training.safety.templates import authored_rows

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from training.safety.embed import VectorStore

__all__ = ["PICTURE_KINDS", "head_of", "largest", "train"]

_ENGLISH_SHARE = 0.2
MULTILINGUAL_RATE = 0.02
#: Comments, and the tests of comments that are made to be hard: half of them were above the points
#: of picture prompts. The rate was chosen on the development set: below it harmful comments go too.
TALK_KINDS = frozenset({"comment", "emoji", "hate_functional", "template"})
TALK_RATE = 0.25
#: Harmless prompts that look grave, written for this: :data:`training.safety.scary.CHECK`.
GRAVE_RATE = 0.07
#: Prompts of a word or three (:mod:`training.safety.short`).
SHORT_RATE = 0.01
#: Share of benign picture prompts that may stand at an operating point before points are raised for
#: other kinds of text, which leaves about .005.
RATE = 0.013


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
    multilingual: bool = False,
    kept: PromptHead | None = None,
) -> tuple[Fitted, PromptHead, dict[str, object]]:
    """Fit on ``rows``, fix the operating points on ``dev``; rows with a variant are left out.

    Args:
        rows: The training file; the tenth that is held out is left out here.
        dev: The development file.
        store: Vectors of the encoder that the head will stand on.
        seed: Same seed, same head.
        epochs: Passes over the examples.
        multilingual: Fit the head for texts that are not English: all other languages, a part of
            the English ones, and operating points from benign texts in other languages.
        kept: A head whose weights stay, so that only the operating points are fixed again.

    Returns:
        The weights, the calibrated head, and what it reaches on ``dev``.
    """
    rows = [row for row in rows if not held_out(row)]
    ours = [
        *authored_rows(seed),
        *(row for row in scary_rows(TRAIN) for _ in range(3)),
        *short_rows(check=False),
    ]
    if multilingual:
        pick = np.random.default_rng(seed)
        rows = [row for row in rows if row.lang != "en" or pick.random() < _ENGLISH_SHARE]
        ours = [row for row in ours if pick.random() < _ENGLISH_SHARE]
        dev = [row for row in dev if row.lang != "en"]
    made = examples([*rows, *ours], rng=np.random.default_rng(seed))
    print(f"{len(made)} examples of {len(rows)} rows and {len(ours)} of ours", flush=True)
    fitted = (
        fit(made, store.vectors([one.text for one in made]), seed=seed, epochs=epochs)
        if kept is None
        else {
            "hidden": kept.hidden,
            "hidden_bias": kept.hidden_bias,
            "out": kept.out,
            "out_bias": kept.out_bias,
            "pieces": kept.pieces.astype(np.float32),
        }
    )
    fixing = [row for row in dev if row.variant is None]
    if not multilingual:
        fixing += [*scary_rows(CHECK), *short_rows(check=True)]
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
    kinds = PICTURE_KINDS | {"template"} if multilingual else PICTURE_KINDS
    pictures = np.array([row.benign and row.kind in kinds for row in fixing])
    rate = MULTILINGUAL_RATE if multilingual else RATE
    own = {row.text for row in scary_rows(CHECK)}
    grave = np.array([row.text in own for row in fixing])
    short = np.array([row.kind == "short_safe" for row in fixing])
    talk = np.array([row.benign and row.kind in TALK_KINDS and row.lang == "en" for row in fixing])
    scale, shift, _ = calibrate(
        logits,
        target,
        mask * sure[:, None],
        pictures,
        rate=rate,
        also=(
            () if multilingual else ((short, SHORT_RATE), (grave, GRAVE_RATE), (talk, TALK_RATE))
        ),
    )
    above = (logits * scale + shift) >= 0
    said: dict[str, object] = {
        "examples": len(made),
        "ours": len(ours),
        "benign_pictures_above": float(above[pictures].any(axis=1).mean()),
        "benign_short_above": float(above[short].any(axis=1).mean()) if short.any() else None,
        "benign_grave_above": float(above[grave].any(axis=1).mean()) if grave.any() else None,
        "benign_comments_above": float(above[talk].any(axis=1).mean()) if talk.any() else None,
        "recall": {
            name: float(above[target[:, at] > 0, at].mean()) if target[:, at].any() else None
            for at, name in enumerate(MODEL_CATEGORIES)
        },
    }
    return fitted, head_of(fitted, scale=scale, shift=shift), said

"""Train the screen: a small network on the word vectors of every part of a long text."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from chopmark.safety.text.encoder import MAX_TOKENS
from chopmark.safety.text.head import looks
from chopmark.safety.text.windows import without_stop
from training.safety.data import held_out
from training.safety.mixture import fillers_of, form_of, window
from training.safety.own_languages import own_rows

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.random import Generator
    from numpy.typing import NDArray

    from chopmark.safety.text.encoder import SentenceEncoder
    from training.safety.data import Row

__all__ = ["screen_rows", "screened_looks", "train_screen"]

_WIDTH: Final[int] = 64
_EPOCHS: Final[int] = 15
_BATCH: Final[int] = 128
#: How many rows of others, and captions, are read beside ours.
_OTHERS: Final[int] = 4000
_CAPTIONS: Final[int] = 6000
#: Windows of harmless text that begin and end anywhere, of each language.
_WINDOWS: Final[int] = 60
#: Comments are no parts of requests.
_KINDS: Final = frozenset(
    {"t2i_auth", "t2i_auth_safe", "instruction", "instruction_safe", "template", "caption"}
)


def screen_rows(rows: Sequence[Row], captions: Sequence[Row], rng: Generator) -> list[Row]:
    """Return what the screen is trained on: ours, and some of what others labelled and captions.

    Args:
        rows: Labelled rows.
        captions: Harmless ones.
        rng: Same state, same rows.
    """
    ours = [row for row in own_rows() if row.kind != "edit"]
    others = [row for row in rows if row.variant is None and not row.weak and row.kind in _KINDS]
    made = [row for row in ours if not held_out(row)]
    for every, count in ((others, _OTHERS), (captions, _CAPTIONS)):
        some = [row for row in every if not held_out(row)]
        chosen = rng.choice(len(some), min(count, len(some)), replace=False)
        made += [some[at] for at in chosen.tolist()]
    # What has no end of a sentence is cut anywhere.
    fillers = fillers_of(captions)
    for row in ours:
        if not held_out(row) and row.lang in fillers and rng.random() < 0.5:
            made.append(replace(row, text=window(row.text, row.lang, fillers, rng)))
    blank = next(row for row in captions if row.benign)
    for lang in fillers:
        made += [
            replace(blank, text=window("", lang, fillers, rng), lang=lang) for _ in range(_WINDOWS)
        ]
    return made


def screened_looks(
    rows: Sequence[Row], encoder: SentenceEncoder
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Return how rows look to the screen, shape (n, 768), and which of them are harmful."""
    made = []
    for row in rows:
        text = without_stop(form_of(row.text, row.lang))
        words = encoder.words(encoder.read(text).ids[:MAX_TOKENS])
        made.append(looks(words, [(0, len(words), False)])[0])
    return np.stack(made), np.array([not row.benign for row in rows])


def train_screen(
    seen: NDArray[np.float32], harmful: NDArray[np.bool_], *, seed: int
) -> dict[str, np.ndarray[Any, Any]]:
    """Return ``screen``, ``screen_bias``, ``screen_out`` and ``screen_shift``; 0 is even odds."""
    import torch

    torch.manual_seed(seed)
    torch.set_num_threads(1)
    # So that the first layer begins with numbers of about one; it takes both up afterwards.
    middle, size = seen.mean(axis=0), seen.std(axis=0) + 1e-3
    x = torch.from_numpy((seen - middle) / size)
    y = torch.from_numpy(harmful.astype(np.float32))
    inner, out = torch.nn.Linear(seen.shape[1], _WIDTH), torch.nn.Linear(_WIDTH, 1)
    drop = torch.nn.functional.dropout
    optimizer = torch.optim.AdamW(
        [*inner.parameters(), *out.parameters()], lr=1e-3, weight_decay=0.1
    )
    order = np.random.default_rng(seed)
    for _ in range(_EPOCHS):
        for at in np.array_split(order.permutation(len(x)), max(1, len(x) // _BATCH)):
            said = out(drop(torch.relu(inner(drop(x[at], 0.3))), 0.3))[:, 0]
            loss = torch.nn.functional.binary_cross_entropy_with_logits(said, y[at])
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
    weight = inner.weight.detach().numpy() / size
    return {
        "screen": weight.T.astype(np.float32).copy(),
        "screen_bias": (inner.bias.detach().numpy() - weight @ middle).astype(np.float32),
        "screen_out": out.weight[0].detach().numpy().copy(),
        "screen_shift": out.bias.detach().numpy().copy(),
    }

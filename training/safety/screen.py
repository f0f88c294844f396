"""Train the screen: a small network on the mean word vector of every window of a long text."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from chopmark.safety.text.windows import SIZE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.random import Generator
    from numpy.typing import NDArray

    from chopmark.safety.text.encoder import SentenceEncoder
    from training.safety.mixture import Reading

__all__ = ["train_screen", "windows_of"]

_WIDTH: Final[int] = 64
_EPOCHS: Final[int] = 12
_BATCH: Final[int] = 256


def windows_of(
    readings: Sequence[Reading], encoder: SentenceEncoder, rng: Generator
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return mean word vectors of windows, each a text amid harmless tokens, and which are harmful.

    Returns:
        Shape (n, 384) and (n,).
    """
    ids = [encoder.read(one.text).ids[:SIZE] for one in readings]
    harmless = [one for one, reading in zip(ids, readings, strict=True) if not reading.target.any()]
    made = []
    for one in ids:
        window = list(one)
        while len(window) < SIZE:
            other = harmless[int(rng.integers(len(harmless)))][: SIZE - len(window)]
            window = [*window, *other] if rng.random() < 0.5 else [*other, *window]
        made.append(encoder.words(tuple(window)).mean(axis=0))
    return np.stack(made), np.array([one.target.any() for one in readings], np.float32)


def train_screen(
    means: NDArray[np.float32], harmful: NDArray[np.float32], *, seed: int
) -> dict[str, np.ndarray[Any, Any]]:
    """Return ``screen``, ``screen_bias``, ``screen_out`` and ``screen_shift``; 0 is even odds."""
    import torch

    torch.manual_seed(seed)
    torch.set_num_threads(1)
    size = float(np.abs(means).mean())  # so that the first layer begins with numbers of about one
    x, y = torch.from_numpy(means / size), torch.from_numpy(harmful)
    inner, out = torch.nn.Linear(means.shape[1], _WIDTH), torch.nn.Linear(_WIDTH, 1)
    optimizer = torch.optim.AdamW(
        [*inner.parameters(), *out.parameters()], lr=2e-3, weight_decay=0.05
    )
    order = np.random.default_rng(seed)
    for _ in range(_EPOCHS):
        for at in np.array_split(order.permutation(len(x)), max(1, len(x) // _BATCH)):
            said = out(torch.nn.functional.dropout(torch.relu(inner(x[at])), 0.2))[:, 0]
            loss = torch.nn.functional.binary_cross_entropy_with_logits(said, y[at])
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
    with torch.no_grad():
        return {
            "screen": (inner.weight.T / size).numpy().astype(np.float32).copy(),
            "screen_bias": inner.bias.numpy().copy(),
            "screen_out": out.weight[0].numpy().copy(),
            "screen_shift": out.bias.numpy().copy(),
        }

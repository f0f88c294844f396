"""Trains the second look at a place that may show a hate symbol, and writes it as ONNX.

It shares the layers of the first network (:mod:`training.pictures.symbol_network`), reads twelve
views of a place at once (:func:`chopmark.safety.image.symbols.views`) and judges what they have in
common: mean and deviation of the last layer's 96 numbers, through one hidden layer. It is shown the
places that the first network names: in scenes with a symbol or a look-alike, drawn by our script
and by fonts, and in ordinary pictures, where each is a mistake.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional

from chopmark.safety.image.symbol_places import places
from chopmark.safety.image.symbols import views
from training.pictures.scenes import CLASSES, placed, shape
from training.pictures.symbols import FAMILIES, LOOKALIKES

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from training.pictures.scenes import Pixels
    from training.pictures.symbol_network import SymbolNetwork

__all__ = ["SymbolCheck", "bar", "export", "fit", "of_pictures", "of_scenes"]

_WIDTH: Final = 96
_HIDDEN: Final = 64
#: How far the middle of a place may be from the symbol's, over its size, to count as found; from
#: how far on it shows something else.
_NEAR: Final = 0.25
_FAR: Final = 0.8


class SymbolCheck(nn.Module):
    """Twelve views of one place, (12, 3, 63, 63) in 0..1, to five logits, (5,)."""

    def __init__(self, network: SymbolNetwork) -> None:
        super().__init__()
        self.body = network.body
        self.middle, self.spread = (
            nn.Buffer(torch.zeros(2 * _WIDTH)),
            nn.Buffer(torch.ones(2 * _WIDTH)),
        )
        self.judge = nn.Sequential(
            nn.Linear(2 * _WIDTH, _HIDDEN),
            nn.ReLU(),
            nn.Dropout(0.3),
            nn.Linear(_HIDDEN, len(CLASSES)),
        )
        self.eval()

    def common(self, pixels: Tensor) -> Tensor:
        """Return what the views have in common, (192,)."""
        seen = self.body(pixels - 0.5)[:, :, 0, 0]
        mean = seen.mean(dim=0)
        return torch.cat([mean, ((seen - mean) ** 2).mean(dim=0).sqrt()])

    def forward(self, pixels: Tensor) -> Tensor:
        """Return the logits."""
        logits: Tensor = self.judge((self.common(pixels) - self.middle) / self.spread)
        return logits


#: What the views of a place have in common, and its class.
Shown = tuple["NDArray[np.float32]", int]


def of_pictures(
    check: SymbolCheck, session: Any, pictures: Iterable[Image.Image]
) -> Iterator[Shown]:
    """Yield the places of ordinary pictures, all of them "nothing".

    Args:
        check: Its layers are used, not its judgement.
        session: The first network, as onnxruntime opened it.
        pictures: In RGB, without a symbol.
    """
    for picture in pictures:
        for place in places(session, picture):
            yield _common(check, views(picture, place)), 0


def of_scenes(
    check: SymbolCheck,
    session: Any,
    grounds: Sequence[Pixels],
    glyphs: Sequence[NDArray[np.float32]],
    count: int,
    dice: np.random.Generator,
) -> Iterator[Shown]:
    """Yield the places of ``count`` scenes: symbols, look-alikes, and the ground beside them."""
    for number in range(count):
        names = [*FAMILIES] if number % 2 else [*LOOKALIKES]
        name = names[int(dice.integers(0, len(names)))]
        ground = grounds[int(dice.integers(0, len(grounds)))]
        if min(ground.shape[:2]) < _WIDTH:
            continue
        share = float(dice.uniform(0.18, 0.97))
        pixels, middle = placed(name, ground, share, dice, shape(name, glyphs, dice))
        size, picture = share * len(pixels), Image.fromarray(pixels)
        for place in places(session, picture):
            away = max(abs(a - b) for a, b in zip(place.middle, middle, strict=True)) / size
            label = 0
            if name in FAMILIES and away < _FAR:
                if away > _NEAR or not 0.9 < place.side / size < 2.2:
                    continue  # a part of it: neither
                label = CLASSES.index(name)
            elif name in {"manji", "svastika"} and away < _NEAR:
                label = CLASSES.index("svastika")
            yield _common(check, views(picture, place)), label


def _common(check: SymbolCheck, pixels: NDArray[np.float32]) -> NDArray[np.float32]:
    with torch.inference_mode():
        return check.common(torch.from_numpy(pixels)).numpy()


def fit(check: SymbolCheck, shown: Sequence[Shown], *, epochs: int = 40, seed: int = 1) -> None:
    """Fit the judgement on what the layers gave; the layers stay as they are."""
    torch.manual_seed(seed)
    seen = torch.from_numpy(np.stack([one for one, _ in shown]))
    labels = torch.tensor([label for _, label in shown])
    check.middle.copy_(seen.mean(dim=0))
    check.spread.copy_(seen.std(dim=0) + 1e-3)
    scaled = (seen - check.middle) / check.spread
    optimizer = torch.optim.AdamW(check.judge.parameters(), lr=2e-3, weight_decay=0.02)
    rate = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, epochs)
    check.judge.train()
    for _ in range(epochs):
        for at in torch.split(torch.randperm(len(labels)), 64):
            noisy = scaled[at] + 0.1 * torch.randn_like(scaled[at])
            loss = functional.cross_entropy(check.judge(noisy), labels[at], label_smoothing=0.02)
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
        rate.step()
    check.judge.eval()


def bar(
    check: SymbolCheck, session: Any, pictures: Iterable[Image.Image], *, false: float
) -> float:
    """Lean towards "nothing" until a share ``false`` of ordinary pictures reaches 0.5.

    Args:
        check: Fitted; it is changed.
        session: The first network, as onnxruntime opened it.
        pictures: That nothing was fitted on.
        false: The share.

    Returns:
        By how many log odds.
    """
    odds = []
    for picture in pictures:
        most = -30.0
        for place in places(session, picture):
            with torch.inference_mode():
                logits = check(torch.from_numpy(views(picture, place)))
            rest = torch.logsumexp(logits[[0, 4]], dim=0)
            most = max(most, float(torch.logsumexp(logits[1:4], dim=0) - rest))
        odds.append(most)
    shift = float(np.quantile(odds, 1 - false))
    with torch.no_grad():
        check.judge[-1].get_parameter("bias").add_(torch.tensor([shift, 0, 0, 0, shift]))
    return shift


def export(check: SymbolCheck, file: Path) -> None:
    """Write it as ONNX."""
    torch.onnx.export(
        check,
        (torch.zeros(12, 3, 63, 63),),
        str(file),
        input_names=["pixels"],
        output_names=["logits"],
        opset_version=17,
        dynamo=False,
    )

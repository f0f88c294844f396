"""Trains the network that looks for hate symbols, and writes it as ONNX.

It reads squares of 63 pixels and gives five logits (:data:`training.pictures.scenes.CLASSES`). No
layer pads, so that on a larger picture it gives what it would give on each of its squares, eight
pixels apart: :mod:`chopmark.safety.image.symbols` slides it over a picture in several sizes.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from chopmark.safety.image.symbol_places import WINDOW
from training.pictures.scenes import CLASSES, crop, patch

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from training.pictures.scenes import Pixels

__all__ = ["SymbolNetwork", "export", "leaned", "train"]

_BATCH: Final = 64
#: Shares of ordinary parts, symbols, look-alikes and parts of symbols.
_SHARES: Final = (0.3, 0.34, 0.28, 0.08)
#: Ordinary parts that a network so far took for symbols, shown again.
_HARD: Final = 3000


class SymbolNetwork(nn.Module):
    """Seven convolutions and a last one for the classes; (n, 3, h, w) in 0..1."""

    def __init__(self) -> None:
        super().__init__()
        widths = (3, 16, 24, 32, 48, 64, 96, 96)
        strides = (2, 2, 1, 1, 2, 1, 1)
        layers: list[nn.Module] = []
        for before, after, stride in zip(widths, widths[1:], strides, strict=False):
            layers += [
                nn.Conv2d(before, after, 3, stride, bias=False),
                nn.BatchNorm2d(after),
                nn.ReLU(inplace=True),
            ]
        self.body = nn.Sequential(*layers)
        self.head = nn.Conv2d(widths[-1], len(CLASSES), 1)

    def forward(self, pixels: Tensor) -> Tensor:
        """Return logits, (n, 5, (h - 63) // 8 + 1, (w - 63) // 8 + 1)."""
        logits: Tensor = self.head(self.body(pixels - 0.5))
        return logits


def batch_of(
    grounds: Sequence[Pixels], hard: Sequence[Pixels], dice: np.random.Generator
) -> tuple[Tensor, Tensor]:
    """Return a batch of patches and their classes."""
    pixels, labels = [], []
    for _ in range(_BATCH):
        kind = int(dice.choice(4, p=_SHARES))
        if kind == 0 and hard and dice.random() < 0.5:
            one, label = hard[int(dice.integers(0, len(hard)))], 0
        else:
            one, label = patch(kind, WINDOW, grounds, dice)
        pixels.append(one)
        labels.append(label)
    stacked = torch.from_numpy(np.stack(pixels)).permute(0, 3, 1, 2).float() / 255
    return stacked, torch.tensor(labels)


def train(
    grounds: Sequence[Pixels], file: Path, *, steps: int, minutes: float, seed: int = 20261130
) -> SymbolNetwork:
    """Train for so many steps, or go on from ``file`` where an earlier call stopped.

    Args:
        grounds: Ordinary pictures that no figure is measured on.
        file: Where the state is kept.
        steps: In all.
        minutes: Then stop; call again to go on.
        seed: Of chance.
    """
    torch.manual_seed(seed)
    network = SymbolNetwork()
    optimizer = torch.optim.AdamW(network.parameters(), lr=2e-3, weight_decay=1e-4)
    begun, hard = 0, []
    if file.is_file():
        state = torch.load(file, weights_only=False)
        network.load_state_dict(state["network"])
        optimizer.load_state_dict(state["optimizer"])
        begun, hard = state["step"], state["hard"]
    dice = np.random.default_rng((seed, begun))
    until, losses = time.monotonic() + 60 * minutes, []
    for step in range(begun, steps):
        for group in optimizer.param_groups:
            group["lr"] = 2e-3 * min(1, (step + 1) / 100) * (0.02 + 0.98 * (1 - step / steps))
        network.train()
        pixels, labels = batch_of(grounds, hard, dice)
        loss = functional.cross_entropy(network(pixels)[:, :, 0, 0], labels, label_smoothing=0.02)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        losses.append(float(loss.detach()))
        if (step + 1) % 250 == 0:
            hard = [*_mistaken(network, grounds, dice), *hard][:_HARD]
            torch.save(
                {
                    "network": network.state_dict(),
                    "optimizer": optimizer.state_dict(),
                    "step": step + 1,
                    "hard": hard,
                },
                file,
            )
            print(f"{step + 1}: loss {np.mean(losses[-250:]):.4f}, {len(hard)} hard", flush=True)
            if time.monotonic() > until:
                break
    return network.eval()


def _mistaken(
    network: SymbolNetwork, grounds: Sequence[Pixels], dice: np.random.Generator
) -> list[Pixels]:
    """Return parts of ordinary pictures that the network so far takes for symbols."""
    network.eval()
    parts = [crop(grounds[int(at)], WINDOW, dice) for at in dice.integers(0, len(grounds), 1500)]
    pixels = torch.from_numpy(np.stack(parts)).permute(0, 3, 1, 2).float() / 255
    with torch.inference_mode():
        shares = network(pixels)[:, :, 0, 0].softmax(dim=1)[:, 1:4].sum(dim=1)
    return [parts[int(at)] for at in torch.nonzero(shares > 0.1)[:, 0]]


def leaned(network: SymbolNetwork, shift: float) -> None:
    """Lean a network towards "nothing", and the svastika of rituals, by ``shift`` log odds."""
    with torch.no_grad():
        bias = network.head.get_parameter("bias")
        bias.add_(torch.tensor([shift, 0.0, 0.0, 0.0, shift]))


def export(network: SymbolNetwork, file: Path) -> None:
    """Write it as ONNX, with sides that are free."""
    torch.onnx.export(
        network,
        (torch.zeros(1, 3, WINDOW, WINDOW),),
        str(file),
        input_names=["pixels"],
        output_names=["logits"],
        dynamic_axes={"pixels": {2: "height", 3: "width"}, "logits": {2: "rows", 3: "columns"}},
        opset_version=17,
        dynamo=False,
    )

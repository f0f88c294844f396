"""The listener: its layers, what it is trained for, and its file."""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING, Final

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from training.watermark.pieces import SIDE, piece

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from training.watermark.marks import Marked

__all__ = ["Listener", "export", "train"]

_WIDTH: Final = 16  # a multiple of what onnxruntime lays out for one processor step
_REACH: Final = (1, 2, 4, 1, 2, 1)
_BATCH: Final = 16
_RATE: Final = 2.5e-3
_WARM: Final = 60
#: Pixels at the sides of a piece that see less than the others.
_EDGE: Final = 12
_LOWEST, _HIGHEST = 0.025, 0.30  # cycles a pixel: the mark's band, and what scaling makes of it


class Listener(nn.Module):
    """From features (n, 5, h, w) to the pattern, (n, 1, 2 h, 2 w)."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(5, _WIDTH, 3, padding=1)
        self.mid = nn.ModuleList(
            nn.Conv2d(_WIDTH, _WIDTH, 3, padding=reach, dilation=reach) for reach in _REACH
        )
        self.last = nn.Conv2d(_WIDTH, 4, 3, padding=1)

    def forward(self, values: Tensor) -> Tensor:
        """Return the pattern; its unit is free."""
        values = functional.relu(self.first(values))
        for layer in self.mid:
            values = values + functional.relu(layer(values))
        return functional.pixel_shuffle(self.last(values), 2)


def train(
    sets: Mapping[str, Sequence[Marked]], shares: Sequence[float], *, minutes: float, seed: int = 3
) -> tuple[Listener, list[float]]:
    """Return the network after so many minutes of CPU, and the mean agreement every 50 steps.

    Agreement is the cosine between what it says and the pattern, in the band of the mark, after
    each frequency was divided by the size of its neighbours, as the reader does.
    """
    draw = np.random.default_rng(seed)
    torch.manual_seed(seed)
    network = Listener()
    optimizer = torch.optim.AdamW(network.parameters(), lr=_RATE, weight_decay=1e-4)
    started, step, told = time.process_time(), 0, []
    recent: list[float] = []
    while (share := (time.process_time() - started) / (60 * minutes)) < 1:
        rate = _RATE * min(1.0, step / _WARM) * (0.5 + 0.5 * math.cos(math.pi * share)) + 1e-5
        for group in optimizer.param_groups:
            group["lr"] = rate
        values, patterns = zip(*(piece(sets, shares, draw) for _ in range(_BATCH)), strict=True)
        heard = network(torch.from_numpy(np.stack(values)))
        wanted = torch.from_numpy(np.stack(patterns))[:, None]
        agreement = _agreement(heard, wanted).mean()
        optimizer.zero_grad()
        (-agreement).backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()
        recent.append(float(agreement.detach()))
        step += 1
        if step % 50 == 0:
            told.append(round(float(np.mean(recent[-50:])), 4))
            print(step, told[-1], flush=True)
    return network, told


def _agreement(heard: Tensor, wanted: Tensor) -> Tensor:
    inner = SIDE - 2 * _EDGE
    down, across = np.meshgrid(np.fft.fftfreq(inner), np.fft.rfftfreq(inner), indexing="ij")
    radius = np.hypot(down, across)
    band = torch.from_numpy(((radius > _LOWEST) & (radius < _HIGHEST)).astype(np.float32))
    said, meant = (
        torch.fft.rfft2(each[..., _EDGE:-_EDGE, _EDGE:-_EDGE]) * band for each in (heard, wanted)
    )
    power = said.real**2 + said.imag**2
    usual = functional.avg_pool2d(power, 7, 1, 3, count_include_pad=False)
    said = said / (usual + 1e-3 * power.mean((-1, -2), keepdim=True) + 1e-9).sqrt()
    axes = (-1, -2, -3)
    shared = (said.real * meant.real + said.imag * meant.imag).sum(axes)
    sizes = (said.abs() ** 2).sum(axes).sqrt() * (meant.abs() ** 2).sum(axes).sqrt()
    agreement: Tensor = shared / (sizes + 1e-9)
    return agreement


def export(network: Listener, file: Path) -> None:
    """Write it as ONNX, with sides that are free."""
    free = {2: "height", 3: "width"}
    torch.onnx.export(
        network.eval(),
        (torch.zeros(1, 5, SIDE // 2, SIDE // 2),),
        str(file),
        input_names=["features"],
        output_names=["pattern"],
        dynamic_axes={"features": free, "pattern": {2: "rows", 3: "columns"}},
        opset_version=17,
        dynamo=False,
    )

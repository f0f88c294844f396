"""Weights small enough for a repository: eight bits a number, one scale for each output row.

A matrix or kernel ``w`` of shape (rows, ...) is stored as ``round(w / scale)`` in -127 to 127 with
``scale = max |w| / 127`` of its row; small tensors stay in half precision, where eight bits would
cost accuracy and save nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import torch

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

_SCALE: Final = ".int8_scale"
#: Tensors of fewer numbers are stored in half precision.
_SMALL: Final = 2048


def pack(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return large tensors as int8 beside their row scales, and the others as float16.

    Counters and other whole numbers stay as they are.
    """
    packed: dict[str, Tensor] = {}
    for name, tensor in weights.items():
        if not tensor.is_floating_point():
            packed[name] = tensor.contiguous()
            continue
        if tensor.ndim < 2 or tensor.numel() < _SMALL:
            packed[name] = tensor.half().contiguous()
            continue
        rows = tensor.float().flatten(1)
        scale = rows.abs().amax(dim=1).clamp(min=1e-12) / 127.0
        packed[name] = (
            (rows / scale[:, None]).round().to(torch.int8).view(tensor.shape).contiguous()
        )
        packed[name + _SCALE] = scale
    return packed


def unpack(packed: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the float32 weights that :func:`pack` stored."""
    weights: dict[str, Tensor] = {}
    for name, tensor in packed.items():
        if name.endswith(_SCALE):
            continue
        scale = packed.get(name + _SCALE)
        if scale is None:
            weights[name] = tensor.float() if tensor.is_floating_point() else tensor
        else:
            weights[name] = (tensor.flatten(1).float() * scale[:, None]).view(tensor.shape)
    return weights

from __future__ import annotations

import torch

from chopmark.generation.packed_weights import pack, unpack


def test_large_tensors_come_back_within_half_a_step() -> None:
    torch.manual_seed(0)
    weight = torch.randn(64, 32, 3, 3) * torch.logspace(-4, 2, 64)[:, None, None, None]
    back = unpack(pack({"weight": weight}))["weight"]
    step = weight.abs().flatten(1).amax(dim=1) / 127
    assert back.shape == weight.shape
    assert ((back - weight).abs().flatten(1).amax(dim=1) <= step * 0.51).all()


def test_small_tensors_keep_half_precision_and_zero_rows_survive() -> None:
    weights = {"bias": torch.randn(5), "zero": torch.zeros(64, 64), "few": torch.randn(3, 3)}
    back = unpack(pack(weights))
    assert set(back) == set(weights)
    assert torch.equal(back["bias"], weights["bias"].half().float())
    assert torch.equal(back["zero"], weights["zero"])


def test_packing_is_four_times_smaller() -> None:
    weight = torch.randn(256, 256)
    packed = pack({"w": weight})
    size = sum(tensor.numel() * tensor.element_size() for tensor in packed.values())
    assert size < weight.numel() * 4 / 3.8

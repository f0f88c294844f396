"""Linear layers in eight bits: close to the layer that they stand for, each row by itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from torch import nn

from chopmark.generation import DiffusersGenerator, GenerationJob, LoadOptions, int8
from chopmark.generation.calls import Slot
from chopmark.generation.int8 import Int8Linear, quantize_linears
from tests.unit.generation.families import FAMILIES

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(("wide", "out"), [(64, 64), (65, 67), (384, 100)])
@pytest.mark.parametrize("bias", [True, False])
def test_it_is_close_and_each_row_is_by_itself(wide: int, out: int, bias: bool) -> None:
    torch.manual_seed(0)
    linear = nn.Linear(wide, out, bias=bias)
    small = Int8Linear(linear)
    values = torch.randn(2, 5, wide) * torch.logspace(-3, 3, 5)[None, :, None]
    with torch.inference_mode():
        exact, found = linear(values), small(values)
        alone = torch.stack([small(row) for row in values.reshape(-1, wide)])
    assert found.shape == exact.shape
    error = (found - exact).norm(dim=-1) / exact.norm(dim=-1)
    assert error.max() < 0.03
    # Whole numbers add up to the same in any company.
    assert torch.equal(alone.reshape(found.shape), found)


def test_zeros_stay_zeros() -> None:
    small = Int8Linear(nn.Linear(64, 64, bias=False))
    assert torch.equal(small(torch.zeros(1, 64)), torch.zeros(1, 64))


def test_narrow_layers_embedders_and_layers_of_another_kind_stay(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(int8, "_NARROW", 64)
    net = nn.ModuleDict(
        {
            "wide": nn.Sequential(nn.Linear(64, 64), nn.Linear(64, 8)),
            "time_embed": nn.Sequential(nn.Linear(64, 64)),
            "attention": nn.MultiheadAttention(64, 2),
        }
    )
    quantize_linears(net)
    replaced = [name for name, part in net.named_modules() if isinstance(part, Int8Linear)]
    assert replaced == ["wide.0"]
    assert "in_features=64, out_features=64" in repr(net)


def _denoiser(engine: DiffusersGenerator) -> nn.Module:
    denoiser = engine.variants.pipeline("generate").transformer
    assert isinstance(denoiser, nn.Module)
    return denoiser


def test_a_picture_in_a_batch_is_the_picture_alone(tmp_path: Path) -> None:
    engine = DiffusersGenerator.load(
        FAMILIES["flux2_klein"].save(tmp_path), options=LoadOptions(quantization="int8")
    )
    assert engine.info.quantization == "int8"
    assert any(isinstance(part, Int8Linear) for part in _denoiser(engine).modules())
    slots = [
        Slot(
            job=GenerationJob(prompt=words, seed=seed, width=32, height=32, steps=2),
            index=1,
            stepped=lambda _done, _steps: None,
        )
        for seed, words in enumerate(("a red apple", "a blue fish", "rain"))
    ]
    joined = engine.run(slots)
    for slot, picture in zip(slots, joined, strict=True):
        alone = np.asarray(engine.run([slot])[0], dtype=float)
        assert np.abs(np.asarray(picture, dtype=float) - alone).max() <= 2


def test_a_head_that_is_the_table_of_words_again_takes_no_memory_of_its_own() -> None:
    class Reader(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.words = nn.Embedding(128, 64)
            self.layer = nn.Linear(64, 64)
            self.head = nn.Linear(64, 128, bias=False)
            self.head.weight = self.words.weight
            self.untied = nn.Linear(64, 128, bias=False)

    reader = Reader()
    quantize_linears(reader)
    replaced = [name for name, part in reader.named_modules() if isinstance(part, Int8Linear)]
    assert replaced == ["layer", "untied"]
    assert reader.head.weight is reader.words.weight

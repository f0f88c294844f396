"""The GPU's benchmark program runs on a CPU too: what it measures is kept row by row and shown."""

from __future__ import annotations

import json
import shutil
import sys
from typing import TYPE_CHECKING

import pytest
import torch

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


def test_it_keeps_each_row_and_shows_the_file(
    unet_folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    from benchmarks import generation_gpu

    model = shutil.copytree(unet_folder, tmp_path / "model")
    (model / "chopmark.json").write_text('{"native_size": 32, "default_steps": 2}', "utf-8")

    for name, value in {"CELL_S": 0.0, "CROWD_S": 0.1, "BATCHES": (1, 2), "CROWDS": (2,)}.items():
        monkeypatch.setattr(generation_gpu, name, value)
    monkeypatch.setattr(
        generation_gpu,
        "ROWS",
        {name: generation_gpu.ROWS[name] for name in ("fp32", "bf16", "fp8, torchao")},
    )
    kept = tmp_path / "found.json"
    generation_gpu.main(
        [
            "--model",
            str(model),
            "--device",
            "cpu",
            "--seconds",
            "60",
            "--out",
            str(kept),
        ]
    )
    rows = json.loads(kept.read_text("utf-8"))["rows"]
    assert rows["fp32"]["error"] == 0.0
    # torch 2.6 to 2.9 draw other noise in bfloat16 on a CPU: another picture. 2.13 and 2.14 do not.
    assert 0.0 < rows["bf16"]["error"] < (0.1 if _noise_is_the_same() else 1.0)
    assert rows["bf16"]["batches"].keys() == {"1", "2"}
    assert "no kernels for cpu" in rows["fp8, torchao"]["why"]
    measured = capsys.readouterr().out
    generation_gpu.main(["--from", str(kept)])
    assert measured.endswith(capsys.readouterr().out)


def _noise_is_the_same() -> bool:
    """Whether a seed means the same noise in bfloat16 as in float32."""
    noise, rounded = (
        torch.randn(64, generator=torch.Generator().manual_seed(7), dtype=dtype)
        for dtype in (torch.float32, torch.bfloat16)
    )
    return torch.allclose(noise, rounded.float(), atol=0.02)


def test_a_text_encoder_stands_in_only_where_it_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from transformers import AutoTokenizer, BertModel

    from benchmarks import stand_in

    monkeypatch.setattr(sys, "path", list(sys.path))
    assert not stand_in.provide_text_encoder(tmp_path)
    monkeypatch.setattr(stand_in, "_PACKAGE", "no_such_package_of_chopmark")
    assert stand_in.provide_text_encoder(tmp_path)
    folder = tmp_path / "no_such_package_of_chopmark" / "model"
    tokens = AutoTokenizer.from_pretrained(folder)("a red apple", return_tensors="pt")
    found = BertModel.from_pretrained(folder, add_pooling_layer=False)(**tokens).last_hidden_state
    assert found.shape == (1, tokens["input_ids"].shape[1], 384)

"""Training of the watermark's listener: what pieces show, and what its file says."""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np
import onnxruntime
import pytest
import torch
from PIL import Image

from benchmarks.pictures import drawn
from chopmark.provenance.watermark.lattice import _listener
from training.watermark.marks import struck
from training.watermark.network import Listener, export, train
from training.watermark.pieces import SIDE, piece

if TYPE_CHECKING:
    from pathlib import Path

cv2.setNumThreads(1)


def test_a_piece_shows_the_pattern_that_is_in_it() -> None:
    """On plain ground the detail is the mark, so it has to agree with the pattern that is told."""
    plain = Image.new("RGB", (512, 512), (120, 130, 140))
    pen = np.asarray(plain).copy()
    pen[::64] += 20  # not wholly plain, or pieces would mostly be passed over
    sets = {"one": list(struck([Image.fromarray(pen)] * 2, 1))}
    draw = np.random.default_rng(2)
    agreements = []
    for _ in range(24):
        shown, pattern = piece(sets, [1.0], draw)
        assert (shown.shape, pattern.shape) == ((5, SIDE // 2, SIDE // 2), (SIDE, SIDE))
        agreements.append(float(np.corrcoef(shown[0].ravel(), pattern[::2, ::2].ravel())[0, 1]))
    assert np.mean(agreements) > 0.1
    assert np.max(agreements) > 0.5


@pytest.mark.filterwarnings("ignore:You are using the legacy:DeprecationWarning")
def test_training_learns_and_the_file_says_what_the_network_says(tmp_path: Path) -> None:
    torch.set_num_threads(1)
    sets = {"shapes": list(struck([drawn(2001)] * 2, 1))}
    network, _ = train(sets, [1.0], minutes=0.01)
    before = Listener().state_dict()["last.weight"]
    assert not torch.equal(network.state_dict()["last.weight"], before)
    pytest.importorskip("onnx", reason="pip install 'chopmark[train]'")
    export(network, tmp_path / "listener.onnx")
    session = onnxruntime.InferenceSession(str(tmp_path / "listener.onnx"))
    shown = _listener.features(np.asarray(drawn(2002).convert("L"), np.float32))[None]
    (said,) = session.run(None, {"features": shown})
    with torch.no_grad():
        expected = network(torch.from_numpy(shown)).numpy()
    assert said.shape == (1, 1, 512, 512)
    np.testing.assert_allclose(said, expected, atol=1e-3)

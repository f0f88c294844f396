"""invisible-watermark behind our seam: payloads, p-values, alpha, absence."""

from __future__ import annotations

import importlib.util
import subprocess
import sys

import cv2
import numpy as np
import pytest
from PIL import Image

from chopmark.errors import ConfigurationError, ImageTooSmall, InvalidRequest
from chopmark.provenance.watermark import MarkKey, _invisible, detect_mark, embed_mark

PAYLOAD = bytes.fromhex("a3f09c1122334451")
KEY = MarkKey(key_id="test", secret=bytes(range(32)))
OTHER = MarkKey(key_id="other", secret=bytes(range(1, 33)))
needs_package = pytest.mark.skipif(
    importlib.util.find_spec("imwatermark") is None, reason="invisible-watermark is not installed"
)


def drawn(width: int = 384, height: int = 320) -> Image.Image:
    draw = np.random.default_rng(0)
    coarse = draw.uniform(60, 190, (12, 12, 3)).astype(np.float32)
    smooth = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)
    return Image.fromarray(np.clip(smooth, 0, 255).astype(np.uint8))


@needs_package
def test_blind_detection_has_the_odds_of_its_check() -> None:
    marked = embed_mark(drawn(), PAYLOAD, key=KEY, method="dwtDctSvd")
    result = detect_mark(marked, keys=[KEY], methods=["dwtDctSvd"])
    assert result.payload == PAYLOAD
    assert result.p_value == 2.0**-40
    two_keys = detect_mark(marked, keys=[OTHER, KEY], methods=["dwtDctSvd"])
    assert two_keys.p_value == 2.0**-39
    assert not detect_mark(marked, keys=[OTHER], methods=["dwtDctSvd"]).detected
    assert not detect_mark(drawn(), keys=[KEY], methods=["dwtDctSvd"]).detected


@needs_package
def test_alpha_stays_and_grey_is_taken() -> None:
    clear = drawn().convert("RGBA")
    clear.putalpha(Image.linear_gradient("L").resize(clear.size))
    marked = embed_mark(clear, PAYLOAD, key=KEY, method="dwtDctSvd")
    assert marked.getchannel("A").tobytes() == clear.getchannel("A").tobytes()
    grey = embed_mark(drawn().convert("L"), PAYLOAD, key=KEY, method="dwtDctSvd")
    assert detect_mark(grey, keys=[KEY], methods=["dwtDctSvd"]).payload == PAYLOAD


@needs_package
def test_small_pictures_and_short_payloads_are_errors_of_ours() -> None:
    with pytest.raises(ImageTooSmall, match="65536"):
        embed_mark(drawn(200, 200), PAYLOAD, key=KEY, method="dwtDct")
    with pytest.raises(InvalidRequest, match="8 bytes"):
        embed_mark(drawn(), b"1234", key=KEY, method="dwtDct")


@needs_package
def test_the_32_bits_of_rivagan_only_confirm() -> None:
    marked = embed_mark(drawn(256, 256), PAYLOAD, key=KEY, method="rivaGan")
    blind = detect_mark(marked, keys=[KEY], methods=["rivaGan"])
    assert blind.p_value == 1.0
    told = detect_mark(marked, keys=[KEY], methods=["rivaGan"], candidates=[PAYLOAD])
    assert told.payload == PAYLOAD
    many = [PAYLOAD, *(bytes([number] * 8) for number in range(100))]
    doubtful = detect_mark(marked, keys=[KEY], methods=["rivaGan"], candidates=many)
    assert not doubtful.detected


@needs_package
def test_torch_stays_out() -> None:
    script = (
        "import sys; from chopmark.provenance.watermark import get_method;"
        "[get_method(name) for name in ('dwtDct', 'dwtDctSvd', 'rivaGan')];"
        "print('torch' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], check=True, capture_output=True, text=True
    )
    assert done.stdout.strip() == "False"


def test_absence_is_said_with_the_command_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    _invisible._package_folder.cache_clear()
    _invisible._module.cache_clear()
    try:
        with pytest.raises(ConfigurationError) as caught:
            _invisible.make("dwtDct")
    finally:
        _invisible._package_folder.cache_clear()
        _invisible._module.cache_clear()
    assert "pip install --no-deps invisible-watermark==0.2.0" in caught.value.hint

from __future__ import annotations

import doctest
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chopmark import GenerationRequest, Settings
from chopmark.kit import limits
from chopmark.pipeline import sizes
from chopmark.pipeline.request import check_request
from chopmark.pipeline.sizes import size_for
from tests.support.generator import StandIn

MODEL = StandIn(max_size=limits.SIDE.most).info
RATIOS = (
    "1:1", "1:4", "1:8", "2:3", "3:2", "3:4", "4:1", "4:3", "4:5", "5:4", "8:1", "9:16", "16:9",
    "21:9",
)  # fmt: skip


def test_the_example() -> None:
    assert doctest.testmod(sizes).failed == 0


@pytest.mark.parametrize("ratio", RATIOS)
@pytest.mark.parametrize("pixels", [512**2, 1024**2, 2048**2, 4096**2])
def test_what_gemini_names_can_be_asked_for(settings: Settings, ratio: str, pixels: int) -> None:
    wide, high = map(int, ratio.split(":"))
    size = size_for(wide, high, pixels=pixels)
    check_request(GenerationRequest(prompt="x", size=size), settings, MODEL)
    assert size[0] % 16 == size[1] % 16 == 0
    if max(size) < limits.SIDE.most:
        assert math.prod(size) == pytest.approx(pixels, rel=0.1)
    assert size[0] / size[1] == pytest.approx(wide / high, rel=0.12)


@given(
    wide=st.integers(1, 100_000),
    high=st.integers(1, 100_000),
    pixels=st.integers(1, 10**9),
    step=st.sampled_from([1, 2, 8, 16, 64]),
)
def test_rounding_of_ours_never_makes_an_error(
    wide: int, high: int, pixels: int, step: int
) -> None:
    size = size_for(wide, high, pixels=pixels, step=step)
    check_request(GenerationRequest(prompt="x", size=size), Settings(), MODEL)
    assert size[0] % step == size[1] % step == 0


def test_every_multiple_of_16_from_1_to_3_to_3_to_1_up_to_3840x2160(settings: Settings) -> None:
    tried = 0
    for width in range(64, 3841, 16):
        for height in range(max(64, -(-width // 48) * 16), min(3 * width, 3840) + 1, 16):
            if width * height <= 3840 * 2160:
                check_request(GenerationRequest(prompt="x", size=(width, height)), settings, MODEL)
                tried += 1
    assert tried > 20_000

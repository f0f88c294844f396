"""A model that learned drawings alone says of another picture that little of it was kept."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from PIL import Image

from chopmark import EditRequest, GenerationRequest, Pipeline
from chopmark.cli.generate import _say_unknown
from tests.support.generator import StandIn

if TYPE_CHECKING:
    import pytest


async def test_a_photograph_to_edit_is_said_to_be_unknown_to_a_model_of_drawings(
    pipeline: Pipeline, make_picture: Any, to_bytes: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    pipeline.parts.use(generator=StandIn(extends=True))
    made = await pipeline.generate(GenerationRequest(prompt="a red apple", seed=1))
    assert made.about()["unknown_input"] is False
    photograph, drawing = to_bytes(make_picture()), made.outputs[0].data
    mask = to_bytes(Image.new("L", (256, 256), 255))
    for image, within, unknown in (
        (photograph, None, True),
        (photograph, mask, False),
        (drawing, None, False),
    ):
        request = EditRequest(prompt="a red hat", image=image, mask=within, seed=1)
        released = await pipeline.edit(request)
        assert released.about()["unknown_input"] is unknown
        _say_unknown(released)
        assert ("keeps next to nothing" in capsys.readouterr().err) is unknown
    # Of a model that knows more, nothing is said.
    pipeline.parts.use(generator=StandIn())
    released = await pipeline.edit(EditRequest(prompt="a red hat", image=photograph, seed=1))
    assert released.about()["unknown_input"] is False

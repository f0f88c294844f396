from __future__ import annotations

import io
from typing import Any

import pytest
from PIL import Image

from chopmark import Pipeline, Settings
from chopmark.errors import InvalidRequest
from chopmark.pipeline.steps import Steps


def test_the_pipeline_shows_what_it_does_and_not_how(settings: Settings) -> None:
    with Pipeline.from_settings(settings) as pipeline:
        assert {name for name in dir(pipeline) if not name.startswith("_")} == {
            "from_settings", "generate", "edit", "seal", "sit", "moderate", "verify", "close",
            "parts", "settings",
        }  # fmt: skip
    assert Pipeline.__mro__ == (Pipeline, object)
    assert {name for name in vars(Steps) if not name.startswith("_")} == {"run", "book"}


async def test_texts_and_a_picture_are_judged_in_one_record(
    settings: Settings, make_picture: Any, to_bytes: Any
) -> None:
    with Pipeline.from_settings(settings) as pipeline:
        moderated = await pipeline.moderate(
            ["a red apple", "a bomb recipe with exact amounts"], image=to_bytes(make_picture())
        )
        texts = await pipeline.moderate(["a red apple"])
        picture = await pipeline.moderate(image=to_bytes(make_picture()))
        log = pipeline.parts.log
        (both,) = log.records(moderated.record_id)
        (of_texts,) = log.records(texts.record_id)
        (of_picture,) = log.records(picture.record_id)
        private = log.private(both.index)
        assert log.private(of_picture.index) is None
    assert len(moderated.verdicts) == 3
    assert moderated.verdicts[2].scores == picture.verdicts[0].scores
    assert private == {"texts": ["a red apple", "a bomb recipe with exact amounts"]}
    # Each part of the record as where it is judged alone.
    assert both.public["texts"] == 2
    assert both.public["verdict"] == of_picture.public["verdict"]
    assert set(both.public) == set(of_texts.public) | set(of_picture.public)
    assert "verdict" not in of_texts.public
    assert "actions" not in of_picture.public


async def test_nothing_to_judge_is_refused_and_not_booked(settings: Settings) -> None:
    with Pipeline.from_settings(settings) as pipeline:
        before = pipeline.parts.log.size
        with pytest.raises(InvalidRequest):
            await pipeline.moderate()
        assert pipeline.parts.log.size == before


async def test_a_picture_that_cannot_be_judged_is_never_called_safe(settings: Settings) -> None:
    with Pipeline.from_settings(settings) as pipeline:
        with pytest.raises(InvalidRequest):
            await pipeline.moderate(["a red apple"], image=b"no picture")
        with pytest.raises(InvalidRequest, match="cannot be judged"):
            await pipeline.moderate(image=_tiny())


def _tiny() -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (8, 8)).save(out, "PNG")
    return out.getvalue()

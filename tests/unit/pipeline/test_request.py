from __future__ import annotations

from dataclasses import replace

import pytest

from chopmark import EditRequest, Settings
from chopmark.errors import InvalidRequest, TooManyImages
from chopmark.generation import ModelInfo
from chopmark.pipeline.request import check_request

MODEL = ModelInfo(
    id="tiny",
    version="1",
    digest="0" * 64,
    licence="Apache-2.0",
    native_size=64,
    default_size=(64, 64),
    max_size=512,
    default_steps=4,
    quantization="none",
    supports=frozenset({"generate", "edit", "inpaint"}),
)


def edit(further: int = 0, **changes: object) -> EditRequest:
    values: dict[str, object] = {"prompt": "put both together", "image": b"first"}
    references = tuple(b"%d" % number for number in range(further))
    return EditRequest(**{**values, "references": references, **changes})  # type: ignore[arg-type]


def test_the_picture_to_change_comes_first() -> None:
    assert edit().pictures == (b"first",)
    assert edit(2).pictures == (b"first", b"0", b"1")
    named = {"image": b"first", "reference 1": b"0", "mask": b"mask"}
    assert list(edit(1, mask=b"mask").inputs.items()) == list(named.items())


def test_a_model_joins_one_picture_unless_it_says_more(settings: Settings) -> None:
    check_request(edit(), settings, MODEL)
    with pytest.raises(TooManyImages, match="2 pictures were given, and model tiny takes one") as c:
        check_request(edit(1), settings, MODEL)
    assert (c.value.code, c.value.status, c.value.param) == ("too_many_images", 400, "image")
    assert c.value.hint
    assert isinstance(c.value, InvalidRequest)


@pytest.mark.parametrize("further", [0, 1, 2])
def test_up_to_what_the_model_joins(settings: Settings, further: int) -> None:
    check_request(edit(further), settings, replace(MODEL, max_images=3))
    check_request(edit(further, mask=b"mask"), settings, replace(MODEL, max_images=3))


def test_the_settings_bound_what_any_model_joins(settings: Settings) -> None:
    model = replace(MODEL, max_images=16)
    check_request(edit(3), settings, model)
    with pytest.raises(TooManyImages, match="1 and 3 further ones") as caught:
        check_request(edit(4), settings, model)
    assert "CHOPMARK_MAX_REFERENCES" in caught.value.hint
    with pytest.raises(TooManyImages):
        check_request(edit(1), settings.model_copy(update={"max_references": 0}), model)

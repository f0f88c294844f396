"""A command that runs once loads the model last, and not at all for what is refused."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from chopmark.errors import InvalidRequest, ModelLoadError
from chopmark.generation import GenerationJob
from chopmark.pipeline.late_model import LateGenerator, late_generator
from chopmark.pipeline.parts import Parts
from chopmark.pipeline.request import GenerationRequest, check_request
from chopmark.settings import Settings
from tests.support.generator import StandIn

if TYPE_CHECKING:
    from collections.abc import Iterator

JOB = GenerationJob(prompt="a red apple", seed=1, width=64, height=64)


class House:
    """Parts whose generator is a stand-in, and how often it was loaded."""

    def __init__(self, parts: Parts, monkeypatch: pytest.MonkeyPatch) -> None:
        self.parts, self.loads, self.model = parts, 0, StandIn()
        monkeypatch.setattr(parts.plugins, "generator", self._load)

    def _load(self, *_: Any) -> StandIn:
        self.loads += 1
        return self.model


@pytest.fixture
def house(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[House]:
    parts = Parts(settings)
    yield House(parts, monkeypatch)
    parts.close()


def test_it_is_loaded_once_at_first_and_then_with_the_first_picture(house: House) -> None:
    first = late_generator(house.parts)
    assert house.loads == 1
    late = late_generator(house.parts)
    assert isinstance(late, LateGenerator)
    assert late.info == first.info
    assert house.loads == 1
    assert late.generate(JOB)[0].size == (64, 64)
    late.generate(JOB)
    assert house.loads == 2


def test_another_model_than_the_record_names_makes_no_picture(house: House) -> None:
    late_generator(house.parts)
    house.model = StandIn(digest="1" * 64)
    with pytest.raises(ModelLoadError, match="not what it was"):
        late_generator(house.parts).generate(JOB)
    assert not house.model.jobs
    # It was noted: whoever asks again is answered by the new one.
    again = late_generator(house.parts)
    assert again.info.digest == "1" * 64
    assert again.generate(JOB)


def test_where_the_weights_lie_is_no_other_model(house: House) -> None:
    late_generator(house.parts)
    house.model = StandIn(quantization="int8")
    assert late_generator(house.parts).generate(JOB)


@pytest.mark.parametrize("content", [b"", b"{}", b"[]", b"\xff", b'{"id": "x"}'])
def test_an_unreadable_note_is_as_none(house: House, content: bytes) -> None:
    late_generator(house.parts)
    (note,) = (house.parts.home / "models").glob("known-*.json")
    note.write_bytes(content)
    late_generator(house.parts)
    assert house.loads == 2


def test_other_settings_have_a_note_of_their_own(house: House, settings: Settings) -> None:
    late_generator(house.parts)
    other = Parts(settings.model_copy(update={"quantization": "none"}))
    other.use(plugins=house.parts.plugins)
    late_generator(other)
    assert house.loads == 2
    other.close()


@pytest.mark.parametrize(
    ("request_", "says"),
    [
        (GenerationRequest(prompt="  "), "empty"),
        (GenerationRequest(prompt="x", size=(7, 7)), "width is 7"),
        (GenerationRequest(prompt="x", size=(64, 4096)), "longer than"),
        (GenerationRequest(prompt="x", steps=0), "steps"),
        (GenerationRequest(prompt="x", n=99), "n is 99"),
    ],
)
def test_a_bad_value_is_refused_without_a_model(
    settings: Settings, request_: GenerationRequest, says: str
) -> None:
    with pytest.raises(InvalidRequest, match=says):
        check_request(request_, settings)

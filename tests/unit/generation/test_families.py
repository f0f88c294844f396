"""Every family that is supported, on its stock classes with random weights.

A fast subset runs always; the whole matrix is ``-m slow`` (``.ci/run`` runs it).
"""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from chopmark.errors import Cancelled
from chopmark.generation import DiffusersGenerator, Draft, GenerationJob, LoadOptions, drafts
from chopmark.generation.batches import BatchingGenerator
from chopmark.generation.int8 import Int8Linear
from tests.unit.generation.families import FAMILIES

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from chopmark.generation.interface import Option

FAST = ("flux", "sana", "sdxl")
#: Levels of 255 that a picture of a batch may differ by from the same one alone.
TOLERANCE = 2


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    made: dict[str, Path] = {}

    def get(name: str) -> Path:
        if name not in made:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                made[name] = FAMILIES[name].save(tmp_path_factory.mktemp(name))
        return made[name]

    return get


@pytest.fixture(
    params=[pytest.param(name, marks=() if name in FAST else pytest.mark.slow) for name in FAMILIES]
)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def engine(name: str, folder: Callable[[str], Path]) -> DiffusersGenerator:
    return DiffusersGenerator.load(folder(name), options=LoadOptions(quantization="none"))


def job(**changes: object) -> GenerationJob:
    values: dict[str, object] = {"prompt": "a red apple", "seed": 7, "width": 64, "height": 64}
    return GenerationJob(**{**values, "steps": 3, **changes})  # type: ignore[arg-type]


@pytest.mark.filterwarnings("ignore")
def test_a_family_generates_edits_cancels_and_batches(
    name: str, engine: DiffusersGenerator, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Of random weights, averaged latents foretell nothing.
    monkeypatch.setattr(drafts, "_POOLS", ())
    assert engine.info.supports == FAMILIES[name].supports
    looks: list[Draft] = []
    picture = engine.generate(job(drafts=2), draft=looks.append)[0]
    assert picture.size == (64, 64)
    assert np.asarray(picture).std() > 1
    assert engine.generate(job())[0].tobytes() == picture.tobytes()
    # What is shown after the last step but one is already close to the end.
    assert [draft.step for draft in looks] == [1, 2]
    last = np.asarray(looks[-1].picture, dtype=float) - np.asarray(picture, dtype=float)
    assert np.abs(last).mean() < 16

    source = Image.linear_gradient("L").resize((64, 64)).convert("RGB")
    if "edit" in engine.info.supports:
        edited = engine.generate(job(images=(source,), strength=0.7))[0]
        assert edited.size == (64, 64)
        assert edited.tobytes() not in {source.tobytes(), picture.tobytes()}
    if "inpaint" in engine.info.supports:
        mask = Image.new("L", (64, 64), 0)
        mask.paste(255, (16, 16, 48, 48))
        painted = engine.generate(job(images=(source,), mask=mask))[0]
        kept = np.asarray(mask) == 0
        assert (np.asarray(painted)[kept] == np.asarray(source)[kept]).all()
        assert (np.asarray(painted)[~kept] != np.asarray(source)[~kept]).any()

    steps: list[int] = []
    with pytest.raises(Cancelled):
        engine.generate(
            job(steps=6),
            progress=lambda done, _total: steps.append(done),
            cancelled=lambda: len(steps) >= 2,
        )
    assert steps == [1, 2]

    together = BatchingGenerator(engine).generate(job(n=3))
    alone = engine.generate(job(n=3))
    for one, other in zip(together, alone, strict=True):
        difference = np.asarray(one, dtype=int) - np.asarray(other, dtype=int)
        assert np.abs(difference).max() <= TOLERANCE


@pytest.mark.filterwarnings("ignore")
def test_what_a_family_ignores_makes_no_difference_and_the_rest_does(
    name: str, engine: DiffusersGenerator
) -> None:
    ignores = engine.info.ignores
    assert ignores == FAMILIES[name].ignores
    plain: dict[str, object] = {"guidance": 3.0}
    source = Image.linear_gradient("L").resize((64, 64)).convert("RGB")
    asked: dict[Option, tuple[dict[str, object], dict[str, object]]] = {
        "negative_prompt": (plain, {**plain, "negative_prompt": "a blue car on a street"}),
        "guidance": (plain, {"guidance": 9.0}),
    }
    if "edit" in engine.info.supports:
        picture = {**plain, "images": (source,)}
        asked["strength"] = ({**picture, "strength": 0.4}, {**picture, "strength": 1.0})
    for option, changes in asked.items():
        one, other = (engine.generate(job(**change))[0].tobytes() for change in changes)
        assert (one == other) == (option in ignores), option


@pytest.mark.filterwarnings("ignore")
def test_auto_and_int8_on_a_cpu(
    name: str,
    engine: DiffusersGenerator,
    folder: Callable[[str], Path],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(torch.cpu, "_is_vnni_supported", lambda: True)
    auto = DiffusersGenerator.load(folder(name), options=LoadOptions(device="cpu"))
    assert auto.info.quantization == FAMILIES[name].quantized
    eight = DiffusersGenerator.load(
        folder(name), options=LoadOptions(device="cpu", quantization="int8")
    )
    assert eight.info.quantization == "int8"
    parts = eight.variants.pipeline("generate").components.values()
    layers = [layer for part in parts if isinstance(part, nn.Module) for layer in part.modules()]
    assert any(isinstance(layer, Int8Linear) for layer in layers)
    full, small = (np.asarray(one.generate(job())[0], dtype=float) for one in (engine, eight))
    assert 0 < np.abs(full - small).mean() < 24


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("size", [(512, 64), (64, 512)])
def test_the_longest_pictures(engine: DiffusersGenerator, size: tuple[int, int]) -> None:
    assert engine.generate(job(width=size[0], height=size[1], steps=1))[0].size == size

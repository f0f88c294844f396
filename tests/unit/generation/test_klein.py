"""The layout that a GPU trains: a few steps on a CPU, exported, and loaded as anybody would."""

from __future__ import annotations

import json
import random
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from PIL import Image

from chopmark.generation import DiffusersGenerator, GenerationJob, LoadOptions
from chopmark.generation.embedded import write_folder
from chopmark.generation.training import klein
from chopmark.generation.training.captions import Scene, held_out
from chopmark.generation.training.klein_data import KINDS, sample_example
from chopmark.generation.training.klein_run import SMOKE, train_and_export
from chopmark.generation.training.klein_train import Trainer
from chopmark.generation.training.vocabulary import BACKGROUNDS, CONCEPTS

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray


class Discs:
    """Draws a disc for a thing: the icon packages are not downloaded in tests."""

    def __init__(self, side: int) -> None:
        self.side = side

    def compose(self, scene: Scene) -> NDArray[np.uint8]:
        y, x = np.mgrid[0 : self.side, 0 : self.side] / self.side
        picture = np.empty((self.side, self.side, 3), np.uint8)
        picture[:] = BACKGROUNDS[scene.background]
        names = [concept.name for concept in CONCEPTS]
        for name, size, left, top in scene.placed():
            middle = (left + size / 2) / 128, (top + size / 2) / 128
            inside = (x - middle[0]) ** 2 + (y - middle[1]) ** 2 < (size / 300) ** 2
            picture[inside] = (2 * names.index(name), 90, 200)
        return picture


DISCS = (Discs(128), Discs(256))


def job(**changes: Any) -> GenerationJob:
    values = {"prompt": "a red apple", "seed": 1, "width": 256, "height": 256}
    return GenerationJob(**{**values, **changes})


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("klein")
    torch.set_num_threads(1)
    assert train_and_export(out, *SMOKE, DISCS, minutes=60.0)
    return out


@pytest.mark.parametrize("kind", KINDS)
def test_before_and_after_differ_in_what_is_said_and_nothing_else(kind: Any) -> None:
    rng = random.Random(5)  # noqa: S311 - draws scenes, not secrets
    for _ in range(100):
        example = sample_example(rng, kind)
        target = example.target
        assert not any(held_out(n, target.style, target.background) for n in target.concepts)
        match kind:
            case "picture":
                assert not example.references
            case "recolour":
                before = example.references[0]
                assert (before.concepts, before.layout) == (target.concepts, target.layout)
                assert before.background != target.background
                assert target.background in example.words
            case "swap":
                before = example.references[0]
                assert before.concepts[0] != target.concepts[0]
                assert before.concepts[1:] == target.concepts[1:]
                assert target.concepts[0] in example.words
            case "add":
                assert example.references[0].concepts == target.concepts[:1]
            case "combine":
                assert tuple(one.concepts[0] for one in example.references) == target.concepts


def test_the_committed_shape_fits_the_repository() -> None:
    pipeline = klein.build(klein.KleinConfig())
    numbers = sum(p.numel() for p in pipeline.transformer.parameters())
    numbers += sum(p.numel() for p in pipeline.vae.parameters())
    # A byte a number, and the text encoder comes from a package.
    assert 20e6 < numbers < 38e6


def test_a_few_steps_go_all_the_way_to_a_card(trained: Path) -> None:
    assert (trained / "state.pt").exists()
    card = (trained / "embedded" / "MODEL_CARD.md").read_text("utf-8")
    assert "held-out" in card
    assert json.loads((trained / "score.json").read_text("utf-8"))["edits"].keys() == {
        "swap", "recolour",
    }  # fmt: skip
    with Image.open(trained / "embedded" / "edits.png") as sheet:
        assert sheet.size[0] == 3 * 128


@pytest.mark.filterwarnings("ignore")
def test_the_export_loads_without_a_special_case_and_edits(trained: Path, tmp_path: Path) -> None:
    write_folder(trained / "embedded", tmp_path / "plain")
    engine = DiffusersGenerator.load(
        tmp_path / "plain", options=LoadOptions(device="cpu", quantization="none")
    )
    assert type(engine._variants.pipeline("generate")).__name__ == "Flux2KleinPipeline"
    assert (engine.info.default_steps, engine.info.native_size) == (4, 256)
    assert engine.info.supports == {"generate", "edit"}
    one, two = (Image.new("RGB", (256, 256), colour) for colour in ("red", "blue"))
    pictures = [
        engine.generate(order)[0]
        for order in (job(), job(images=(one,)), job(images=(one, two)), job(prompt="a cat"))
    ]
    assert len({picture.tobytes() for picture in pictures}) == 4


def test_a_cut_off_run_goes_on_where_it_was(tmp_path: Path) -> None:
    config, schedule = SMOKE
    said: list[str] = []
    first = Trainer(klein.build(config), DISCS, schedule, state=tmp_path / "s.pt", log=said.append)
    first.train_autoencoder()
    first.finished.append("autoencoder")
    first._keep()
    again = Trainer(klein.build(config), DISCS, schedule, state=tmp_path / "s.pt", log=said.append)
    assert again.finished == ["autoencoder"]
    assert any("going on after autoencoder" in line for line in said)
    mean = again._pipeline.vae.bn.running_mean
    assert torch.equal(mean, first._pipeline.vae.bn.running_mean)
    assert mean.abs().sum() > 0

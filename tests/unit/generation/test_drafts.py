from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from PIL import Image

from chopmark.errors import GuardFailed, InvalidRequest
from chopmark.generation import DiffusersGenerator, Draft, GenerationJob, LoadOptions, drafts
from chopmark.generation.interface import draft_steps

if TYPE_CHECKING:
    from pathlib import Path


def job(**changes: object) -> GenerationJob:
    values: dict[str, object] = {"prompt": "a red apple", "seed": 7, "width": 32, "height": 32}
    return GenerationJob(**{**values, "steps": 6, "drafts": 2, **changes})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("steps", "wanted", "taken"),
    [(8, 3, {2, 4, 6}), (8, 0, set()), (4, 1, {2}), (4, 10, {1, 2, 3}), (1, 3, set()), (2, 5, {1})],
)
def test_looks_are_spread_and_never_taken_of_the_finished_picture(
    steps: int, wanted: int, taken: set[int]
) -> None:
    assert draft_steps(steps, wanted) == taken


def test_each_picture_has_its_drafts_and_they_say_which_step(
    generator: DiffusersGenerator,
) -> None:
    seen: list[Draft] = []
    plain = generator.generate(job(n=2, drafts=0))
    pictures = generator.generate(job(n=2), draft=seen.append)
    assert [(d.index, d.step, d.steps) for d in seen] == [
        (1, 2, 6),
        (1, 4, 6),
        (2, 2, 6),
        (2, 4, 6),
    ]
    assert {d.picture.size for d in seen} == {(32, 32)}
    # Looking changes nothing.
    assert [p.tobytes() for p in pictures] == [p.tobytes() for p in plain]


def test_a_draft_is_the_clean_guess_and_not_the_noisy_sample(
    generator: DiffusersGenerator,
) -> None:
    seen: list[Draft] = []
    order = job(steps=8, drafts=7)
    final = np.asarray(generator.generate(order, draft=seen.append)[0], dtype=np.float32)
    errors = [np.abs(np.asarray(d.picture, dtype=np.float32) - final).mean() for d in seen]
    # The last guess but one is all but the picture; a decoded sample at that step is half noise.
    assert errors[-1] < errors[0]
    assert errors[-1] < 6


def test_drafts_of_large_and_long_pictures_are_small(generator: DiffusersGenerator) -> None:
    seen: list[Draft] = []
    generator.generate(job(width=1024, height=256, drafts=1), draft=seen.append)
    assert [d.picture.size for d in seen] == [(256, 64)]


@pytest.mark.parametrize(
    ("shape", "left"),
    [
        ((1, 4, 16, 16), (1, 4, 16, 16)),
        ((2, 4, 32, 32), (2, 4, 16, 16)),
        ((1, 4, 128, 128), (1, 4, 32, 32)),
        ((1, 4, 31, 5), (1, 4, 31, 5)),
        ((1, 4, 8, 66), (1, 4, 2, 16)),
        ((1, 16, 1, 64, 48), (1, 16, 1, 16, 12)),
    ],
)
def test_latents_of_a_draft_are_averaged_down_to_few(
    shape: tuple[int, ...], left: tuple[int, ...]
) -> None:
    generator = torch.Generator().manual_seed(0)
    latents = torch.rand(shape, generator=generator)
    few = drafts.pooled(latents)
    assert few.shape == left
    assert few.mean().item() == pytest.approx(latents.mean().item(), abs=0.02)


def test_a_transformer_that_packs_its_latents_gives_drafts_too(
    transformer_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Of random weights, averaged latents foretell nothing.
    monkeypatch.setattr(drafts, "_POOLS", ())
    engine = DiffusersGenerator.load(transformer_folder, options=LoadOptions(quantization="none"))
    seen: list[Draft] = []
    order = job(width=64, height=32, steps=4, drafts=3)
    final = engine.generate(order, draft=seen.append)[0]
    assert [d.step for d in seen] == [1, 2, 3]
    assert seen[-1].picture.size == (64, 32)
    last = np.asarray(seen[-1].picture, dtype=np.float32) - np.asarray(final, dtype=np.float32)
    assert np.abs(last).mean() < 12


def test_what_the_taker_of_a_draft_raises_ends_the_job(generator: DiffusersGenerator) -> None:
    steps: list[int] = []

    def refuse(_draft: Draft) -> None:
        raise GuardFailed("not this one")

    with pytest.raises(GuardFailed):
        generator.generate(job(n=3), draft=refuse, progress=lambda done, _total: steps.append(done))
    assert steps == [1]
    assert isinstance(generator.generate(job())[0], Image.Image)


def test_too_many_drafts_are_refused() -> None:
    with pytest.raises(InvalidRequest, match="drafts"):
        job(drafts=11)

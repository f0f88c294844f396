from __future__ import annotations

import random
from typing import TYPE_CHECKING

import pytest
import torch

from chopmark.generation.training.autoencoder import (
    LATENT_SCALE,
    AutoencoderConfig,
    build,
    solve_encoder,
    train_decoder,
)
from chopmark.generation.training.captions import (
    CELLS,
    Scene,
    article,
    describe,
    held_out,
    plural,
    sample_scene,
)
from chopmark.generation.training.data import CANVAS, PACKAGES, TrainingDataError, fetch
from chopmark.generation.training.denoiser import DenoiserConfig, Pool, sample_times, train
from chopmark.generation.training.denoiser import build as build_denoiser
from chopmark.generation.training.vocabulary import CONCEPTS, STYLE_SETS

if TYPE_CHECKING:
    from pathlib import Path


def dice(seed: int) -> random.Random:
    return random.Random(seed)  # noqa: S311 - draws scenes, not secrets


def test_no_two_concepts_share_a_name_or_a_drawing() -> None:
    names = [name for concept in CONCEPTS for name in concept.names]
    assert len(names) == len(set(names))
    assert len({concept.emoji for concept in CONCEPTS}) == len(CONCEPTS)


def test_training_never_sees_what_is_held_out() -> None:
    rng = dice(3)
    scenes = [sample_scene(rng) for _ in range(3000)]
    assert not any(
        held_out(name, scene.style, scene.background) for scene in scenes for name in scene.concepts
    )
    share = sum(held_out(c.name, s, "blue") for c in CONCEPTS for s in STYLE_SETS)
    assert 0 < share < 0.2 * len(CONCEPTS)


def test_small_things_stand_on_the_latent_grid_and_inside_the_canvas() -> None:
    for cells in CELLS.values():
        for left, top in cells:
            assert left % 16 == top % 16 == 0
    rng = dice(4)
    for scene in (sample_scene(rng) for _ in range(500)):
        for _, size, left, top in scene.placed():
            assert 0 <= left <= CANVAS - size
            assert 0 <= top <= CANVAS - size


@pytest.mark.parametrize(
    ("noun", "with_article", "many"),
    [
        ("apple", "an apple", "apples"),
        ("unicorn", "a unicorn", "unicorns"),
        ("umbrella", "an umbrella", "umbrellas"),
        ("fox", "a fox", "foxes"),
        ("fish", "a fish", "fish"),
        ("cup of coffee", "a cup of coffee", "cups of coffee"),
    ],
)
def test_nouns(noun: str, with_article: str, many: str) -> None:
    assert article(noun) == with_article
    assert plural(noun) == many


def test_a_caption_says_what_the_scene_shows() -> None:
    scene = Scene(concepts=("cat", "dog"), layout="pair", style="flat", background="pink")
    for seed in range(40):
        text = describe(scene, dice(seed))
        assert " and " in text
        assert "pink" in text
    many = Scene(concepts=("fox",), layout="three", style="flat", background="white")
    assert all("three fox" in describe(many, dice(seed)) for seed in range(9))
    orange = Scene(concepts=("fox",), layout="large", style="flat", background="orange")
    assert not any("a orange" in describe(orange, dice(seed)) for seed in range(40))


def test_other_bytes_than_the_pinned_ones_are_refused(tmp_path: Path) -> None:
    package = PACKAGES["fluent-emoji-flat"]
    (tmp_path / package.tarball).write_bytes(b"not the package")
    with pytest.raises(TrainingDataError, match="SHA-256"):
        fetch(package, tmp_path)


def test_the_solved_encoder_gives_centred_latents_of_unit_variance() -> None:
    torch.manual_seed(0)
    coarse = torch.rand(48, 3, 16, 16) * 2 - 1
    pictures = torch.nn.functional.interpolate(coarse, size=(64, 64), mode="bilinear")
    model = build(AutoencoderConfig(width=48, latent_channels=8))
    solve_encoder(model, pictures)
    with torch.no_grad():
        latents = model.encode(pictures).latents * LATENT_SCALE
    assert latents.shape == (48, 8, 4, 4)
    assert latents.mean(dim=(0, 2, 3)).abs().max() < 0.01
    assert 0.9 < latents.square().mean() < 1.1


def test_the_decoder_learns() -> None:
    torch.manual_seed(0)
    pictures = torch.rand(8, 3, 1, 1).expand(8, 3, 32, 32) * 2 - 1
    config = AutoencoderConfig(
        width=12, latent_channels=3, decoder_blocks=(1, 0, 0), steps=60, batch=8, learning_rate=3e-3
    )
    model = build(config)
    solve_encoder(model, pictures + 0.01 * torch.randn_like(pictures))
    with torch.no_grad():
        latents = model.encode(pictures).latents
        before = (model.decode(latents).sample - pictures).abs().mean()
    train_decoder(model, lambda _: (latents, pictures), config)
    with torch.no_grad():
        after = (model.decode(latents).sample - pictures).abs().mean()
    assert after < 0.5 * before


def test_the_denoiser_learns_and_calls_back() -> None:
    torch.manual_seed(0)
    config = DenoiserConfig(widths=(16, 32), text_width=16, batch=4, steps=150)
    pool = Pool(
        latents=torch.ones(4, 4, 8, 8).half(),
        captions=torch.randn(4, 6, 384).half(),
        caption_index=torch.arange(4)[:, None],
        empty=torch.zeros(6, 384).half(),
    )
    model = build_denoiser(config, 4)
    average = train(model, pool, config)
    with torch.no_grad():
        text = pool.captions.float()
        guess = average(torch.randn(4, 4, 8, 8), torch.full((4,), 990.0), text).sample
    assert (guess - 1).abs().mean() < 0.9


def test_a_share_of_the_times_is_close_to_noise() -> None:
    torch.manual_seed(0)
    times = sample_times(DenoiserConfig(batch=4000))
    assert times.min() > 0
    assert times.max() <= 1
    assert 0.25 < (times > 0.9).float().mean() < 0.5

"""The training of the embedded model: a few steps on a CPU, exported, loaded as anybody would."""

from __future__ import annotations

import dataclasses
import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from PIL import Image

from chopmark.generation import DiffusersGenerator, GenerationJob, LoadOptions
from chopmark.generation.embedded import write_folder
from tests.support.training_set import write_set
from training.generation import klein
from training.generation.__main__ import SMOKE, train
from training.generation.autoencoder import STOCK, tokens_of
from training.generation.denoiser import Batch, sample
from training.generation.measure import measure
from training.generation.trainer import Trainer

if TYPE_CHECKING:
    from pathlib import Path


def job(**changes: Any) -> GenerationJob:
    values = {"prompt": "a red apple", "seed": 1, "width": 256, "height": 256}
    return GenerationJob(**{**values, **changes})


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_set(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="module")
def trained(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("trained")
    torch.set_num_threads(1)
    train(data, out, *SMOKE)
    return out


def test_the_committed_shape_fits_the_repository() -> None:
    pipeline = klein.build(klein.KleinConfig(), text=False)
    numbers = sum(p.numel() for p in pipeline.transformer.parameters())
    numbers += sum(p.numel() for p in pipeline.vae.parameters())
    # A byte a number, and the text encoder comes from a package.
    assert 20e6 < numbers < 38e6


def test_every_stage_leaves_something_to_look_at(trained: Path) -> None:
    for name in ("autoencoder", "small", "large", "guidance"):
        with Image.open(trained / f"{name}.png") as sheet:
            assert sheet.width == 12 * 128
    log = (trained / "log.txt").read_text("utf-8")
    assert "guidance done after 2 steps" in log


def test_the_export_loads_without_a_special_case_and_edits(trained: Path, tmp_path: Path) -> None:
    write_folder(trained / "embedded", tmp_path / "plain")
    engine = DiffusersGenerator.load(
        tmp_path / "plain", options=LoadOptions(device="cpu", quantization="none")
    )
    assert type(engine.variants.pipeline("generate")).__name__ == "Flux2KleinPipeline"
    assert (engine.info.default_steps, engine.info.native_size) == (4, 256)
    assert engine.info.supports == {"generate", "edit", "inpaint"}
    one, two = (Image.new("RGB", (256, 256), colour) for colour in ("red", "blue"))
    pictures = [
        engine.generate(order)[0]
        for order in (job(), job(images=(one,)), job(images=(one, two)), job(prompt="a cat"))
    ]
    assert len({picture.tobytes() for picture in pictures}) == 4


def test_what_training_predicts_is_what_the_stock_pipeline_draws() -> None:
    torch.manual_seed(0)
    pipeline = klein.build(SMOKE[0])
    pipeline.set_progress_bar_config(disable=True)
    for parameter in pipeline.transformer.parameters():
        torch.nn.init.normal_(parameter, std=0.08)
    pipeline.vae.bn.running_mean.normal_()
    pipeline.vae.bn.running_var.uniform_(0.5, 2.0)
    given = Image.effect_noise((256, 256), 60).convert("RGB")
    pixels = torch.from_numpy(np.array(given)).permute(2, 0, 1)[None].float() / 127.5 - 1
    with torch.no_grad():
        words = STOCK._get_qwen3_prompt_embeds(
            pipeline.text_encoder,
            pipeline.tokenizer,
            "a red apple",
            max_sequence_length=klein.PROMPT_LENGTH,
            hidden_states_layers=klein.TEXT_LAYERS,
        )
        batch = Batch(
            clean=torch.empty(1, 256, 16),
            references=[tokens_of(pipeline.vae.eval(), pixels)],
            words=words,
            silence=words,
            side=16,
        )
        mine = sample(pipeline.transformer, batch)
    noise = torch.randn(1, 256, 16, generator=torch.Generator().manual_seed(1))
    theirs = pipeline(
        prompt="a red apple",
        image=given,
        height=256,
        width=256,
        num_inference_steps=4,
        guidance_scale=1.0,
        latents=noise.mT.reshape(1, -1, 16, 16),
        output_type="latent",
        max_sequence_length=klein.PROMPT_LENGTH,
        text_encoder_out_layers=klein.TEXT_LAYERS,
    ).images
    bn = pipeline.vae.bn
    deviation = torch.sqrt(bn.running_var + pipeline.vae.config.batch_norm_eps)[:, None, None]
    grid = mine.mT.reshape(1, -1, 16, 16) * deviation + bn.running_mean[:, None, None]
    assert torch.allclose(STOCK._unpatchify_latents(grid), theirs, atol=1e-4)


def test_a_cut_off_run_goes_on_where_it_was(data: Path, tmp_path: Path) -> None:
    config, schedule = SMOKE
    schedule = dataclasses.replace(schedule, steps=1)
    said: list[str] = []
    first = Trainer(klein.build(config, text=False), data, tmp_path, schedule, log=said.append)
    first._train_autoencoder()
    first.finished.append("autoencoder")
    first.keep(tmp_path / "state.pt")
    again = Trainer(klein.build(config, text=False), data, tmp_path, schedule, log=said.append)
    assert again.finished == ["autoencoder"]
    assert any("going on after autoencoder" in line for line in said)
    assert torch.equal(again.vae.bn.running_mean, first.vae.bn.running_mean)
    assert first.vae.bn.running_mean.abs().sum() > 0


def test_measure_writes_what_the_judge_saw(data: Path, trained: Path) -> None:
    measure(data, trained, judge_steps=2, triples=2, edits=1, prompts=("a cat", "a dog"))
    score = json.loads((trained / "score.json").read_text("utf-8"))
    assert score["edits"].keys() == {"ground", "style", "swap"}
    assert score["scenes"].keys() == {"pair", "several", "small", "painted"}
    assert score["asked"] == 2
    for name in ("grid.png", "edits.png"):
        with Image.open(trained / "embedded" / name) as sheet:
            assert sheet.width > 800

"""Train the embedded model: ``python -m chopmark.generation.training --preset cpu --out DIR``."""

from __future__ import annotations

import argparse
import dataclasses
import json
import random
import time
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from transformers import AutoTokenizer, BertModel

from chopmark.generation import DiffusersGenerator
from chopmark.generation.embedded import text_encoder_folder, write_folder
from chopmark.generation.training import autoencoder, denoiser, evaluate
from chopmark.generation.training.captions import sample_scene
from chopmark.generation.training.config import PRESETS, TrainingConfig
from chopmark.generation.training.data import Sprites
from chopmark.generation.training.export import export

if TYPE_CHECKING:
    from diffusers import AutoencoderTiny, UNet2DConditionModel


def run(config: TrainingConfig, out: Path, cache: Path) -> None:
    """Train decoder and denoiser, export them to ``out/embedded`` and measure the result."""
    out.mkdir(parents=True, exist_ok=True)
    with (out / "log.txt").open("a", encoding="utf-8") as lines:

        def log(line: str) -> None:
            line = f"{time.strftime('%H:%M:%S')} {line}"
            print(line, flush=True)
            print(line, file=lines, flush=True)

        log(json.dumps(dataclasses.asdict(config)))
        sprites = Sprites(cache)
        model = make_autoencoder(sprites, config)
        folder = text_encoder_folder()
        embed = denoiser.TextEmbedder(
            AutoTokenizer.from_pretrained(folder),
            BertModel.from_pretrained(folder, add_pooling_layer=False).eval(),
        )
        pool = denoiser.make_pool(sprites, model, embed, config.denoiser)
        log(f"pool of {len(pool.latents)} scenes and {len(pool.captions)} different captions")
        unet = denoiser.build(config.denoiser, config.autoencoder.latent_channels)
        unet = denoiser.train(unet, pool, config.denoiser, log=log)
        train_decoder(model, unet, pool, sprites, config, log)
        export(unet, model, out / "embedded", version=config.version)
        write_folder(out / "embedded", out / "plain")
        generator = DiffusersGenerator.load(out / "plain", name="embedded")
        evaluate.draw_grid(generator, evaluate.PROMPTS, out / "grid.png")
        score = evaluate.concept_accuracy(
            generator, evaluate.train_judge(sprites, log=log), sprites
        )
        log(json.dumps(dataclasses.asdict(score)))


def make_autoencoder(sprites: Sprites, config: TrainingConfig) -> AutoencoderTiny:
    """Return an autoencoder whose encoder is solved and whose decoder is untrained."""
    rng = random.Random(config.denoiser.seed)
    scenes = [sample_scene(rng) for _ in range(config.encoder_scenes)]
    model = autoencoder.build(config.autoencoder)
    autoencoder.solve_encoder(model, autoencoder.to_tensor([sprites.compose(s) for s in scenes]))
    return model


def train_decoder(
    model: AutoencoderTiny,
    unet: UNet2DConditionModel,
    pool: denoiser.Pool,
    sprites: Sprites,
    config: TrainingConfig,
    log: autoencoder.Log,
) -> None:
    """Train the decoder, half on true latents and half on the denoiser's guesses of them."""
    guessed = denoiser.guess(unet, pool, min(config.guesses, len(pool.scenes)))
    true = pool.latents[: len(guessed)].float()

    def draw(count: int) -> tuple[torch.Tensor, torch.Tensor]:
        chosen = torch.randint(len(guessed), (count,))
        pictures = [sprites.compose(pool.scenes[index]) for index in chosen.tolist()]
        mixed = torch.where(torch.rand(count, 1, 1, 1) < 0.5, guessed[chosen], true[chosen])
        return mixed / autoencoder.LATENT_SCALE, autoencoder.to_tensor(pictures)

    autoencoder.train_decoder(model, draw, config.autoencoder, log=log)


def main() -> None:
    """Read the command line and train."""
    parser = argparse.ArgumentParser(description="Train Chopmark's embedded picture model.")
    parser.add_argument("--preset", choices=sorted(PRESETS), default="cpu")
    parser.add_argument("--out", type=Path, required=True, help="folder for model, log and grid")
    parser.add_argument("--cache", type=Path, help="folder for npm packages (default: OUT/npm)")
    parser.add_argument("--minutes", type=float, help="minutes for the denoiser")
    parser.add_argument("--decoder-minutes", type=float, help="minutes for the decoder")
    options = parser.parse_args()
    config = PRESETS[options.preset]
    if options.minutes is not None:
        changed = dataclasses.replace(config.denoiser, minutes=options.minutes)
        config = dataclasses.replace(config, denoiser=changed)
    if options.decoder_minutes is not None:
        decoder = dataclasses.replace(config.autoencoder, minutes=options.decoder_minutes)
        config = dataclasses.replace(config, autoencoder=decoder)
    run(config, options.out, options.cache or options.out / "npm")


if __name__ == "__main__":
    main()

"""The settings of one training run, and the two that we keep."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from chopmark.generation.training.autoencoder import AutoencoderConfig
from chopmark.generation.training.denoiser import DenoiserConfig


@dataclass(frozen=True, kw_only=True)
class TrainingConfig:
    """Everything that a run depends on, seeds included."""

    version: str
    autoencoder: AutoencoderConfig = field(default_factory=AutoencoderConfig)
    denoiser: DenoiserConfig = field(default_factory=DenoiserConfig)
    encoder_scenes: int = 400
    guesses: int = 3000


PRESETS: Final[dict[str, TrainingConfig]] = {
    # Two CPU cores for two hours, as for the weights in the repository.
    "cpu": TrainingConfig(
        version="1",
        autoencoder=AutoencoderConfig(minutes=35.0),
        denoiser=DenoiserConfig(minutes=67.0, scenes=10_000, captions_per_scene=1),
    ),
    # A wider denoiser, larger batches and many more scenes; needs CUDA. Not run yet.
    "gpu": TrainingConfig(
        version="1-gpu",
        autoencoder=AutoencoderConfig(width=64, batch=64, minutes=8.0, device="cuda"),
        denoiser=DenoiserConfig(
            widths=(256, 512),
            batch=256,
            minutes=20.0,
            scenes=60_000,
            captions_per_scene=2,
            device="cuda",
        ),
    ),
}

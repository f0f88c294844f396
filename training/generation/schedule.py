"""How long and how hard each stage of the training is."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Schedule"]


@dataclass(frozen=True, kw_only=True)
class Schedule:
    """How long and how hard each stage trains.

    Attributes:
        minutes: of each stage, in the order of :data:`STAGES`.
        steps: ends a stage after so many steps instead; for tests.
        batch: pictures a step of the autoencoder, small and large.
        rate: learning rate of the autoencoder and of the denoiser.
        guidance: scale that is baked in.
        examples: how many of the training set to use.
        looked_at: pictures of a kind drawn to look at between stages.
        device: torch device.
        compile: compile the denoiser's blocks, beforehand in a process beside this one.
    """

    minutes: tuple[float, float, float, float] = (2.2, 2.4, 5.0, 1.0)
    steps: int | None = None
    batch: tuple[int, int, int] = (48, 768, 288)
    rate: tuple[float, float] = (1.5e-3, 2.5e-3)
    guidance: float = 2.0
    dropped_captions: float = 0.08
    average_decay: float = 0.998
    examples: int | None = None
    looked_at: int = 24
    seed: int = 0
    device: str = "cuda"
    compile: bool = True

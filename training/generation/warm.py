"""Compiles the denoiser's blocks beforehand, in a process of its own.

Eighteen graphs (two kinds of block, three numbers of references, two sizes, the teacher) take a
while, which the training of the autoencoder needs anyway. The trainer then finds them in torch's
cache on the disk.
"""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING, Any

import torch

from training.generation.denoiser import CYCLE, PART, Batch, flow_loss, predict
from training.generation.prepare import load_examples

if TYPE_CHECKING:
    from pathlib import Path

    from diffusers import Flux2KleinPipeline

    from training.generation.schedule import Schedule


def compile_blocks(model: Any) -> None:
    """Compile the blocks of a denoiser, each shape for itself."""
    torch._dynamo.config.recompile_limit = 64
    model.compile_repeated_blocks(fullgraph=True, dynamic=False)


def warm_up(pipeline: Flux2KleinPipeline, data: Path, schedule: Schedule) -> None:
    """Compile what :class:`.trainer.Trainer` will want, for its cache on the disk."""
    torch.set_float32_matmul_precision("high")
    model, device = pipeline.transformer.to(schedule.device), schedule.device
    compile_blocks(model)
    model.train()
    width = model.config.joint_attention_dim
    text = load_examples(data).silence
    for number, side in ((1, 8), (2, 16)):
        for references in sorted(set(CYCLE)):
            size = max(1, round(schedule.batch[number] * PART[references]))
            clean = torch.randn(size, side * side, model.config.in_channels, device=device)
            batch = Batch(
                clean=clean,
                references=[clean] * references,
                words=torch.randn(size, len(text), width, device=device),
                silence=torch.randn(1, len(text), width, device=device),
                side=side,
            )
            flow_loss(model, batch).backward()  # type: ignore[no-untyped-call]
            if number == 2:
                with torch.no_grad():
                    predict(model.eval(), batch, clean, torch.ones(size, device=device))
                model.train()


def start_warm_up(arguments: list[str]) -> subprocess.Popen[bytes]:
    """Start :func:`warm_up` in a process of its own."""
    return subprocess.Popen([sys.executable, "-m", "training.generation", "warm", *arguments])

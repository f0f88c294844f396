"""Trains the upscaler of drawings: pairs of a picture and its half, as it is and as decoders blur.

Each pair is a drawing on one of the grounds. Its half is made in one of two ways: scaled down, or
scaled down, encoded and decoded by the embedded model's autoencoder, since that is what it will be
asked to enlarge. One drawing in ten is held out by its name, for the figures and the sheet.
"""

from __future__ import annotations

import random
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import torch
from PIL import Image
from safetensors.torch import save_file

from chopmark.generation.upscaler import DrawingNet
from training.generation.data import PACKAGES, Outlines, Renders, TrainingDataError, fetch
from training.generation.openclipart import drawings
from training.generation.vocabulary import BACKGROUNDS, CONCEPTS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from torch import Tensor

__all__ = ["Pairs", "make_pairs", "train"]

#: Side in pixels of the larger picture of a pair; the autoencoder gets half.
SIDE: Final = 512
_MARGIN: Final = 0.875
_PATCH: Final = 48
_FILTERS: Final = (Image.Resampling.BOX, Image.Resampling.BICUBIC, Image.Resampling.LANCZOS)
_BATCH: Final = 24
_RATE: Final = 2e-3


@dataclass(frozen=True)
class Pairs:
    """Pictures and their halves.

    Attributes:
        small: (n, 3, SIDE / 2, SIDE / 2), uint8.
        large: (n, 3, SIDE, SIDE), uint8.
        decoded: (n,), whether the half went through the autoencoder.
    """

    small: Tensor
    large: Tensor
    decoded: Tensor


def _sprites(clipart: Path, cache: Path, *, held_out: bool, count: int) -> list[Image.Image]:
    """Return drawings: two thirds clip art, the others icons in outline and in relief."""
    found: list[Image.Image] = []
    rng = random.Random(0)
    chosen = [one for one in drawings(clipart) if one.held_out is held_out]
    rng.shuffle(chosen)
    for one in chosen:
        picture = one.render(SIDE)
        if picture is not None and min(picture.size) > SIDE // 4:
            found.append(picture)
        if len(found) >= count * 2 // 3:
            break
    concepts = [one for at, one in enumerate(CONCEPTS) if (at % 10 == 0) is held_out]
    rng.shuffle(concepts)
    sets = {name: fetch(package, cache) for name, package in PACKAGES.items()}
    sources: tuple[Outlines | Renders, ...] = (
        Renders(sets["fluent-emoji-3d"]),
        Outlines(sets["fluent-emoji-flat"]),
        Outlines(sets["noto"]),
    )
    for at, concept in enumerate(concepts * 3):
        if len(found) >= count:
            break
        try:
            found.append(sources[at % 3].draw(concept.emoji))
        except TrainingDataError:
            continue
    return found


def _composed(sprites: Sequence[Image.Image], rng: random.Random) -> Iterator[Image.Image]:
    """Yield each drawing on a ground; what is drawn small fills the picture by being repeated."""
    grounds = tuple(BACKGROUNDS.values())
    for sprite in sprites:
        ground = (255, 255, 255) if rng.random() < 0.3 else rng.choice(grounds)
        canvas = Image.new("RGB", (SIDE, SIDE), ground)
        if max(sprite.size) <= SIDE // 2:
            # Icons of fixed size are not enlarged: four of them, each as sharp as it is.
            for left in (0, SIDE // 2):
                for top in (0, SIDE // 2):
                    place = left + rng.randrange(16), top + rng.randrange(16)
                    canvas.paste(sprite, place, sprite)
        else:
            scale = _MARGIN * rng.uniform(0.5, 1.0)
            size = tuple(max(1, round(side * scale)) for side in sprite.size)
            shrunk = sprite.resize((size[0], size[1]), Image.Resampling.LANCZOS)
            left, top = (rng.randint(0, max(0, SIDE - side)) for side in shrunk.size)
            canvas.paste(shrunk, (left, top), shrunk)
        yield canvas


def make_pairs(
    clipart: Path, cache: Path, autoencoder: Any, *, count: int, held_out: bool = False
) -> Pairs:
    """Return ``count`` pairs, every second through the autoencoder.

    Args:
        clipart: where ``openclipart-svg`` was unpacked.
        cache: folder for npm tarballs.
        autoencoder: the embedded model's, of diffusers.
        count: how many.
        held_out: of the drawings that training does not see.
    """
    rng = random.Random(1 + held_out)
    small, large = [], []
    for at, canvas in enumerate(
        _composed(_sprites(clipart, cache, held_out=held_out, count=count), rng)
    ):
        half = _tensor(canvas.resize((SIDE // 2, SIDE // 2), rng.choice(_FILTERS)))
        if at % 2:
            with torch.inference_mode():
                latents = autoencoder.encode(half[None].float() / 127.5 - 1.0).latent_dist.mode()
                decoded = autoencoder.decode(latents).sample[0]
            half = decoded.clamp(-1.0, 1.0).add(1.0).mul(127.5).round().byte()
        small.append(half)
        large.append(_tensor(canvas))
    return Pairs(torch.stack(small), torch.stack(large), torch.arange(len(small)) % 2 == 1)


def _tensor(picture: Image.Image) -> Tensor:
    return torch.from_numpy(np.array(picture.convert("RGB"))).permute(2, 0, 1).contiguous()


def train(pairs: Pairs, *, minutes: float, log: Callable[[str], None], seed: int = 0) -> DrawingNet:
    """Return a network trained on ``pairs`` for so many minutes of the processor's time.

    Args:
        pairs: of :func:`make_pairs`.
        minutes: of CPU time; the learning rate falls to nothing within it.
        log: told of the loss.
        seed: of weights and patches.
    """
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    net = DrawingNet()
    net.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    optimizer = torch.optim.Adam(net.parameters(), lr=_RATE, betas=(0.9, 0.99))
    begun, step, mean = time.process_time(), 0, 0.0
    while (gone := (time.process_time() - begun) / (60.0 * minutes)) < 1.0:
        for group in optimizer.param_groups:
            group["lr"] = _RATE * min(1.0, (step + 1) / 50) * 0.5 * (1.0 + np.cos(np.pi * gone))
        small, large = _patches(pairs, rng)
        # Charbonnier's loss: an edge that is off counts as it is, not squared.
        loss = ((net(small) - large).square() + 1e-6).sqrt().mean()
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        step += 1
        mean += (float(loss.detach()) - mean) / min(step, 100)
        if step % 200 == 0:
            log(f"step {step}, loss {mean:.5f}, {gone:.0%}")
    return net


def _patches(pairs: Pairs, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
    small, large = [], []
    while len(small) < _BATCH:
        row = int(rng.integers(len(pairs.small)))
        top, left = (int(at) for at in rng.integers(0, SIDE // 2 - _PATCH + 1, 2))
        part = pairs.large[row, :, 2 * top : 2 * (top + _PATCH), 2 * left : 2 * (left + _PATCH)]
        # Plain ground teaches nothing; a little of it is kept, or noise would be drawn on it.
        if int(part.max() - part.min()) < 8 and rng.random() < 0.9:
            continue
        pair = [pairs.small[row, :, top : top + _PATCH, left : left + _PATCH], part]
        turns, mirrored = int(rng.integers(4)), bool(rng.integers(2))
        for at, one in enumerate(pair):
            turned = torch.rot90(one, turns, (1, 2))
            pair[at] = turned.flip(2) if mirrored else turned
        small.append(pair[0])
        large.append(pair[1])
    return tuple(
        torch.stack(part).float().div(255.0).contiguous(memory_format=torch.channels_last)
        for part in (small, large)
    )  # type: ignore[return-value]


def save(net: DrawingNet, file: Path) -> int:
    """Write the weights in half precision; return the file's bytes."""
    file.parent.mkdir(parents=True, exist_ok=True)
    save_file({name: value.half().contiguous() for name, value in net.state_dict().items()}, file)
    return file.stat().st_size

"""Train the upscaler of the embedded model: ``python -m training.generation.upscale``.

It learns from the drawings of Debian's package openclipart-svg (public domain), rendered at 512
pixels on plain grounds; half of the small pictures have been through the embedded model's
autoencoder, since that is what it would be given. One drawing in ten, by a digest of its path, is
held out for ``--measure``, which compares with Lanczos and draws a sheet. CPU alone.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import math
import random
import statistics
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import torch
from PIL import Image, ImageFilter
from safetensors.torch import save_file

from chopmark.generation.doubler import FILE_NAME, Doubler, read_doubler
from training.generation.data import TrainingDataError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

SIDE: Final = 512
#: Side of a small crop, and how many are in a step.
CROP: Final = 40
BATCH: Final = 16
_LARGEST: Final = 300_000  # bytes of an SVG; larger ones take seconds to render
_GROUNDS: Final = ((255, 255, 255), (255, 255, 255), (168, 214, 244), (62, 168, 92), (250, 218, 88))
_FILTERS: Final = (Image.Resampling.BOX, Image.Resampling.BICUBIC, Image.Resampling.LANCZOS)


def held_out(name: str) -> bool:
    """Tell whether a drawing is kept for measuring."""
    return hashlib.sha256(name.encode()).digest()[0] % 10 == 0


def drawings(folder: Path, *, held: bool) -> Iterator[Image.Image]:
    """Yield drawings at 512 by 512 pixels in an order that chance drew once.

    Args:
        folder: with SVG files, at any depth.
        held: the held-out ones, or the others.

    Raises:
        TrainingDataError: resvg-py, which only training needs, is not there.
    """
    try:
        import resvg_py
    except ImportError as error:
        message = "rendering the drawings needs resvg-py: pip install -e '.[train]'"
        raise TrainingDataError(message) from error
    files = [file for file in folder.rglob("*.svg") if held_out(file.name) == held]
    files.sort(key=lambda file: hashlib.sha256(file.name.encode()).hexdigest())
    for number, file in enumerate(files):
        if not 2_000 < file.stat().st_size < _LARGEST:
            continue
        try:
            text = file.read_text("utf-8", errors="replace")
            data = bytes(resvg_py.svg_to_bytes(svg_string=text, width=SIDE))
            drawn = Image.open(io.BytesIO(data)).convert("RGBA")
        except (ValueError, OSError):  # half of them are refused, mostly for entities of Adobe's
            continue
        drawn.thumbnail((SIDE - 40, SIDE - 40))
        ground = Image.new("RGB", (SIDE, SIDE), _GROUNDS[number % len(_GROUNDS)])
        place = (SIDE - drawn.width) // 2, (SIDE - drawn.height) // 2
        ground.paste(drawn, place, drawn)
        if np.asarray(ground.convert("L")).std() > 12:  # else there is next to nothing on it
            yield ground


def halved(picture: Image.Image, chance: random.Random) -> Image.Image:
    """Return a picture at half its size, by one of several filters, at times a little soft."""
    small = picture.resize((picture.width // 2, picture.height // 2), chance.choice(_FILTERS))
    soft = chance.random()
    return small.filter(ImageFilter.GaussianBlur(0.8 * soft)) if soft > 0.5 else small


def through_autoencoder(model: Path) -> Callable[[Image.Image], Image.Image]:
    """Return what encodes and decodes a picture with a model's autoencoder."""
    from diffusers import AutoencoderKLFlux2

    vae: Any = AutoencoderKLFlux2.from_pretrained(model / "vae").eval()

    def through(picture: Image.Image) -> Image.Image:
        array = np.asarray(picture, dtype=np.float32) / 127.5 - 1.0
        with torch.inference_mode():
            pixels = torch.from_numpy(array).permute(2, 0, 1)[None]
            decoded = vae.decode(vae.encode(pixels).latent_dist.mode()).sample[0]
        whole = decoded.clamp(-1, 1).add(1).mul(127.5).round().byte().permute(1, 2, 0)
        return Image.fromarray(np.ascontiguousarray(whole.numpy()))

    return through


def crops(
    pairs: list[tuple[NDArray[np.uint8], NDArray[np.uint8]]], chance: random.Random
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return a batch: small crops and their doubles in 0..1, where something is to be seen."""
    ones: list[NDArray[np.uint8]] = []
    twos: list[NDArray[np.uint8]] = []
    while len(ones) < BATCH:
        small, large = chance.choice(pairs)
        for _ in range(6):
            top, left = (chance.randrange(side - CROP + 1) for side in small.shape[:2])
            one = small[top : top + CROP, left : left + CROP]
            if one.std() > 8:
                break
        two = large[2 * top : 2 * (top + CROP), 2 * left : 2 * (left + CROP)]
        turns, mirror = chance.randrange(4), chance.random() < 0.5
        one, two = (np.rot90(part, turns) for part in (one, two))
        ones.append(one[:, ::-1] if mirror else one)
        twos.append(two[:, ::-1] if mirror else two)
    small_batch, large_batch = (
        torch.from_numpy(np.stack(part).astype(np.float32) / 255).permute(0, 3, 1, 2)
        for part in (ones, twos)
    )
    return small_batch, large_batch


def train(
    folder: Path, out: Path, *, model: Path | None, pictures: int, minutes: float, steps: int
) -> Path:
    """Train, and write ``out/upscaler/x2.safetensors``.

    Args:
        folder: with the drawings.
        out: for the result.
        model: folder of the unpacked embedded model, for its autoencoder; ``None`` does without.
        pictures: how many drawings.
        minutes: of this process's CPU time.
        steps: at most.
    """
    chance = random.Random(0)
    torch.manual_seed(0)
    through = through_autoencoder(model) if model is not None else None
    pairs = []
    for number, picture in enumerate(drawings(folder, held=False)):
        if number == pictures:
            break
        small = halved(picture, chance)
        if through is not None and number % 2:
            small = through(small)
        pairs.append((np.asarray(small), np.asarray(picture)))
    if not pairs:
        raise TrainingDataError(f"there is no drawing in {folder}")
    print(f"{len(pairs)} drawings after {time.process_time():.0f} s of CPU", flush=True)
    network = Doubler()
    optimizer = torch.optim.Adam(network.parameters(), lr=2e-3, betas=(0.9, 0.99))
    begun, total = time.process_time(), 0.0
    for step in range(steps):
        share = max(step / steps, (time.process_time() - begun) / (60 * minutes))
        if share >= 1:
            break
        for group in optimizer.param_groups:
            group["lr"] = 2e-3 * min(1.0, (step + 1) / 50) * (0.5 + 0.5 * math.cos(math.pi * share))
        small_batch, large_batch = crops(pairs, chance)
        loss = (network(small_batch) - large_batch).abs().mean()
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 0.5)
        optimizer.step()
        total += loss.item()
        if (step + 1) % 100 == 0:
            print(f"step {step + 1}: {255 * total / 100:.3f} levels, {share:.0%}", flush=True)
            total = 0.0
    file = out / FILE_NAME
    file.parent.mkdir(parents=True, exist_ok=True)
    save_file({name: part.contiguous() for name, part in network.state_dict().items()}, file)
    return file


def measure(folder: Path, out: Path, *, model: Path | None, pictures: int) -> None:
    """Print how near doubled held-out drawings come to the true ones, and draw a sheet."""
    network = read_doubler(out)
    if network is None:
        raise TrainingDataError(f"there is no {FILE_NAME} in {out}")
    through = through_autoencoder(model) if model is not None else None
    kinds = {"halved": None, **({"through the autoencoder": through} if through else {})}
    found: dict[str, list[tuple[float, float]]] = {kind: [] for kind in kinds}
    rows = []
    for number, picture in enumerate(drawings(folder, held=True)):
        if number == pictures:
            break
        half = picture.resize((SIDE // 2, SIDE // 2), Image.Resampling.BOX)
        for kind, way in kinds.items():
            small = half if way is None else way(half)
            plain, ours = (
                small.resize(picture.size, Image.Resampling.LANCZOS),
                network.doubled(small),
            )
            found[kind].append((_psnr(plain, picture), _psnr(ours, picture)))
            box = (160, 160, 352, 352)
            rows.append([one.crop(box) for one in (plain, ours, picture)])
    for kind, pairs in found.items():
        lanczos, mine = ([pair[at] for pair in pairs] for at in (0, 1))
        nearer = sum(ours > plain for plain, ours in pairs)
        print(
            f"{kind}: Lanczos {statistics.mean(lanczos):.2f} dB, ours {statistics.mean(mine):.2f} "
            f"dB, nearer in {nearer} of {len(pairs)}"
        )
    sheet = Image.new("RGB", (3 * 192 * 3, 192 * math.ceil(len(rows) / 3)))
    for at, row in enumerate(rows):
        for column, one in enumerate(row):
            sheet.paste(one, ((at % 3 * 3 + column) * 192, at // 3 * 192))
    sheet.save(out / "upscale.png")


def _psnr(one: Image.Image, other: Image.Image) -> float:
    apart = np.asarray(one, np.float64) - np.asarray(other, np.float64)
    return 10 * math.log10(255**2 / max(1e-9, float(np.mean(apart**2))))


def main() -> None:
    """Read the command line; train or measure."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--drawings", type=Path, default=Path("/usr/share/openclipart/svg"))
    parser.add_argument("--out", type=Path, default=Path("out/upscale"))
    parser.add_argument("--model", type=Path, help="the unpacked embedded model")
    parser.add_argument("--pictures", type=int, default=360)
    parser.add_argument("--minutes", type=float, default=15.0, help="of CPU time")
    parser.add_argument("--steps", type=int, default=100_000, help="at most")
    parser.add_argument("--measure", action="store_true", help="compare with Lanczos")
    options = parser.parse_args()
    if options.measure:
        pictures = min(options.pictures, 60)
        measure(options.drawings, options.out, model=options.model, pictures=pictures)
        return
    file = train(
        options.drawings, options.out, model=options.model,
        pictures=options.pictures, minutes=options.minutes, steps=options.steps,
    )  # fmt: skip
    print(f"{file}: {file.stat().st_size / 1024:.0f} KiB")


if __name__ == "__main__":
    main()

"""What of a model fits here, and how: the ways to load it, what each takes, which one is taken.

Everything is counted from configurations and the headers of weight files; nothing is loaded. What
the weights take is exact to a per cent or two. The memory for values in between is an estimate by
formula, and the seconds are the model's products at the speed that a plain product of matrices was
measured to have here: both say how much, not how much exactly.
"""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from chopmark.generation.part_sizes import part_sizes
from chopmark.generation.placement import hidden, needs, pick, positions

if TYPE_CHECKING:
    from collections.abc import Sequence

    from chopmark.generation.folders import Folder
    from chopmark.generation.interface import Quantization
    from chopmark.generation.options import LoadOptions, Offload
    from chopmark.generation.part_sizes import PartSize
    from chopmark.generation.placement import Need

__all__ = ["Fit", "Settled", "fit", "free_bytes", "measured_speed", "seconds", "settle", "ways"]

_LOG = logging.getLogger(__name__)
#: Quantizations whose sizes are known.
_COUNTED: Final = frozenset({"none", "int8", "fp8", "int4", "nf4"})
#: Ways on a card, the one that loses nothing first; `auto` takes the first that fits.
_ON_A_CARD: Final[tuple[tuple[str, Offload, bool], ...]] = (
    ("none", "none", False),
    ("none", "none", True),
    ("int8", "none", False),
    ("int8", "none", True),
    ("none", "model", True),
    ("none", "sequential", True),
)
#: Ways that somebody may ask for, but that are not taken by themselves: they cost quality, or were
#: not tried together.
_ALSO: Final[tuple[tuple[str, Offload, bool], ...]] = (
    ("nf4", "none", True),
    ("int4", "none", True),
    ("int8", "model", True),
)
_ON_A_CPU: Final[tuple[tuple[str, Offload, bool], ...]] = (
    ("none", "none", False),
    ("int8", "none", False),
    ("int8", "none", True),
)
#: Bytes a second over PCI Express 4.0 with 16 lanes, as it is had in practice.
_COPIED: Final = 20e9
_DEFAULT_STEPS: Final = 28


@dataclass(frozen=True, kw_only=True)
class Fit:
    """What can be done with a model here.

    Attributes:
        parts: its parts.
        dtype: of what is not quantized.
        device: what it was counted for.
        free: bytes that are free there.
        size: width and height in pixels that are rendered.
        steps: of one picture.
        ways: what each way takes.
        picked: what ``auto`` takes; ``None``: nothing fits.
    """

    parts: tuple[PartSize, ...]
    dtype: str
    device: str
    free: int
    size: tuple[int, int]
    steps: int
    ways: tuple[Need, ...]
    picked: Need | None


@dataclass(frozen=True, kw_only=True)
class Settled:
    """How a model is loaded, once ``auto`` is settled.

    Attributes:
        quantization: ``auto`` is left only on a CPU, where it is a matter of speed.
        offload: not ``auto``.
        tiled: whether the autoencoder goes by tiles.
    """

    quantization: Quantization
    offload: Offload
    tiled: bool


def fit(
    folder: Folder,
    *,
    device: str,
    dtype: str,
    free: int | None = None,
    size: tuple[int, int] | None = None,
) -> Fit:
    """Return what of a model fits on a device, and how.

    Args:
        folder: where it lies.
        device: ``cpu`` or a torch device.
        dtype: in which it would be loaded.
        free: bytes to plan for; ``None``: what is free there now.
        size: width and height in pixels; ``None``: the model's own.

    Raises:
        ModelLoadError: its files cannot be read.
    """
    parts = tuple(part_sizes(folder))
    known = folder.known
    native = int(folder.facts.get("native_size", 0)) or (known.size if known else 0) or 1024
    steps = int(folder.facts.get("default_steps", 0)) or (known.steps if known else _DEFAULT_STEPS)
    size = size or (native, native)
    free = free_bytes(device) if free is None else free
    found = ways(parts, device=device, dtype=dtype, size=size, steps=steps)
    return Fit(
        parts=parts,
        dtype=dtype,
        device=device,
        free=free,
        size=size,
        steps=steps,
        ways=tuple(found),
        picked=pick(found[: len(_ON_A_CPU if device == "cpu" else _ON_A_CARD)], free=free),
    )


def ways(
    parts: Sequence[PartSize], *, device: str, dtype: str, size: tuple[int, int], steps: int
) -> list[Need]:
    """Return what each way of loading takes, those that ``auto`` may take first."""
    on_card = device != "cpu"
    return [
        needs(
            parts,
            quantization=quantization,
            offload=offload,
            dtype=dtype,
            size=size,
            steps=steps,
            tiled=tiled,
            on_card=on_card,
        )
        for quantization, offload, tiled in ((*_ON_A_CARD, *_ALSO) if on_card else _ON_A_CPU)
    ]


def settle(folder: Folder, options: LoadOptions) -> Settled:
    """Return what ``auto`` means for this model here: the first way that fits into what is free.

    Where nothing fits it is the smallest way: the estimate may be too high, and loading says more.
    """
    device, dtype = options.torch_device, options.torch_dtype
    on_card = device.startswith("cuda")
    asked = Settled(
        quantization=options.quantization,
        offload="none" if options.offload == "auto" else options.offload,
        tiled=options.tiling == "on",
    )
    open_choices = "auto" in {options.quantization, options.offload, options.tiling}
    if not open_choices or (device != "cpu" and not on_card):
        return asked
    found = fit(folder, device=device, dtype=dtype)
    limit = options.memory_limit_mb * 2**20
    free = min(found.free, limit) if limit else found.free
    fixed = options.quantization if options.quantization in _COUNTED else "none"
    choices = [
        needs(
            found.parts,
            quantization=quantization if options.quantization == "auto" else fixed,
            offload=offload if options.offload == "auto" else options.offload,
            dtype=dtype,
            size=found.size,
            steps=found.steps,
            tiled=tiled if options.tiling == "auto" else options.tiling == "on",
            on_card=on_card,
        )
        for quantization, offload, tiled in (_ON_A_CARD if on_card else _ON_A_CPU)
    ]
    picked = pick(choices, free=free) if free else choices[0]
    fits = picked is not None
    picked = picked or min(choices, key=lambda one: one.total)
    # On a CPU int8 is a matter of speed, which `make_plan` knows.
    wish: Quantization = "int8" if picked.quantization == "int8" and on_card else "none"
    settled = Settled(
        quantization=wish if options.quantization == "auto" and on_card else options.quantization,
        offload=picked.offload,
        tiled=picked.tiled,
    )
    _LOG.info(
        "%s: weights %.1f GB, at the worst moment %.1f of %.1f GB free%s: quantization %s, offload"
        " %s, tiling %s",
        folder.path.name, picked.weights / 1e9, picked.total / 1e9, free / 1e9,
        "" if fits else " (it may not fit)", settled.quantization, settled.offload,
        "on" if settled.tiled else "off",
    )  # fmt: skip
    return settled


def free_bytes(device: str) -> int:
    """Return how much memory is free on ``device``; 0 where the system does not say."""
    if device != "cpu":
        import torch

        return int(torch.cuda.mem_get_info(device)[0])
    try:
        lines = Path("/proc/meminfo").read_text("ascii").splitlines()
    except OSError:
        return 0
    found = next((line for line in lines if line.startswith("MemAvailable:")), "")
    return int(found.split()[1]) * 1024 if found else 0


def seconds(found: Fit, need: Need, *, products_a_second: float) -> float:
    """Return about how long a picture takes: the denoiser's products, and the copying.

    Args:
        found: of :func:`fit`.
        need: one of its ways.
        products_a_second: of :func:`measured_speed`.
    """
    return (
        found.steps * products(found.parts, found.size) / products_a_second + need.moved / _COPIED
    )


def products(parts: Sequence[PartSize], size: tuple[int, int]) -> float:
    """Return the multiplications of one denoising step: those of the weights and of attention."""
    denoiser = next((part for part in parts if part.denoises), None)
    if denoiser is None:
        return 0.0
    at = positions(parts, size)
    weights = sum(count * at / 4.0**level for level, count in denoiser.products.items())
    # Scores and their sums over values; in a UNet they are small beside the convolutions.
    if denoiser.name != "transformer":
        return weights
    return weights + 2.0 * at * at * hidden(denoiser) * denoiser.blocks


def measured_speed(device: str, dtype: str) -> float:
    """Return the multiplications a second of a plain product of matrices on ``device``."""
    import torch

    side = 2048 if device != "cpu" else 768
    kind = getattr(torch, dtype)
    one = torch.ones(side, side, device=device, dtype=kind)

    def wait() -> None:
        if device != "cpu":
            torch.cuda.synchronize(device)

    best = 0.0
    for _ in range(4):
        wait()
        begun = time.perf_counter()
        _ = one @ one
        wait()
        best = max(best, side**3 / max(1e-9, time.perf_counter() - begun))
    return best

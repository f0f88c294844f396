"""Where a model's parts lie while they work, and what that takes: on the card, or in turns.

============== ==================================================== ==========================
offload        what is on the card                                  what it costs
============== ==================================================== ==========================
``none``       everything                                           nothing
``model``      one part at a time: the text encoder leaves when it  a copy of the weights for
               has read, the denoiser before the decoder comes      each picture
``sequential`` one layer at a time                                  a copy in each step
``auto``       the first of these that fits into what is free
============== ==================================================== ==========================

The copying is diffusers' own (``enable_model_cpu_offload``, ``enable_sequential_cpu_offload``).
"""

from __future__ import annotations

import logging
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from chopmark.errors import InvalidRequest
from chopmark.generation.part_sizes import WIDTHS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from chopmark.generation.options import Offload
    from chopmark.generation.part_sizes import PartSize

__all__ = ["Need", "needs", "pick", "place", "tile"]

_LOG = logging.getLogger(__name__)
#: Values of the width of the model that are alive at once in a block: input, norm, query, key,
#: value, result, and the four widths of the layer inside, twice.
_ALIVE: Final = 16
#: Layers of the second width that are alive in the last blocks of a decoder.
_DECODED: Final = 3
#: Pixels of a side that a decoder takes at once when it goes by tiles.
_TILE: Final = 512
#: What a card's own library takes before any weight.
_CONTEXT: Final = 600 * 2**20
#: Share of what is free that may be used: allocators leave gaps.
_ROOM: Final = 0.92


@dataclass(frozen=True, kw_only=True)
class Need:
    """What one way of loading takes.

    Attributes:
        quantization: of denoiser and text encoders.
        offload: see the module.
        tiled: whether the autoencoder goes by tiles.
        weights: bytes of weights on the device at the same time, at most.
        work: bytes beside them at the worst moment: an estimate by formula.
        moved: bytes of weights that are copied to the device for each picture.
    """

    quantization: str
    offload: Offload
    tiled: bool
    weights: int
    work: int
    moved: int

    @property
    def total(self) -> int:
        """Bytes at the worst moment."""
        return self.weights + self.work


def needs(
    parts: Sequence[PartSize],
    *,
    quantization: str,
    offload: Offload,
    dtype: str,
    size: tuple[int, int],
    steps: int = 1,
    tiled: bool = False,
    on_card: bool = True,
) -> Need:
    """Return what a model takes that is loaded so.

    Args:
        parts: of :func:`~chopmark.generation.part_sizes.part_sizes`.
        quantization: see :meth:`PartSize.bytes`.
        offload: not ``auto``.
        dtype: of what is not quantized.
        size: width and height in pixels that are rendered.
        steps: of one picture; sequential offloading copies the denoiser in each.
        tiled: whether the autoencoder goes by tiles.
        on_card: a card has a library of its own in it.
    """
    held = {part.name: part.bytes(quantization, dtype) for part in parts}
    texts = sum(held[part.name] for part in parts if part.reads)
    rest = sum(held.values()) - texts
    weights, moved = {
        "none": (rest + texts, 0),
        "model": (max(held.values(), default=0), texts + rest),
        "sequential": (
            max((part.largest * WIDTHS[dtype] for part in parts), default=0),
            texts + sum(held[p.name] * (steps if p.denoises else 1) for p in parts if not p.reads),
        ),
    }[offload]
    return Need(
        quantization=quantization,
        offload=offload,
        tiled=tiled,
        weights=weights,
        work=work(parts, dtype=dtype, size=size, tiled=tiled) + (_CONTEXT if on_card else 0),
        moved=moved,
    )


def work(parts: Sequence[PartSize], *, dtype: str, size: tuple[int, int], tiled: bool) -> int:
    """Return the bytes of values that are alive at the worst moment, the larger of both parts'."""
    width = WIDTHS[dtype]
    denoiser = next((part for part in parts if part.denoises), None)
    inside = 0
    if denoiser is not None:
        inside = positions(parts, size) * hidden(denoiser) * _ALIVE * width
    decoder = next((part for part in parts if part.name == "vae"), None)
    decoded = 0
    if decoder is not None:
        pixels = math.prod(size) if not tiled else min(math.prod(size), _TILE * _TILE)
        decoded = pixels * _channels(decoder) * _DECODED * width
    return max(inside, decoded)


def hidden(denoiser: PartSize) -> int:
    """Return the width of a denoiser: values at each position."""
    config = denoiser.config
    if "block_out_channels" in config:
        return int(config["block_out_channels"][0])
    heads = config.get("num_attention_heads", 0) * config.get("attention_head_dim", 0)
    return int(config.get("dim") or heads or 1024)


def positions(parts: Sequence[PartSize], size: tuple[int, int]) -> int:
    """Return at how many positions a denoiser works for a picture, at its finest level."""
    denoiser = next((part for part in parts if part.denoises), None)
    vae = next((part for part in parts if part.name == "vae"), None)
    side = _shrinks(vae) if vae is not None else 8
    if denoiser is not None and denoiser.name == "transformer":
        config = denoiser.config
        patch = config.get("patch_size") or (config.get("all_patch_size") or [1])[0]
        packed = 2 if denoiser.kind.startswith("Flux") else 1
        side *= max(int(patch), packed)
    return max(1, math.ceil(size[0] / side)) * max(1, math.ceil(size[1] / side))


def _shrinks(vae: PartSize) -> int:
    config = vae.config
    widths = (
        config.get("block_out_channels")
        or config.get("decoder_block_out_channels")
        or config.get("dim_mult")
        or (1, 1, 1, 1)
    )
    return 1 << (len(widths) - 1)


def _channels(vae: PartSize) -> int:
    config = vae.config
    if "dim_mult" in config:
        more = config["dim_mult"]
        return int(config["base_dim"]) * int(more[min(1, len(more) - 1)])
    widths = config.get("block_out_channels") or config.get("decoder_block_out_channels") or (64,)
    return int(widths[min(1, len(widths) - 1)])


def pick(choices: Sequence[Need], *, free: int) -> Need | None:
    """Return the first choice that fits into ``free`` bytes; ``None`` where none does."""
    return next((one for one in choices if one.total <= _ROOM * free), None)


def place(pipeline: Any, offload: Offload, *, device: str) -> None:
    """Put a pipeline that lies in main memory where it shall work.

    Args:
        pipeline: as it was loaded, not yet moved.
        offload: not ``auto``.
        device: torch device that computes.

    Raises:
        InvalidRequest: this family cannot be placed so.
    """
    import torch

    try:
        if offload == "sequential":
            card = torch.device(device)
            pipeline.enable_group_offload(
                onload_device=card,
                offload_type="leaf_level",
                # The next layer comes while this one computes.
                use_stream=card.type == "cuda",
            )
        elif offload == "model":
            pipeline.enable_model_cpu_offload(device=device)
        else:
            pipeline.to(device)
    except ValueError as error:
        raise InvalidRequest(
            f"{type(pipeline).__name__} cannot be offloaded as {offload}: {error}",
            hint="CHOPMARK_OFFLOAD=none, or a smaller quantization",
        ) from error
    _LOG.info("the model works on %s, offload %s", device, offload)


def tile(pipeline: Any) -> bool:
    """Let the autoencoder go by tiles and picture by picture; tell whether it can."""
    vae = getattr(pipeline, "vae", None)
    if vae is None or not hasattr(vae, "enable_tiling"):
        return False
    try:
        vae.enable_tiling()
        if hasattr(vae, "tile_sample_min_size"):
            # Such a decoder's tiles have its native size, which bounds nothing.
            shrinks = vae.tile_sample_min_size / vae.tile_latent_min_size
            vae.tile_sample_min_size = min(vae.tile_sample_min_size, _TILE)
            vae.tile_latent_min_size = int(vae.tile_sample_min_size / shrinks)
        if hasattr(vae, "enable_slicing"):
            vae.enable_slicing()
    except NotImplementedError:  # what the base class says of decoders that cannot
        return False
    return True

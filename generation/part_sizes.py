"""How large a model's parts are and what they compute, from configurations and headers alone.

Nothing is loaded: a safetensors file names the shape of every tensor in its first kilobytes. A part
without weight files is built from its configuration on the meta device, which holds shapes and no
numbers; so a model can be planned before it is fetched.
"""

from __future__ import annotations

import json
import math
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from chopmark.errors import ModelLoadError
from chopmark.generation.memory import shapes_in
from chopmark.generation.plan import DENOISERS, TEXT_ENCODERS

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from chopmark.generation.folders import Folder

__all__ = ["WIDTHS", "PartSize", "part_sizes"]

#: Bytes of one number.
WIDTHS: Final = {"float32": 4, "bfloat16": 2, "float16": 2}
#: Layers narrower than this are not quantized, nor are embeddings (:mod:`.int8`).
_NARROW: Final = 64
#: Bytes of a quantized weight, with the scales of its group where there are some.
_QUANTIZED: Final = {"int8": 1.0, "fp8": 1.0, "int4": 0.5 + 4 / 128, "nf4": 0.5 + 4 / 64}
_BLOCK: Final = re.compile(r"(?:^|\.)((?:[a-z_]*blocks|layers|h)\.\d+)\.")
_LEVEL: Final = re.compile(r"^(down_blocks|up_blocks)\.(\d+)\.")


@dataclass(frozen=True, kw_only=True)
class PartSize:
    """One part of a pipeline that has weights.

    Attributes:
        name: as ``model_index.json`` has it.
        kind: its class.
        config: its ``config.json``.
        numbers: how many weights.
        dense: how many of them are in linear layers that quantization takes.
        rows: outputs of those layers, of which each has a scale.
        largest: weights of its largest layer, which sequential offloading holds at once.
        blocks: how many blocks repeat.
        products: multiplications for one position, by the level of a UNet at which it lies; all at
            level 0 in a transformer.
    """

    name: str
    kind: str
    config: dict[str, Any]
    numbers: int
    dense: int
    rows: int
    largest: int
    blocks: int
    products: dict[int, int]

    @property
    def denoises(self) -> bool:
        """Whether it runs in every step."""
        return self.name in DENOISERS

    @property
    def reads(self) -> bool:
        """Whether it reads the prompt."""
        return self.name in TEXT_ENCODERS

    def bytes(self, quantization: str, dtype: str) -> int:
        """Return what its weights take in memory.

        Args:
            quantization: ``none``, ``int8``, ``fp8``, ``int4`` or ``nf4``; it takes denoisers and
                text encoders.
            dtype: of what is not quantized.
        """
        width = WIDTHS[dtype]
        if quantization not in _QUANTIZED or not (self.denoises or self.reads):
            return self.numbers * width
        packed = int(self.dense * _QUANTIZED[quantization])
        return packed + self.rows * 4 + (self.numbers - self.dense) * width


def part_sizes(folder: Folder) -> list[PartSize]:
    """Return the parts with weights of a diffusers folder, in the order of its index.

    Raises:
        ModelLoadError: a file is not what its name says, or there is neither file nor
            configuration.
    """
    found = []
    for name, kind in folder.parts.items():
        where = folder.path / name
        if not (where / "config.json").is_file():
            continue  # schedulers, tokenizers and image processors
        config = _json(where / "config.json")
        files = [file for file in folder.weights() if file.parent == where]
        shapes: Mapping[str, tuple[int, ...]] = {}
        for file in files or sorted(where.glob("*.fp16.safetensors")):
            shapes = {**shapes, **shapes_in(file)}
        if not shapes:
            shapes = _shapes_on_meta(name, kind, config, folder.path)
        found.append(_measured(name, kind, config, shapes))
    return found


def _json(file: Path) -> dict[str, Any]:
    try:
        value = json.loads(file.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise ModelLoadError(f"{file} is no configuration: {error}") from error
    if not isinstance(value, dict):
        raise ModelLoadError(f"{file} is no configuration: it holds no object")
    return value


def _measured(
    name: str, kind: str, config: dict[str, Any], shapes: Mapping[str, tuple[int, ...]]
) -> PartSize:
    if config.get("tie_word_embeddings") or config.get("text_config", {}).get(
        "tie_word_embeddings"
    ):
        # A head that is the embedding again takes no memory of its own.
        shapes = {key: shape for key, shape in shapes.items() if not key.startswith("lm_head")}
    dense = {key: shape for key, shape in shapes.items() if _is_dense(key, shape)}
    blocks = {found.group(1) for key in shapes if (found := _BLOCK.search(key))}
    return PartSize(
        name=name,
        kind=kind,
        config=config,
        numbers=sum(map(math.prod, shapes.values())),
        dense=sum(map(math.prod, dense.values())),
        rows=sum(shape[0] for shape in dense.values()),
        largest=max(map(math.prod, shapes.values()), default=0),
        blocks=len(blocks),
        products=_products(shapes, levels=len(config.get("block_out_channels") or (0,))),
    )


def _is_dense(name: str, shape: tuple[int, ...]) -> bool:
    wide = len(shape) == 2 and min(shape) >= _NARROW
    return wide and name.endswith(".weight") and "embed" not in name and "shared" not in name


def _products(shapes: Mapping[str, tuple[int, ...]], *, levels: int) -> dict[int, int]:
    found: dict[int, int] = {}
    for name, shape in shapes.items():
        if len(shape) < 2 or "embed" in name:
            continue
        place = _LEVEL.match(name)
        level = 0
        if place:
            level = int(place.group(2))
            level = level if place.group(1) == "down_blocks" else levels - 1 - level
        elif name.startswith("mid_block"):
            level = levels - 1
        found[level] = found.get(level, 0) + math.prod(shape)
    return found


def _shapes_on_meta(
    name: str, kind: str, config: dict[str, Any], path: Path
) -> dict[str, tuple[int, ...]]:
    import diffusers
    import torch
    import transformers

    try:
        with torch.device("meta"):
            if hasattr(diffusers, kind):
                part = getattr(diffusers, kind).from_config(config)
            else:
                made = transformers.AutoConfig.for_model(**config)
                part = getattr(transformers, kind)._from_config(made)  # noqa: SLF001 - its one way
    except Exception as error:  # whatever a foreign configuration makes it raise
        raise ModelLoadError(
            f"{path / name} has no weights, and its configuration makes no {kind}:"
            f" {type(error).__name__}: {error}",
            hint="fetch the model first: chopmark models pull",
        ) from error
    return {key: tuple(value.shape) for key, value in _unique(part.named_parameters())}


def _unique(named: Iterable[tuple[str, Any]]) -> list[tuple[str, Any]]:
    return list({id(value): (key, value) for key, value in named}.values())

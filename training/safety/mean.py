"""The mean of what several sittings of training ended with.

Sittings that went on from one another lie close together, and the mean of their weights is right
more often outside of what was trained on than each of them (Wortsman et al., 2022, "Model soups").
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from safetensors.numpy import load_file

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    Arrays = dict[str, np.ndarray[Any, Any]]

__all__ = ["mean_of"]

#: Nothing of these is learned, and an exported file holds them in another form.
_KEPT = ("embeddings.position", "embeddings.token_type", "embeddings.word")


def mean_of(
    start: Mapping[str, np.ndarray[Any, Any]], works: Sequence[Path]
) -> tuple[Arrays, Arrays]:
    """Return the mean layers, and ``weight`` and ``bias`` of the mean head.

    Args:
        start: The layers of an earlier training, ``head.weight`` and ``head.bias``.
        works: Work folders of sittings of one pass that ran to their end.

    Raises:
        FileNotFoundError: A folder holds no such sitting.
    """
    import torch

    layers = [load_file(work / "encoder.safetensors") for work in works]
    heads = [torch.load(work / "pass1.pt", weights_only=True)["h"] for work in works]
    made = {
        name: value
        if name.startswith(_KEPT)
        else _mean([start[name], *(other[name] for other in layers)])
        for name, value in layers[0].items()
    }
    head = {
        name: _mean([start[f"head.{name}"], *(other[name].numpy() for other in heads)])
        for name in ("weight", "bias")
    }
    return made, head


def _mean(values: Sequence[np.ndarray[Any, Any]]) -> np.ndarray[Any, Any]:
    made: np.ndarray[Any, Any] = np.stack(values).mean(axis=0, dtype=np.float32)
    return made

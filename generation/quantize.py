"""Eight-bit linear layers on the CPU."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

from chopmark.errors import InvalidRequest

if TYPE_CHECKING:
    from chopmark.generation.interface import Quantization

#: What may hold linear layers worth quantizing; autoencoders are convolutions and decide the
#: picture's last detail.
_PARTS = ("transformer", "unet", "text_encoder", "text_encoder_2", "text_encoder_3")


def quantize(pipeline: Any, wish: Quantization, *, device: str) -> str:
    """Quantize the linear layers of ``pipeline`` in place; return what was done: none or int8.

    Weights become int8 for each tensor and activations are quantized at run time (torch's dynamic
    quantization). Measured on two AVX512-VNNI cores: 1.76 times faster for a transformer of 119 M
    parameters, 1.13 times for a UNet, at 2.2 % relative error of the output.

    Raises:
        InvalidRequest: the wish is unknown, or int8 is asked for on another device than the CPU.
    """
    if wish not in {"auto", "none", "int8"}:
        raise InvalidRequest(f"unknown quantization {wish!r}", hint="one of auto, none, int8")
    if wish == "int8" and device != "cpu":
        raise InvalidRequest(
            f"int8 runs on the CPU only, not on {device}", hint="use none or auto there"
        )
    worthwhile = getattr(pipeline, "transformer", None) is not None and device == "cpu"
    if wish == "none" or (wish == "auto" and not worthwhile):
        return "none"
    import torch

    with warnings.catch_warnings():
        # The successor that the deprecation names, torchao, is several times slower here unless
        # compiled.
        warnings.simplefilter("ignore")
        for name in _PARTS:
            part = getattr(pipeline, name, None)
            if isinstance(part, torch.nn.Module):
                run: Any = torch.ao.quantization.quantize_dynamic
                run(part, {torch.nn.Linear}, dtype=torch.qint8, inplace=True)
    return "int8"

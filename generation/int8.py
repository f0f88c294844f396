"""Linear layers in eight bits on a CPU, ready at once, where each row has a scale of its own.

Weights get one scale for each output, activations one for each token when they come, and whole
numbers are multiplied (LLM.int8's vector-wise quantization, Dettmers et al. 2022, without its
outliers). Since no scale looks beyond its token, a picture in a batch is the picture that it is
alone. Measured on FLUX.2 klein's layout: the speed of torch's dynamic quantization, which has one
scale for a whole call, at two thirds of its error; compiled, the speed of torchao's.
"""

from __future__ import annotations

from typing import Final

import torch
from torch import Tensor, nn

__all__ = ["Int8Linear", "quantize_linears"]

#: Narrower layers cost more to quantize than they save.
_NARROW: Final = 64
_TINY: Final = 1e-12


class Int8Linear(nn.Module):
    """A linear layer whose product is computed in whole numbers.

    Args:
        linear: the float32 layer that it takes the place of.
    """

    rows: Tensor
    scale: Tensor
    #: Pipelines that read a layer's weight must fail, not take eight bits for its values.
    weight: None = None

    def __init__(self, linear: nn.Linear) -> None:
        super().__init__()
        self.in_features, self.out_features = linear.in_features, linear.out_features
        weight = linear.weight.detach()
        scale = weight.abs().amax(dim=1).clamp(min=_TINY) / 127.0
        self.register_buffer("rows", (weight / scale[:, None]).round().to(torch.int8))
        self.register_buffer("scale", scale)
        self.bias = linear.bias

    def forward(self, values: Tensor) -> Tensor:
        """Return the layer's result, (..., ``out_features``), for (..., ``in_features``)."""
        tokens = values.reshape(-1, self.in_features)
        # In place where it can be: memory for a fresh result costs more than computing its numbers.
        scale = tokens.abs().amax(dim=1, keepdim=True).clamp_(min=_TINY).div_(127.0)
        whole = (tokens / scale).round_().to(torch.int8)
        product = torch._int_mm(whole, self.rows.t())  # noqa: SLF001 - there is no other
        result = product.float().mul_(scale).mul_(self.scale)
        if self.bias is not None:
            result.add_(self.bias)
        return result.reshape(*values.shape[:-1], self.out_features)

    def extra_repr(self) -> str:
        """Return what ``repr`` shows."""
        return f"in_features={self.in_features}, out_features={self.out_features}"


def quantize_linears(module: nn.Module) -> None:
    """Replace the wide linear layers inside ``module``, which is in float32 on the CPU.

    Embedders of time and position stay: they are small, decide much, and Z-Image reads the dtype of
    their weights. So does a head that is the table of word embeddings again: the table stays as it
    is, and a copy in eight bits would be memory on top.
    """
    tables = {id(one.weight) for one in module.modules() if isinstance(one, nn.Embedding)}
    _quantize(module, tables)


def _quantize(module: nn.Module, tables: set[int]) -> None:
    for name, child in list(module.named_children()):
        if "embed" in name:
            continue
        if type(child) is not nn.Linear:
            _quantize(child, tables)
        elif (
            min(child.in_features, child.out_features) >= _NARROW and id(child.weight) not in tables
        ):
            setattr(module, name, Int8Linear(child))

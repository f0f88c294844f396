"""Muon: momentum whose matrix updates are made orthogonal.

Jordan et al. 2024; the scale of the updates is that of Liu et al. 2025, arXiv:2502.16982. torch has
one too, which goes matrix by matrix; the few hundred small ones of this model then cost more in
launches than in arithmetic. Here matrices of one shape go through together.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Final

import torch
from torch import Tensor

if TYPE_CHECKING:
    from collections.abc import Iterable

#: Coefficients of the quintic Newton-Schulz iteration: steep at 0, near 1 after five rounds.
_QUINTIC: Final = (3.4445, -4.7750, 2.0315)
_ROUNDS: Final = 5
#: Brings the update to the root mean square that AdamW's has, so that both take one learning rate.
_LIKE_ADAM: Final = 0.2


class Muon(torch.optim.Optimizer):
    """Optimizer of matrices.

    Args:
        parameters: of two dimensions each.
        lr: learning rate, in AdamW's measure.
        momentum: of the gradient's moving average.
        weight_decay: decoupled, a step.
    """

    def __init__(
        self,
        parameters: Iterable[Tensor],
        *,
        lr: float = 1e-3,
        momentum: float = 0.95,
        weight_decay: float = 0.01,
    ) -> None:
        super().__init__(
            list(parameters), {"lr": lr, "momentum": momentum, "weight_decay": weight_decay}
        )
        self._momenta: dict[torch.Size, Tensor] = {}

    @torch.no_grad()
    def step(self) -> None:  # type: ignore[override]
        """Move every parameter that has a gradient."""
        for group in self.param_groups:
            alike = defaultdict(list)
            for parameter in group["params"]:
                alike[parameter.shape].append(parameter)
            for shape, parameters in alike.items():
                gradients = torch.stack([parameter.grad for parameter in parameters])
                momentum = self._momenta.setdefault(shape, torch.zeros_like(gradients))
                momentum.lerp_(gradients, 1 - group["momentum"])
                ahead = gradients.lerp(momentum, group["momentum"])
                size = _LIKE_ADAM * max(shape) ** 0.5
                updates = list(orthogonal(ahead).mul_(size).unbind())
                torch._foreach_mul_(parameters, 1 - group["lr"] * group["weight_decay"])
                torch._foreach_add_(parameters, updates, alpha=-group["lr"])


def orthogonal(matrices: Tensor) -> Tensor:
    """Return (n, rows, columns) with each matrix' singular values near 1 and its vectors kept."""
    across = matrices.shape[-2] > matrices.shape[-1]
    result = matrices.mT if across else matrices
    result = result.to(torch.bfloat16 if matrices.is_cuda else torch.float32)
    result = result / (result.norm(dim=(-2, -1), keepdim=True) + 1e-7)
    a, b, c = _QUINTIC
    for _ in range(_ROUNDS):
        square = result @ result.mT
        result = a * result + (b * square + c * square @ square) @ result
    result = result.mT if across else result
    made: Tensor = result.to(dtype=matrices.dtype)
    return made

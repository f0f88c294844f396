"""A denoiser that runs in OpenVINO on the CPU, inside the stock pipeline.

At the first call with inputs of a shape the module is traced with them and compiled; later calls of
that shape run the compiled model. Weights become 8-bit with NNCF when asked for; what is computed
stays float32.
"""

from __future__ import annotations

import inspect
from collections import OrderedDict
from types import SimpleNamespace
from typing import Any, Final

#: Compiled shapes that are kept; each holds its own weights.
_SHAPES: Final = 4


def run_with_openvino(module: Any, *, int8: bool) -> None:
    """Replace ``module.forward`` in place.

    Args:
        module: the denoiser of a pipeline, on the CPU in float32.
        int8: compress its weights to eight bits.
    """
    module.forward = _Runner(module, int8=int8)


class _Runner:
    """Takes the place of a module's ``forward``; one thread at a time."""

    def __init__(self, module: Any, *, int8: bool) -> None:
        self._module = module
        self._int8 = int8
        self._signature = inspect.signature(type(module).forward)
        self._compiled: OrderedDict[Any, Any] = OrderedDict()

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        import torch

        given = dict(self._signature.bind(self._module, *args, **kwargs).arguments)
        given.pop("self")
        as_object = bool(given.pop("return_dict", True))
        tensors, rest = _split(given)
        shapes = tuple((name, tuple(t.shape), t.dtype) for name, t in tensors.items())
        key = (shapes, repr(sorted(rest.items())))
        if key not in self._compiled:
            self._compiled[key] = self._compile(tensors, rest)
            while len(self._compiled) > _SHAPES:
                self._compiled.popitem(last=False)
        self._compiled.move_to_end(key)
        result = self._compiled[key]([tensor.numpy() for tensor in tensors.values()])
        sample = torch.from_numpy(result[0].copy())
        return SimpleNamespace(sample=sample) if as_object else (sample,)

    def _compile(self, tensors: dict[str, Any], rest: dict[str, Any]) -> Any:
        import openvino
        import torch

        module, names = self._module, list(tensors)

        class Traced(torch.nn.Module):
            """Takes the tensors in a row, gives the one result."""

            def __init__(self) -> None:
                super().__init__()
                self.inner = module

            def forward(self, *values: Any) -> Any:
                given = _join(dict(zip(names, values, strict=True)), rest)
                return type(module).forward(module, **given, return_dict=False)[0]

        with torch.no_grad():
            traced = openvino.convert_model(Traced().eval(), example_input=tuple(tensors.values()))
        if self._int8:
            import nncf

            traced = nncf.compress_weights(traced)
        return openvino.compile_model(traced, "CPU", {"PERFORMANCE_HINT": "LATENCY"})


def _split(given: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Part tensors from everything else; a dict of tensors is opened, ``outer/inner``."""
    import torch

    tensors: dict[str, Any] = {}
    rest: dict[str, Any] = {}
    for name, value in given.items():
        if isinstance(value, torch.Tensor):
            tensors[name] = value
        elif isinstance(value, dict) and value:
            for inner, item in value.items():
                kind = tensors if isinstance(item, torch.Tensor) else rest
                kind[f"{name}/{inner}"] = item
        else:
            rest[name] = value
    return tensors, rest


def _join(tensors: dict[str, Any], rest: dict[str, Any]) -> dict[str, Any]:
    given: dict[str, Any] = {}
    for name, value in {**rest, **tensors}.items():
        outer, slash, inner = name.partition("/")
        if slash:
            given.setdefault(outer, {})[inner] = value
        else:
            given[name] = value
    return given

"""What is done to a model while and after it loads, once that is decided."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from chopmark.generation.options import Runtime

__all__ = ["DENOISERS", "TEXT_ENCODERS", "Plan"]

DENOISERS: Final = ("transformer", "unet")
"""What diffusers calls the part that denoises."""
TEXT_ENCODERS: Final = ("text_encoder", "text_encoder_2", "text_encoder_3")
"""What diffusers calls the parts that read the prompt."""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What will be done to a model.

    Attributes:
        quantization: what :attr:`ModelInfo.quantization` will say.
        config: diffusers' own configuration for loading, or ``None``.
        replaced: parts that are loaded here and handed to the loader.
        runtime: how the denoiser runs.
    """

    quantization: str
    config: Any = None
    replaced: dict[str, Any] | None = None
    runtime: Runtime = "eager"

    def finish(self, pipeline: Any) -> None:
        """Do to the loaded pipeline what is done after loading."""
        parts = [getattr(pipeline, name, None) for name in (*DENOISERS, *TEXT_ENCODERS)]
        modules = [part for part in parts if part is not None]
        on_cpu = self.quantization == "int8" and self.config is None
        if self.runtime == "openvino":
            from chopmark.generation.openvino_runtime import run_with_openvino

            for part in modules[:1]:
                run_with_openvino(part, int8=on_cpu)
            return
        if on_cpu:
            from chopmark.generation.int8 import quantize_linears

            for part in modules:
                quantize_linears(part)
        if self.runtime == "compile":
            _compile(modules[0])


def _compile(denoiser: Any) -> None:
    """Compile in place, so that the pipeline still finds a module of its own kind."""
    if getattr(denoiser, "_repeated_blocks", None):
        # Once for each kind of block instead of for the whole network: minutes become seconds.
        denoiser.compile_repeated_blocks()
    else:
        denoiser.compile()

"""How a model is loaded and run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal, TypeAlias, get_args

from chopmark.errors import InvalidRequest
from chopmark.kit import limits

if TYPE_CHECKING:
    from chopmark.generation.interface import Quantization

Runtime: TypeAlias = Literal["eager", "compile", "openvino"]
Offload: TypeAlias = Literal["auto", "none", "model", "sequential"]
Tiling: TypeAlias = Literal["auto", "on", "off"]
DTYPES: Final = ("float32", "bfloat16", "float16")


@dataclass(frozen=True, kw_only=True)
class LoadOptions:
    """How a model is loaded and run.

    Attributes:
        device: ``auto`` (a GPU where torch sees one, else the CPU) or a torch device.
        dtype: ``auto``, ``float32``, ``bfloat16`` or ``float16``. ``auto`` is float32 on a CPU:
            one without native support for a short format was measured to be four times slower in
            it; on a GPU it is bfloat16 where that is native, else float16.
        quantization: see :mod:`chopmark.generation.quantize`.
        runtime: ``eager`` is ready at once; ``compile`` compiles the denoiser, which takes a minute
            or more and is for a server that stays; ``openvino`` runs it in OpenVINO on a CPU.
        offload: what lies on the card while it works, see :mod:`chopmark.generation.placement`;
            ``auto`` is the first that fits into what is free, on a CPU ``none``.
        tiling: whether the autoencoder decodes by tiles, which bounds its memory and may show
            seams; ``auto`` does so where the whole does not fit.
        attention: diffusers' name of an attention back end (``native``, ``flash``, ``sage``, ...);
            ``auto`` leaves the choice to torch.
        step_cache: how far the first block's result may be from that of the step before for the
            others to be taken over from it (0.05 to 0.3 are usual); 0 computes every step whole.
        loras: adapters to add, see :mod:`chopmark.generation.lora`.
        max_batch: pictures that share a call of the model, 1 to 64.
        max_waiting: pictures that may wait for the model.
        prompt_cache_mb: MiB for embeddings of prompts that come again; 0 for none.
        memory_limit_mb: MiB that the process (on a GPU: its share of the card) may take; 0 for no
            limit. A model that would be over it does not load.

    Raises:
        InvalidRequest: a value is out of its range.
    """

    device: str = "auto"
    dtype: str = "auto"
    quantization: Quantization = "auto"
    runtime: Runtime = "eager"
    offload: Offload = "auto"
    tiling: Tiling = "auto"
    attention: str = "auto"
    step_cache: float = 0.0
    loras: tuple[str, ...] = ()
    max_batch: int = 8
    max_waiting: int = 256
    prompt_cache_mb: int = 64
    memory_limit_mb: int = 0

    def __post_init__(self) -> None:
        if self.dtype not in {"auto", *DTYPES}:
            raise InvalidRequest(f"unknown dtype {self.dtype!r}", hint=f"auto, {', '.join(DTYPES)}")
        if self.runtime not in get_args(Runtime):
            raise InvalidRequest(
                f"unknown runtime {self.runtime!r}", hint=", ".join(get_args(Runtime))
            )
        for name, value, kind in (
            ("offload", self.offload, Offload),
            ("tiling", self.tiling, Tiling),
        ):
            if value not in get_args(kind):
                raise InvalidRequest(f"unknown {name} {value!r}", hint=", ".join(get_args(kind)))
        if not 0.0 <= self.step_cache < 1.0:
            raise InvalidRequest(f"step_cache is {self.step_cache}", hint="0 to below 1")
        limits.BATCH.check(self.max_batch, name="max_batch")
        for name in ("max_waiting", "prompt_cache_mb", "memory_limit_mb"):
            if getattr(self, name) < 0:
                raise InvalidRequest(f"{name} is {getattr(self, name)}, less than 0")

    @property
    def torch_device(self) -> str:
        """The device that ``device`` means here.

        Raises:
            InvalidRequest: torch knows no such device, or has none here.
        """
        import torch

        if self.device == "auto":
            return "cuda" if torch.cuda.is_available() else "cpu"
        try:
            kind = torch.device(self.device).type
        except RuntimeError as error:
            raise InvalidRequest(
                f"torch knows no device {self.device!r}", hint="auto, cpu, cuda or cuda:1"
            ) from error
        if kind == "cuda" and not torch.cuda.is_available():
            raise InvalidRequest(
                f"there is no GPU here for device {self.device!r}", hint="auto or cpu"
            )
        return self.device

    @property
    def torch_dtype(self) -> str:
        """The dtype that ``dtype`` means here."""
        if self.dtype != "auto":
            return self.dtype
        if self.torch_device == "cpu":
            return "float32"
        import torch

        return "bfloat16" if torch.cuda.is_bf16_supported() else "float16"

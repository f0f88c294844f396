"""Fewer bits for a model's weights: what can be asked for, where it works, and how it is done.

============ =========================================================== =====================
wish         what is done                                                where
============ =========================================================== =====================
``none``     nothing                                                     everywhere
``int8``     CPU: 8-bit weights and activations (:mod:`.int8`);          CPU, CUDA
             CUDA: torchao, 8-bit weights
``fp8``      torchao, 8-bit floating point weights and activations       CUDA 8.9 and later
``int4``     torchao, 4-bit weights in groups of 128                     CUDA 8.0 and later
``nf4``      bitsandbytes, 4-bit normal floats (Dettmers et al. 2023)    CUDA
``gguf``     the denoiser from a ``.gguf`` file in its folder            everywhere
``svdquant`` a checkpoint that was made with SVDQuant (Li et al. 2024)   CUDA, not Hopper
``auto``     CPU: ``int8`` for transformers where the processor sums     everywhere
             bytes (AVX-512 VNNI, AMX), else ``none``;
             CUDA: ``none`` if the weights fit, else ``int8``
============ =========================================================== =====================

Only denoisers and text encoders are quantized: autoencoders are convolutions and decide the
picture's last detail. What cannot work is refused before anything is loaded.
"""

from __future__ import annotations

import importlib.util
import json
from functools import partial
from typing import TYPE_CHECKING, Any, Final, get_args

from chopmark.errors import InvalidRequest, ModelLoadError
from chopmark.generation.interface import Quantization
from chopmark.generation.plan import DENOISERS, TEXT_ENCODERS, Plan

if TYPE_CHECKING:
    from collections.abc import Iterable

    from chopmark.generation.folders import Folder
    from chopmark.generation.options import Runtime

#: Share of a GPU's free memory that weights may take before `auto` quantizes them.
_ROOM: Final = 0.8


def make_plan(
    folder: Folder, wish: Quantization, *, device: str, dtype: str, runtime: Runtime
) -> Plan:
    """Decide what ``wish`` means for this model on this device.

    Raises:
        InvalidRequest: the wish is unknown, or cannot work here; the hint says what can.
        ModelLoadError: a file that the wish needs is not in the folder.
    """
    if wish not in get_args(Quantization):
        raise InvalidRequest(
            f"unknown quantization {wish!r}", hint=f"one of {', '.join(get_args(Quantization))}"
        )
    on_cuda = device.startswith("cuda")
    _check_runtime(runtime, device=device)
    denoiser = next((name for name in DENOISERS if name in folder.parts), None)
    if wish == "auto":
        wish = _auto(folder, denoiser, device=device, dtype=dtype)
    if wish == "none" or denoiser is None:
        return Plan(quantization="none", runtime=runtime)
    if wish == "gguf":
        return _gguf(folder, denoiser, dtype=dtype, runtime=runtime)
    if wish == "svdquant":
        return _svdquant(folder, denoiser, on_cuda=on_cuda, runtime=runtime)
    if wish == "int8" and not on_cuda:
        if device != "cpu":
            raise InvalidRequest(f"int8 does not run on {device}", hint="cpu or cuda, or none")
        if dtype != "float32":
            raise InvalidRequest(
                f"int8 on a CPU starts from float32, not {dtype}", hint="leave the dtype at auto"
            )
        return Plan(quantization="int8", runtime=runtime)
    if not on_cuda:
        raise InvalidRequest(
            f"{wish} has no kernels for {device}",
            hint="on a CPU there are int8, gguf and none",
        )
    texts = [name for name in TEXT_ENCODERS if name in folder.parts]
    config = (
        _nf4([denoiser, *texts], dtype)
        if wish == "nf4"
        else _torchao(wish, denoiser, texts, device)
    )
    return Plan(quantization=wish, config=config, runtime=runtime)


def _auto(folder: Folder, denoiser: str | None, *, device: str, dtype: str) -> Quantization:
    if not device.startswith("cuda"):
        # Measured: 1.8 to 2.1 times for transformers, nothing for convolutions. Without
        # instructions for sums of bytes torch takes them one by one: 25 times slower than float32.
        suits = denoiser == "transformer" and dtype == "float32" and _sums_bytes()
        return "int8" if suits else "none"
    import torch

    free, _ = torch.cuda.mem_get_info(device)
    width = 4 if dtype == "float32" else 2
    fits = folder.numbers() * width < _ROOM * free
    return "none" if fits or importlib.util.find_spec("torchao") is None else "int8"


def _sums_bytes() -> bool:
    """Tell whether the processor has AVX-512 VNNI or AMX, without which int8 is slow."""
    import torch

    # torch has no public names for these.
    asked = (getattr(torch.cpu, f"_is_{name}_supported", None) for name in ("vnni", "amx_tile"))
    return any(ask is not None and ask() for ask in asked)


def _check_runtime(runtime: Runtime, *, device: str) -> None:
    if runtime == "openvino":
        if device != "cpu":
            raise InvalidRequest(
                "OpenVINO is used on the CPU only", hint="runtime eager or compile"
            )
        _need("openvino", "openvino")
    if runtime == "compile" and device == "cpu":
        import shutil

        if not any(shutil.which(name) for name in ("g++", "clang++", "c++")):
            raise InvalidRequest(
                "torch.compile needs a C++ compiler, and there is none on the PATH",
                hint="install g++, or use CHOPMARK_RUNTIME=eager",
            )


def _need(package: str, extra: str) -> None:
    if importlib.util.find_spec(package) is None:
        raise InvalidRequest(
            f"this needs the package {package}", hint=f"pip install 'chopmark[{extra}]'"
        )


def _torchao(wish: str, denoiser: str, texts: Iterable[str], device: str) -> Any:
    _need("torchao", "gpu")
    import torch
    from diffusers import PipelineQuantizationConfig
    from diffusers import TorchAoConfig as ForDenoiser
    from torchao import quantization as ao
    from transformers import TorchAoConfig as ForText

    capability = torch.cuda.get_device_capability(device)
    least, make = {
        "int8": ((7, 5), ao.Int8WeightOnlyConfig),
        "fp8": ((8, 9), ao.Float8DynamicActivationFloat8WeightConfig),
        "int4": ((8, 0), partial(ao.Int4WeightOnlyConfig, group_size=128)),
    }[wish]
    if capability < least:
        raise InvalidRequest(
            f"{wish} needs compute capability {least[0]}.{least[1]}, this GPU has"
            f" {capability[0]}.{capability[1]}",
            hint="int8 and nf4 run on older GPUs",
        )
    mapping: dict[str, Any] = {denoiser: ForDenoiser(make())}
    mapping |= {name: ForText(make()) for name in texts}
    return PipelineQuantizationConfig(quant_mapping=mapping)


def _nf4(names: list[str], dtype: str) -> Any:
    _need("bitsandbytes", "gpu")
    import torch
    from diffusers import BitsAndBytesConfig as ForDenoiser
    from diffusers import PipelineQuantizationConfig
    from transformers import BitsAndBytesConfig as ForText

    options = {
        "load_in_4bit": True,
        "bnb_4bit_quant_type": "nf4",
        "bnb_4bit_compute_dtype": getattr(torch, dtype),
    }
    return PipelineQuantizationConfig(
        quant_mapping={
            name: (ForDenoiser if name in DENOISERS else ForText)(**options) for name in names
        }
    )


def _gguf(folder: Folder, denoiser: str, *, dtype: str, runtime: Runtime) -> Plan:
    _need("gguf", "quantize")
    files = sorted((folder.path / denoiser).glob("*.gguf"))
    if len(files) != 1:
        raise ModelLoadError(
            f"{folder.path / denoiser} holds {len(files)} .gguf files, one is needed",
            hint="put one quantization of the denoiser there, beside its config.json",
        )
    import diffusers
    import torch

    computed = getattr(torch, dtype)
    loader = getattr(diffusers, folder.parts[denoiser])
    if not hasattr(loader, "from_single_file"):
        raise InvalidRequest(
            f"diffusers cannot read a {folder.parts[denoiser]} from a GGUF file",
            hint="int8 or none",
        )
    try:
        part = loader.from_single_file(
            str(files[0]),
            config=str(folder.path),
            subfolder=denoiser,
            quantization_config=diffusers.GGUFQuantizationConfig(compute_dtype=computed),
            torch_dtype=computed,
            local_files_only=True,
        )
    except Exception as error:  # whatever a foreign file makes the loader raise
        raise ModelLoadError(
            f"{files[0].name} does not load: {type(error).__name__}: {error}",
            hint="it must hold the weights of the model whose config.json lies beside it",
        ) from error
    return Plan(quantization="gguf", replaced={denoiser: part}, runtime=runtime)


def _svdquant(folder: Folder, denoiser: str, *, on_cuda: bool, runtime: Runtime) -> Plan:
    if not on_cuda:
        raise InvalidRequest("svdquant runs on NVIDIA GPUs only", hint="int8, gguf or none")
    _need("kernels", "gpu")
    config = json.loads((folder.path / denoiser / "config.json").read_text("utf-8"))
    method = str(config.get("quantization_config", {}).get("quant_method", ""))
    if "nunchaku" not in method:
        raise ModelLoadError(
            f"{folder.path} holds no SVDQuant weights",
            hint="take a checkpoint that was quantized with Nunchaku; it cannot be done on loading",
        )
    # The loader reads the method from the checkpoint's own configuration.
    return Plan(quantization="svdquant", config=None, runtime=runtime)

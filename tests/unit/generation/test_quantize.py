"""What can be asked of weights: it is really done, or refused in words before anything loads."""

from __future__ import annotations

import importlib.util
import shutil
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from chopmark.errors import ChopmarkError, InvalidRequest, ModelLoadError, ModelNotFound
from chopmark.generation import DiffusersGenerator, GenerationJob, LoadOptions
from chopmark.generation.known_models import known_defaults
from chopmark.generation.lora import parse_lora
from tests.unit.generation.families import FAMILIES

if TYPE_CHECKING:
    from pathlib import Path

cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs an NVIDIA GPU")


def job(**changes: object) -> GenerationJob:
    values: dict[str, object] = {"prompt": "a red apple", "seed": 7, "width": 32, "height": 32}
    return GenerationJob(**{**values, "steps": 2, **changes})  # type: ignore[arg-type]


def array(engine: DiffusersGenerator, **changes: object) -> Any:
    return np.asarray(engine.generate(job(**changes))[0], dtype=float)


@pytest.fixture(scope="module")
def flux_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return FAMILIES["flux"].save(tmp_path_factory.mktemp("flux"))


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"quantization": "fp8"}, "fp8 has no kernels for cpu"),
        ({"quantization": "int4"}, "int4 has no kernels for cpu"),
        ({"quantization": "nf4"}, "nf4 has no kernels for cpu"),
        ({"quantization": "svdquant"}, "NVIDIA"),
        ({"quantization": "int8", "dtype": "bfloat16"}, "float32"),
        ({"quantization": "gguf"}, "gguf files"),
        ({"quantization": "int3"}, "unknown quantization"),
        ({"runtime": "warp"}, "unknown runtime"),
    ],
)
def test_what_cannot_work_is_refused_and_says_what_can(
    unet_folder: Path, options: dict[str, Any], says: str
) -> None:
    with pytest.raises(ChopmarkError, match=says) as caught:
        DiffusersGenerator.load(unet_folder, options=LoadOptions(device="cpu", **options))
    assert caught.value.hint


def test_auto_never_takes_a_short_float_on_a_cpu() -> None:
    assert LoadOptions(device="cpu").torch_dtype == "float32"


@pytest.mark.filterwarnings("ignore")
def test_a_gguf_file_is_loaded_in_place_of_the_denoiser(flux_folder: Path, tmp_path: Path) -> None:
    gguf = pytest.importorskip("gguf")
    folder = tmp_path / "model"
    shutil.copytree(flux_folder, folder)
    weights = folder / "transformer" / "diffusion_pytorch_model.safetensors"
    writer = gguf.GGUFWriter(str(folder / "transformer" / "tiny-Q8_0.gguf"), "flux")
    for name, tensor in load_file(weights).items():
        values = tensor.numpy()
        if tensor.ndim == 2 and tensor.shape[1] % 32 == 0:
            kind = gguf.GGMLQuantizationType.Q8_0
            writer.add_tensor(name, gguf.quants.quantize(values, kind), raw_dtype=kind)
        else:
            writer.add_tensor(name, values)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    weights.unlink()  # so that nothing else can have been loaded
    engine = DiffusersGenerator.load(folder, options=LoadOptions(quantization="gguf"))
    assert engine.info.quantization == "gguf"
    assert "GGUFLinear" in repr(engine.variants.pipeline("generate").transformer)
    full = DiffusersGenerator.load(flux_folder, options=LoadOptions(quantization="none"))
    assert np.abs(array(engine) - array(full)).mean() < 8


def test_a_broken_gguf_file_is_a_coded_error(flux_folder: Path, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    shutil.copytree(flux_folder, folder)
    (folder / "transformer" / "x.gguf").write_bytes(b"GGUF" + b"\xff" * 100)
    with pytest.raises(ModelLoadError):
        DiffusersGenerator.load(folder, options=LoadOptions(quantization="gguf"))


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_compiled_int8_is_close_and_batches(flux_folder: Path) -> None:
    if shutil.which("g++") is None:
        pytest.skip("torch.compile needs g++")
    full = DiffusersGenerator.load(flux_folder, options=LoadOptions(quantization="none"))
    engine = DiffusersGenerator.load(
        flux_folder, options=LoadOptions(quantization="int8", runtime="compile")
    )
    assert engine.max_batch > 1
    assert np.abs(array(engine) - array(full)).mean() < 8


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("family", ["sd", "sdxl", "flux", "flux2_klein"])
@pytest.mark.parametrize("quantization", ["none", "int8"])
def test_openvino_gives_the_same_pictures(family: str, quantization: str, tmp_path: Path) -> None:
    for package in ("openvino", "nncf"):
        pytest.importorskip(package, reason="pip install 'chopmark[openvino]'")
    folder = FAMILIES[family].save(tmp_path)
    full = DiffusersGenerator.load(folder, options=LoadOptions(quantization="none"))
    options = LoadOptions(quantization=quantization, runtime="openvino")  # type: ignore[arg-type]
    engine = DiffusersGenerator.load(folder, options=options)
    assert np.abs(array(engine) - array(full)).mean() < (4 if quantization == "none" else 12)
    # Another shape is compiled on its own.
    assert np.abs(array(engine, width=64) - array(full, width=64)).mean() < 12


def test_openvino_that_is_not_installed_names_the_extra(unet_folder: Path) -> None:
    if importlib.util.find_spec("openvino") is not None:
        pytest.skip("it is installed here")
    with pytest.raises(InvalidRequest) as caught:
        DiffusersGenerator.load(unet_folder, options=LoadOptions(runtime="openvino"))
    assert "chopmark[openvino]" in caught.value.hint


@cuda
@pytest.mark.parametrize("quantization", ["int8", "fp8", "int4", "nf4"])
def test_on_a_gpu_each_is_loaded_through_diffusers(flux_folder: Path, quantization: Any) -> None:
    engine = DiffusersGenerator.load(
        flux_folder, options=LoadOptions(device="cuda", quantization=quantization)
    )
    assert engine.info.quantization == quantization
    assert engine.generate(job())[0].size == (32, 32)


def _lora(folder: Path, file: Path) -> Path:
    """Write a LoRA for the UNet's attention, as peft-based trainers save it."""
    weights = load_file(folder / "unet" / "diffusion_pytorch_model.safetensors")
    torch.manual_seed(3)
    out = {}
    for name, tensor in weights.items():
        if name.endswith(("to_q.weight", "to_v.weight")):
            base = f"unet.{name.removesuffix('.weight')}"
            out[f"{base}.lora_A.weight"] = torch.randn(2, tensor.shape[1])
            out[f"{base}.lora_B.weight"] = torch.randn(tensor.shape[0], 2)
    save_file(out, file)
    return file


@pytest.mark.filterwarnings("ignore")
def test_a_lora_changes_the_picture_by_its_scale_and_the_digest(
    unet_folder: Path, tmp_path: Path, generator: DiffusersGenerator
) -> None:
    pytest.importorskip("peft", reason="pip install 'chopmark[lora]'")
    file = _lora(unet_folder, tmp_path / "style.safetensors")

    def load(*loras: str, **more: Any) -> DiffusersGenerator:
        return DiffusersGenerator.load(unet_folder, options=LoadOptions(loras=loras, **more))

    none, full = load(f"{file}@0"), load(str(file))
    plain = array(generator)
    assert np.abs(array(none) - plain).max() <= 1
    assert np.abs(array(full) - plain).mean() > 1
    assert len({generator.info.digest, none.info.digest, full.info.digest}) == 3
    # Fused into the weights, so it can be quantized with them.
    eight = load(str(file), quantization="int8")
    assert np.abs(array(eight) - array(full)).mean() < 16


def test_a_lora_that_is_not_there_or_does_not_fit_is_a_coded_error(
    unet_folder: Path, tmp_path: Path
) -> None:
    pytest.importorskip("peft", reason="pip install 'chopmark[lora]'")
    with pytest.raises(ModelNotFound):
        DiffusersGenerator.load(unet_folder, options=LoadOptions(loras=("no.safetensors",)))
    wrong = tmp_path / "wrong.safetensors"
    save_file({"unet.nowhere.lora_A.weight": torch.zeros(2, 2)}, wrong)
    with pytest.raises(ModelLoadError):
        DiffusersGenerator.load(unet_folder, options=LoadOptions(loras=(str(wrong),)))


@pytest.mark.parametrize("text", ["", "@0.5", "x@much", "x@-1", "x@5", "x@nan"])
def test_what_names_no_lora_is_refused(text: str) -> None:
    with pytest.raises(InvalidRequest):
        parse_lora(text)


@pytest.mark.parametrize(
    ("name", "steps"),
    [
        ("hf:black-forest-labs/FLUX.2-klein-4B", 4),
        ("hf:black-forest-labs/FLUX.1-schnell", 4),
        ("hf:Efficient-Large-Model/Sana_Sprint_1.6B_1024px_diffusers", 2),
        ("/models/sdxl-turbo", 4),
        ("hf:Tongyi-MAI/Z-Image-Turbo", 9),
        ("hf:Tongyi-MAI/Z-Image", 50),
        ("hf:Qwen/Qwen-Image", None),
        ("/turbo/my-own-model", None),
    ],
)
def test_distilled_models_have_their_own_defaults(name: str, steps: int | None) -> None:
    found = known_defaults(name)
    assert (found.steps if found else None) == steps

"""From trained parts to the packed model folder that the repository carries."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING, Any, Final

from safetensors.torch import save_file

from chopmark.generation.embedded import PACKED_NAME
from chopmark.generation.folders import FACTS_NAME
from chopmark.generation.packing import pack
from chopmark.generation.training.data import CANVAS
from chopmark.generation.training.denoiser import scheduler

if TYPE_CHECKING:
    from pathlib import Path

    from diffusers import AutoencoderTiny, UNet2DConditionModel

#: What the stock pipeline is made of; unpacking adds the text encoder and the tokenizer.
_INDEX: Final[dict[str, Any]] = {
    "_class_name": "StableDiffusionPipeline",
    "_diffusers_version": "0.42.0",
    "feature_extractor": [None, None],
    "image_encoder": [None, None],
    "requires_safety_checker": False,
    "safety_checker": [None, None],
    "scheduler": ["diffusers", "DPMSolverMultistepScheduler"],
    "text_encoder": ["transformers", "BertModel"],
    "tokenizer": ["transformers", "BertTokenizerFast"],
    "unet": ["diffusers", "UNet2DConditionModel"],
    "vae": ["diffusers", "AutoencoderTiny"],
}
DEFAULT_STEPS: Final = 8
DEFAULT_GUIDANCE: Final = 2.0


def export(
    unet: UNet2DConditionModel, autoencoder: AutoencoderTiny, folder: Path, *, version: str
) -> None:
    """Write the packed model to ``folder``; what else lies there (card, pictures) stays.

    Args:
        unet: the trained denoiser.
        autoencoder: the trained autoencoder.
        folder: normally ``generation/weights/embedded``.
        version: the model's version, as ``info.version`` will say.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for name, part in (("unet", unet), ("vae", autoencoder)):
        shutil.rmtree(folder / name, ignore_errors=True)
        part.save_config(folder / name)
        _forget_origin(folder / name / "config.json")
        packed = folder / name / PACKED_NAME
        save_file(pack(part.state_dict()), packed)
        packed.chmod(0o644)
    scheduler().save_config(folder / "scheduler")
    facts = {
        "version": version,
        "licence": "Apache-2.0",
        "native_size": CANVAS,
        "default_size": 512,
        "max_size": 2048,
        "default_steps": DEFAULT_STEPS,
        "default_guidance": DEFAULT_GUIDANCE,
    }
    _write_json(folder / "model_index.json", _INDEX)
    _write_json(folder / FACTS_NAME, facts)


def _forget_origin(config: Path) -> None:
    content = json.loads(config.read_text("utf-8"))
    # diffusers notes where a model was loaded from, which means nothing elsewhere.
    content.pop("_name_or_path", None)
    _write_json(config, content)


def _write_json(file: Path, content: dict[str, Any]) -> None:
    file.write_text(json.dumps(content, indent=2, sort_keys=True) + "\n", "utf-8")

"""A tiny FLUX.2 klein: stock classes, so that whatever loads the 4B model loads this one.

Three reference pictures' worth of facts shape it: 16 by 16 pixels in a token (8 in the autoencoder,
2 in the patchifying), 256 tokens for a picture of 256 pixels; text enters as three layers of a
frozen MiniLM side by side; references of an edit are further tokens with a time coordinate of
their own (Black Forest Labs 2025, FLUX.2).
"""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import torch
from diffusers import (
    AutoencoderKLFlux2,
    FlowMatchEulerDiscreteScheduler,
    Flux2KleinPipeline,
    Flux2Transformer2DModel,
)
from safetensors.torch import save_file
from transformers import AutoTokenizer, BertModel

from chopmark.generation.embedded import text_encoder_folder
from chopmark.generation.folders import FACTS_NAME
from chopmark.generation.packed_weights import pack

if TYPE_CHECKING:
    from pathlib import Path

#: Layers of the text encoder that are laid side by side.
TEXT_LAYERS: Final = (2, 4, 6)
#: Word pieces of a prompt, padding included.
PROMPT_LENGTH: Final = 32
#: The text encoder is no chat model: the message stands for itself.
CHAT_TEMPLATE: Final = "{{ messages[0]['content'] }}"
#: Bytes of a packed file at most; larger parts are written as several.
SHARD: Final = 12 * 2**20


@dataclass(frozen=True, kw_only=True)
class KleinConfig:
    """Shape of the model; the default has 26 M + 1.6 M parameters."""

    native_size: int = 256
    double_blocks: int = 2
    single_blocks: int = 8
    heads: int = 6
    head_width: int = 64
    latent_channels: int = 16
    encoder_widths: tuple[int, ...] = (32, 64, 96, 96)
    decoder_widths: tuple[int, ...] = (24, 48, 64, 64)
    flow_shift: float = 2.0
    default_steps: int = 4
    version: str = "2"
    seed: int = 0
    facts: dict[str, Any] = field(default_factory=dict)


def build(config: KleinConfig, *, text: bool = True) -> Flux2KleinPipeline:
    """Return the pipeline with random weights in denoiser and autoencoder.

    Args:
        config: its shape.
        text: with the text encoder, which a training machine need not have.
    """
    torch.manual_seed(config.seed)
    quarter = config.head_width // 4
    transformer = Flux2Transformer2DModel(
        patch_size=1,
        in_channels=4 * config.latent_channels,
        num_layers=config.double_blocks,
        num_single_layers=config.single_blocks,
        attention_head_dim=config.head_width,
        num_attention_heads=config.heads,
        joint_attention_dim=384 * len(TEXT_LAYERS),
        axes_dims_rope=(quarter,) * 4,
        guidance_embeds=False,
        timestep_guidance_channels=256,
    )
    stages = len(config.encoder_widths)
    autoencoder = AutoencoderKLFlux2(
        block_out_channels=config.encoder_widths,
        decoder_block_out_channels=config.decoder_widths,
        down_block_types=("DownEncoderBlock2D",) * stages,
        up_block_types=("UpDecoderBlock2D",) * stages,
        layers_per_block=1,
        latent_channels=config.latent_channels,
        norm_num_groups=8,
        mid_block_add_attention=False,
        sample_size=config.native_size,
    )
    scheduler = FlowMatchEulerDiscreteScheduler(shift=config.flow_shift)
    if not text:
        return Flux2KleinPipeline(
            scheduler, autoencoder, None, None, transformer, is_distilled=True
        )
    folder = text_encoder_folder()
    tokenizer = AutoTokenizer.from_pretrained(folder, model_max_length=PROMPT_LENGTH)
    tokenizer.chat_template = CHAT_TEMPLATE
    text_encoder = BertModel.from_pretrained(folder, add_pooling_layer=False).eval()
    return Flux2KleinPipeline(
        scheduler, autoencoder, text_encoder, tokenizer, transformer, is_distilled=True
    )


def load(folder: Path) -> Flux2KleinPipeline:
    """Return denoiser, autoencoder and scheduler of a plain folder, without the text encoder.

    Args:
        folder: as :func:`save` wrote it, or the embedded model unpacked.
    """
    return Flux2KleinPipeline(
        FlowMatchEulerDiscreteScheduler.from_pretrained(folder / "scheduler"),
        AutoencoderKLFlux2.from_pretrained(folder / "vae").eval(),
        None,
        None,
        Flux2Transformer2DModel.from_pretrained(folder / "transformer"),
        is_distilled=True,
    )


def facts(config: KleinConfig) -> dict[str, Any]:
    """Return what stands in ``chopmark.json`` beside the weights."""
    return {
        "version": config.version,
        "licence": "Apache-2.0",
        "native_size": config.native_size,
        "default_size": 512,
        "max_size": 2048,
        # It is shown squares only; a longer picture gets more of its ground.
        "max_ratio": 1.0,
        "extends": True,
        # Training shows it one picture to edit, or two to join.
        "max_images": 2,
        "default_steps": config.default_steps,
        # Guidance is baked in; the stock pipeline remarks on any other value.
        "default_guidance": 1.0,
        # What a caller of the stock pipeline must say with this text encoder.
        "arguments": {
            "max_sequence_length": PROMPT_LENGTH,
            "text_encoder_out_layers": list(TEXT_LAYERS),
        },
        "prompt_length": PROMPT_LENGTH,
        "chat_template": CHAT_TEMPLATE,
        **config.facts,
    }


def save(pipeline: Flux2KleinPipeline, folder: Path, config: KleinConfig | None = None) -> None:
    """Write a plain diffusers folder, which ``DiffusersGenerator.load`` takes as it is."""
    pipeline.save_pretrained(folder)
    _write_json(folder / FACTS_NAME, facts(config or KleinConfig()))


def export(pipeline: Flux2KleinPipeline, folder: Path, config: KleinConfig) -> int:
    """Write the packed model that the repository carries, without the text encoder.

    Args:
        pipeline: trained, on the CPU.
        folder: ``generation/weights/embedded`` in the end; what else lies there (card, pictures)
            stays, parts of an older model go.
        config: its shape.

    Returns:
        bytes of the packed weights.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for part in folder.iterdir():
        if part.is_dir():
            shutil.rmtree(part)
    written = 0
    for name in ("transformer", "vae"):
        written += export_part(getattr(pipeline, name), folder / name)
    pipeline.scheduler.save_config(folder / "scheduler")
    index = {
        "_class_name": "Flux2KleinPipeline",
        "_diffusers_version": "0.42.0",
        "is_distilled": True,
        "scheduler": ["diffusers", "FlowMatchEulerDiscreteScheduler"],
        "text_encoder": ["transformers", "BertModel"],
        "tokenizer": ["transformers", "BertTokenizerFast"],
        "transformer": ["diffusers", "Flux2Transformer2DModel"],
        "vae": ["diffusers", "AutoencoderKLFlux2"],
    }
    _write_json(folder / "model_index.json", index)
    _write_json(folder / FACTS_NAME, facts(config))
    return written


def export_part(part: Any, folder: Path) -> int:
    """Write the configuration and the packed weights of one part; return the bytes of these."""
    part.save_config(folder)
    content = json.loads((folder / "config.json").read_text("utf-8"))
    content.pop("_name_or_path", None)
    _write_json(folder / "config.json", content)
    written = 0
    for number, shard in enumerate(_shards(pack(part.state_dict()))):
        file = folder / f"packed-{number:02d}.safetensors"
        save_file(shard, file)
        file.chmod(0o644)
        written += file.stat().st_size
    return written


def _shards(packed: dict[str, torch.Tensor]) -> list[dict[str, torch.Tensor]]:
    shards: list[dict[str, torch.Tensor]] = [{}]
    size = 0
    for name, tensor in packed.items():
        needed = tensor.numel() * tensor.element_size()
        if size and size + needed > SHARD:
            shards.append({})
            size = 0
        shards[-1][name] = tensor
        size += needed
    return shards


def _write_json(file: Path, content: dict[str, Any]) -> None:
    file.write_text(json.dumps(content, indent=2, sort_keys=True) + "\n", "utf-8")

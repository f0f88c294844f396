"""Five families in their real sizes, as configurations alone: no weights, a few kilobytes each.

``python -m tests.unit.generation.full_size DIR`` writes them, to try ``chopmark models fit`` on.
Numbers are those of the models' published configurations, as far as their papers and cards name
them; the table of published parameter counts in ``test_fit.py`` checks them.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import diffusers as d
import torch
import transformers as t

if TYPE_CHECKING:
    from collections.abc import Callable

Parts = dict[str, Any]


def _qwen3_4b() -> Any:
    return t.Qwen3Config(
        vocab_size=151936,
        hidden_size=2560,
        intermediate_size=9728,
        num_hidden_layers=36,
        num_attention_heads=32,
        num_key_value_heads=8,
        head_dim=128,
        tie_word_embeddings=True,
    )


def flux2_klein() -> Parts:
    """FLUX.2 klein 4B: five double and twenty single blocks of 24 heads."""
    return {
        "_class_name": "Flux2KleinPipeline",
        "transformer": d.Flux2Transformer2DModel(
            num_layers=5,
            num_single_layers=20,
            num_attention_heads=24,
            attention_head_dim=128,
            joint_attention_dim=7680,
            guidance_embeds=False,
        ),
        "text_encoder": ("Qwen3ForCausalLM", _qwen3_4b()),
        "vae": d.AutoencoderKLFlux2(),
    }


def z_image_turbo() -> Parts:
    """Z-Image turbo 6B: the defaults of its class."""
    return {
        "_class_name": "ZImagePipeline",
        "transformer": d.ZImageTransformer2DModel(),
        "text_encoder": ("Qwen3Model", _qwen3_4b()),
        "vae": _kl(16, shift_factor=0.1159, scaling_factor=0.3611),
    }


def qwen_image() -> Parts:
    """Qwen-Image 20B: the defaults of its class, read by Qwen2.5-VL 7B."""
    text = t.Qwen2_5_VLConfig(
        text_config={
            "hidden_size": 3584,
            "intermediate_size": 18944,
            "num_hidden_layers": 28,
            "num_attention_heads": 28,
            "num_key_value_heads": 4,
            "vocab_size": 152064,
            "rope_parameters": {"mrope_section": [16, 24, 24], "rope_type": "default"},
        },
        vision_config={
            "depth": 32,
            "hidden_size": 1280,
            "intermediate_size": 3420,
            "num_heads": 16,
            "out_hidden_size": 3584,
        },
        tie_word_embeddings=False,
    )
    return {
        "_class_name": "QwenImagePipeline",
        "transformer": d.QwenImageTransformer2DModel(),
        "text_encoder": ("Qwen2_5_VLForConditionalGeneration", text),
        "vae": d.AutoencoderKLQwenImage(),
    }


def sdxl_turbo() -> Parts:
    """SDXL and its turbo: a UNet of three levels, two CLIP encoders."""
    return {
        "_class_name": "StableDiffusionXLPipeline",
        "unet": d.UNet2DConditionModel(
            sample_size=64,
            block_out_channels=(320, 640, 1280),
            down_block_types=("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
            up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
            transformer_layers_per_block=[1, 2, 10],
            attention_head_dim=[5, 10, 20],
            cross_attention_dim=2048,
            addition_embed_type="text_time",
            addition_time_embed_dim=256,
            projection_class_embeddings_input_dim=2816,
            use_linear_projection=True,
        ),
        "text_encoder": (
            "CLIPTextModel",
            t.CLIPTextConfig(
                hidden_size=768,
                intermediate_size=3072,
                num_hidden_layers=12,
                num_attention_heads=12,
                projection_dim=768,
            ),
        ),
        "text_encoder_2": (
            "CLIPTextModelWithProjection",
            t.CLIPTextConfig(
                hidden_size=1280,
                intermediate_size=5120,
                num_hidden_layers=32,
                num_attention_heads=20,
                projection_dim=1280,
            ),
        ),
        "vae": _kl(4, scaling_factor=0.13025),
    }


def sana_sprint() -> Parts:
    """Sana Sprint 1.6B: twenty blocks of 70 heads, read by Gemma 2 of 2B, decoded 32 to 1."""
    text = t.Gemma2Config(
        vocab_size=256000,
        hidden_size=2304,
        intermediate_size=9216,
        num_hidden_layers=26,
        num_attention_heads=8,
        num_key_value_heads=4,
        head_dim=256,
    )
    return {
        "_class_name": "SanaSprintPipeline",
        "text_encoder": ("Gemma2Model", text),
        "vae": d.AutoencoderDC(
            encoder_block_types=("ResBlock",) * 3 + ("EfficientViTBlock",) * 3,
            decoder_block_types=("ResBlock",) * 3 + ("EfficientViTBlock",) * 3,
            encoder_block_out_channels=(128, 256, 512, 512, 1024, 1024),
            decoder_block_out_channels=(128, 256, 512, 512, 1024, 1024),
            encoder_layers_per_block=(2, 2, 2, 3, 3, 3),
            decoder_layers_per_block=(3, 3, 3, 3, 3, 3),
            encoder_qkv_multiscales=((), (), (), (5,), (5,), (5,)),
            decoder_qkv_multiscales=((), (), (), (5,), (5,), (5,)),
            latent_channels=32,
            scaling_factor=0.41407,
        ),
        "transformer": d.SanaTransformer2DModel(
            num_layers=20,
            num_attention_heads=70,
            attention_head_dim=32,
            num_cross_attention_heads=20,
            cross_attention_head_dim=112,
            cross_attention_dim=2240,
            caption_channels=2304,
            sample_size=32,
            qk_norm="rms_norm_across_heads",
            guidance_embeds=True,
        ),
    }


def _kl(channels: int, **more: Any) -> Any:
    return d.AutoencoderKL(
        block_out_channels=(128, 256, 512, 512),
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        layers_per_block=2,
        latent_channels=channels,
        sample_size=1024,
        **more,
    )


FAMILIES: dict[str, Callable[[], Parts]] = {
    "FLUX.2-klein-4B": flux2_klein,
    "Z-Image-Turbo": z_image_turbo,
    "Qwen-Image": qwen_image,
    "sdxl-turbo": sdxl_turbo,
    "Sana_Sprint_1.6B_1024px": sana_sprint,
}


def write(name: str, folder: Path) -> Path:
    """Write a family's configurations under ``folder``, by the name that its defaults go by."""
    with torch.device("meta"):
        parts = FAMILIES[name]()
    where = folder / name
    index: dict[str, Any] = {"_class_name": parts.pop("_class_name")}
    for part, made in parts.items():
        (where / part).mkdir(parents=True, exist_ok=True)
        if isinstance(made, tuple):
            kind, config = made[0], made[1].to_dict()
            index[part] = ["transformers", kind]
        else:
            kind, config = type(made).__name__, dict(made.config)
            index[part] = ["diffusers", kind]
        (where / part / "config.json").write_text(json.dumps(config, default=str), "utf-8")
    (where / "model_index.json").write_text(json.dumps(index), "utf-8")
    return where


if __name__ == "__main__":
    for one in FAMILIES:
        print(write(one, Path(sys.argv[1])))  # noqa: T201

"""Tiny pipelines of every supported family: stock classes, random weights, seconds to build.

``python -m tests.unit.generation.families DIR`` writes them all, to try a command on.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import diffusers as d
import torch
import transformers as t

from chopmark.generation.embedded import text_encoder_folder

if TYPE_CHECKING:
    from collections.abc import Callable

_VOCABULARY = 30522


def tokenizer(length: int = 12) -> Any:
    """The installed word-piece tokenizer stands in for every family's own."""
    made = t.AutoTokenizer.from_pretrained(text_encoder_folder(), model_max_length=length)
    made.chat_template = "{{ messages[0]['content'] }}"
    return made


def _clip(*, projection: bool = False, width: int = 16) -> Any:
    config = t.CLIPTextConfig(
        hidden_size=width,
        intermediate_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        vocab_size=_VOCABULARY,
        max_position_embeddings=16,
        projection_dim=width,
        eos_token_id=102,
        bos_token_id=101,
    )
    return (t.CLIPTextModelWithProjection if projection else t.CLIPTextModel)(config).eval()


def _t5(width: int = 16) -> Any:
    config = t.T5Config(
        d_model=width, d_kv=8, d_ff=16, num_layers=2, num_heads=2, vocab_size=_VOCABULARY
    )
    return t.T5EncoderModel(config).eval()


def _qwen3(width: int = 16, layers: int = 3) -> Any:
    config = t.Qwen3Config(
        vocab_size=_VOCABULARY,
        hidden_size=width,
        intermediate_size=16,
        num_hidden_layers=layers,
        num_attention_heads=2,
        num_key_value_heads=2,
        head_dim=8,
    )
    return t.Qwen3ForCausalLM(config).eval()


def _kl(channels: int = 4, **more: Any) -> Any:
    return d.AutoencoderKL(
        block_out_channels=(8, 8),
        down_block_types=("DownEncoderBlock2D",) * 2,
        up_block_types=("UpDecoderBlock2D",) * 2,
        latent_channels=channels,
        norm_num_groups=4,
        layers_per_block=1,
        sample_size=32,
        **more,
    )


def _unet(text_width: int, **more: Any) -> Any:
    return d.UNet2DConditionModel(
        sample_size=16,
        block_out_channels=(8, 16),
        layers_per_block=1,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        mid_block_type="UNetMidBlock2DCrossAttn",
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        cross_attention_dim=text_width,
        attention_head_dim=2,
        norm_num_groups=4,
        **more,
    )


def stable_diffusion() -> Any:
    return d.StableDiffusionPipeline(
        vae=_kl(),
        text_encoder=_clip(),
        tokenizer=tokenizer(),
        unet=_unet(16),
        scheduler=d.EulerDiscreteScheduler(),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )


def stable_diffusion_xl() -> Any:
    return d.StableDiffusionXLPipeline(
        vae=_kl(),
        text_encoder=_clip(),
        text_encoder_2=_clip(projection=True),
        tokenizer=tokenizer(),
        tokenizer_2=tokenizer(),
        unet=_unet(
            32,
            addition_embed_type="text_time",
            addition_time_embed_dim=8,
            projection_class_embeddings_input_dim=6 * 8 + 16,
        ),
        scheduler=d.EulerDiscreteScheduler(),
        add_watermarker=False,
    )


def stable_diffusion_3() -> Any:
    transformer = d.SD3Transformer2DModel(
        sample_size=16,
        patch_size=2,
        in_channels=16,
        num_layers=1,
        attention_head_dim=8,
        num_attention_heads=2,
        joint_attention_dim=32,
        caption_projection_dim=16,
        pooled_projection_dim=32,
        out_channels=16,
        pos_embed_max_size=32,
    )
    return d.StableDiffusion3Pipeline(
        transformer,
        d.FlowMatchEulerDiscreteScheduler(),
        _kl(16, shift_factor=0.1, scaling_factor=1.5),
        _clip(projection=True),
        tokenizer(),
        _clip(projection=True),
        tokenizer(),
        _t5(32),
        tokenizer(),
    )


def flux() -> Any:
    transformer = d.FluxTransformer2DModel(
        patch_size=1,
        in_channels=16,
        num_layers=1,
        num_single_layers=1,
        attention_head_dim=16,
        num_attention_heads=2,
        joint_attention_dim=16,
        pooled_projection_dim=16,
        axes_dims_rope=(4, 4, 8),
    )
    return d.FluxPipeline(
        d.FlowMatchEulerDiscreteScheduler(),
        _kl(shift_factor=0.1, scaling_factor=1.5),
        _clip(),
        tokenizer(),
        _t5(),
        tokenizer(),
        transformer,
    )


def flux2_klein() -> Any:
    transformer = d.Flux2Transformer2DModel(
        patch_size=1,
        in_channels=16,
        num_layers=1,
        num_single_layers=1,
        attention_head_dim=16,
        num_attention_heads=2,
        joint_attention_dim=48,
        axes_dims_rope=(4, 4, 4, 4),
        guidance_embeds=False,
        timestep_guidance_channels=32,
    )
    autoencoder = d.AutoencoderKLFlux2(
        block_out_channels=(8, 8),
        down_block_types=("DownEncoderBlock2D",) * 2,
        up_block_types=("UpDecoderBlock2D",) * 2,
        layers_per_block=1,
        latent_channels=4,
        norm_num_groups=4,
        mid_block_add_attention=False,
        sample_size=32,
    )
    # The pipeline reads the layers 9, 18 and 27.
    return d.Flux2KleinPipeline(
        d.FlowMatchEulerDiscreteScheduler(shift=2.0),
        autoencoder,
        _qwen3(layers=28),
        tokenizer(),
        transformer,
        is_distilled=True,
    )


def sana() -> Any:
    config = t.Gemma2Config(
        vocab_size=_VOCABULARY,
        hidden_size=16,
        intermediate_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        num_key_value_heads=2,
        head_dim=8,
    )
    transformer = d.SanaTransformer2DModel(
        in_channels=4,
        out_channels=4,
        num_layers=1,
        num_attention_heads=2,
        attention_head_dim=8,
        num_cross_attention_heads=2,
        cross_attention_head_dim=8,
        cross_attention_dim=16,
        caption_channels=16,
        sample_size=16,
    )
    autoencoder = d.AutoencoderDC(
        latent_channels=4,
        attention_head_dim=2,
        encoder_block_types=("ResBlock", "ResBlock"),
        decoder_block_types=("ResBlock", "ResBlock"),
        encoder_block_out_channels=(8, 8),
        decoder_block_out_channels=(8, 8),
        encoder_qkv_multiscales=((), ()),
        decoder_qkv_multiscales=((), ()),
        encoder_layers_per_block=(1, 1),
        decoder_layers_per_block=(1, 1),
        downsample_block_type="conv",
        upsample_block_type="interpolate",
        decoder_norm_types="rms_norm",
        decoder_act_fns="silu",
        scaling_factor=0.41407,
    )
    text = tokenizer(300)
    text.padding_side = "right"
    return d.SanaPipeline(
        text,
        t.Gemma2Model(config).eval(),
        autoencoder,
        transformer,
        d.FlowMatchEulerDiscreteScheduler(shift=3.0),
    )


def pixart_sigma() -> Any:
    transformer = d.PixArtTransformer2DModel(
        sample_size=16,
        num_layers=1,
        patch_size=2,
        attention_head_dim=8,
        num_attention_heads=2,
        caption_channels=16,
        in_channels=4,
        cross_attention_dim=16,
        out_channels=8,
        norm_num_groups=1,
        use_additional_conditions=False,
    )
    return d.PixArtSigmaPipeline(
        tokenizer(300), _t5(), _kl(), transformer, d.DPMSolverMultistepScheduler()
    )


def z_image() -> Any:
    transformer = d.ZImageTransformer2DModel(
        in_channels=4,
        dim=32,
        n_layers=1,
        n_refiner_layers=1,
        n_heads=2,
        n_kv_heads=2,
        cap_feat_dim=16,
        axes_dims=[4, 4, 8],
        axes_lens=[512, 64, 64],
    )
    return d.ZImagePipeline(
        d.FlowMatchEulerDiscreteScheduler(shift=3.0),
        _kl(shift_factor=0.1, scaling_factor=1.5),
        _qwen3(),
        tokenizer(512),
        transformer,
    )


def qwen_image() -> Any:
    config = t.Qwen2_5_VLConfig(
        text_config={
            "hidden_size": 16,
            "intermediate_size": 16,
            "num_hidden_layers": 2,
            "num_attention_heads": 2,
            "num_key_value_heads": 2,
            "rope_parameters": {"mrope_section": [1, 1, 2], "rope_type": "default"},
            "vocab_size": _VOCABULARY,
        },
        vision_config={
            "depth": 1,
            "hidden_size": 16,
            "intermediate_size": 16,
            "num_heads": 2,
            "out_hidden_size": 16,
        },
    )
    transformer = d.QwenImageTransformer2DModel(
        patch_size=2,
        in_channels=16,
        out_channels=4,
        num_layers=1,
        attention_head_dim=16,
        num_attention_heads=2,
        joint_attention_dim=16,
        axes_dims_rope=(8, 4, 4),
    )
    autoencoder = d.AutoencoderKLQwenImage(
        base_dim=8,
        z_dim=4,
        dim_mult=[1, 2],
        num_res_blocks=1,
        temperal_downsample=[True],
        latents_mean=[0.0] * 4,
        latents_std=[1.0] * 4,
    )
    return d.QwenImagePipeline(
        d.FlowMatchEulerDiscreteScheduler(),
        autoencoder,
        t.Qwen2_5_VLForConditionalGeneration(config).eval(),
        tokenizer(1024),
        transformer,
    )


@dataclass(frozen=True)
class Family:
    """How to build a family's tiny pipeline, and what it is expected to do.

    Attributes:
        build: returns the pipeline.
        supports: operations.
        quantized: what ``auto`` makes of it on a CPU.
        ignores: options that it has no use for.
    """

    build: Callable[[], Any]
    supports: frozenset[str]
    quantized: str = "int8"
    ignores: frozenset[str] = frozenset()

    def save(self, folder: Path) -> Path:
        torch.manual_seed(0)
        self.build().save_pretrained(folder)
        # Small pictures, whatever the family's size is.
        (folder / "chopmark.json").write_text('{"native_size": 64}', "utf-8")
        return folder


_STRENGTH = frozenset({"strength"})
_ALL = frozenset({"generate", "edit", "inpaint"})
FAMILIES = {
    "sd": Family(stable_diffusion, _ALL, "none"),
    "sdxl": Family(stable_diffusion_xl, _ALL, "none"),
    "sd3": Family(stable_diffusion_3, _ALL),
    "flux": Family(flux, _ALL, ignores=frozenset({"negative_prompt", "guidance"})),
    "flux2_klein": Family(
        flux2_klein, _ALL, ignores=frozenset({"negative_prompt", "guidance", "strength"})
    ),
    "sana": Family(sana, frozenset({"generate"}), ignores=_STRENGTH),
    "pixart_sigma": Family(pixart_sigma, frozenset({"generate"}), ignores=_STRENGTH),
    "z_image": Family(z_image, _ALL),
    "qwen_image": Family(qwen_image, _ALL),
}


if __name__ == "__main__":
    for name, family in FAMILIES.items():
        print(name, family.save(Path(sys.argv[1]) / name))  # noqa: T201

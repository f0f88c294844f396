"""Fixtures: stock pipelines with random weights, small enough to run in milliseconds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import torch
from diffusers import (
    AutoencoderKLFlux2,
    AutoencoderTiny,
    DPMSolverMultistepScheduler,
    FlowMatchEulerDiscreteScheduler,
    Flux2KleinPipeline,
    Flux2Transformer2DModel,
    StableDiffusionPipeline,
    UNet2DConditionModel,
)
from transformers import AutoTokenizer, BertConfig, BertModel, Qwen3Config, Qwen3ForCausalLM

from chopmark.generation import DiffusersGenerator, int8
from chopmark.generation.embedded import text_encoder_folder

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


# Models this small gain nothing from more threads, and on a busy machine these wait for each other.
torch.set_num_threads(1)


@pytest.fixture(scope="session", autouse=True)
def _tiny_layers_are_quantized() -> Iterator[None]:
    """Every layer of these models is too narrow to gain from eight bits; here it gets them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(int8, "_NARROW", 1)
        yield


def _tokenizer() -> Any:
    return AutoTokenizer.from_pretrained(text_encoder_folder(), model_max_length=12)


def _bert(width: int) -> BertModel:
    config = BertConfig(
        hidden_size=width, num_hidden_layers=2, num_attention_heads=2, intermediate_size=16
    )
    config.use_attention_mask = True
    return BertModel(config).eval()


def _qwen(width: int) -> Qwen3ForCausalLM:
    # The pipeline reads the layers 9, 18 and 27.
    config = Qwen3Config(
        vocab_size=30522,
        hidden_size=width,
        intermediate_size=16,
        num_hidden_layers=28,
        num_attention_heads=2,
        num_key_value_heads=2,
        head_dim=8,
    )
    return Qwen3ForCausalLM(config).eval()


def save_unet_pipeline(folder: Path) -> Path:
    """Write a StableDiffusionPipeline of 32 px pictures with a safety checker slot left empty."""
    torch.manual_seed(0)
    unet = UNet2DConditionModel(
        sample_size=8,
        in_channels=4,
        out_channels=4,
        block_out_channels=(8, 16),
        layers_per_block=1,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        mid_block_type="UNetMidBlock2DCrossAttn",
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        cross_attention_dim=16,
        attention_head_dim=2,
        norm_num_groups=4,
    )
    autoencoder = AutoencoderTiny(
        encoder_block_out_channels=(8, 8, 8),
        decoder_block_out_channels=(8, 8, 8),
        num_encoder_blocks=(0, 0, 1),
        num_decoder_blocks=(1, 0, 0),
        latent_channels=4,
    )
    pipeline = StableDiffusionPipeline(
        vae=autoencoder,
        text_encoder=_bert(16),
        tokenizer=_tokenizer(),
        unet=unet,
        scheduler=DPMSolverMultistepScheduler(prediction_type="sample", use_flow_sigmas=True),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    pipeline.save_pretrained(folder)
    return folder


def save_transformer_pipeline(folder: Path) -> Path:
    """Write a Flux2KleinPipeline of 32 px pictures, which edits and joins several pictures."""
    torch.manual_seed(0)
    tokenizer = _tokenizer()
    tokenizer.chat_template = "{{ messages[0]['content'] }}"
    transformer = Flux2Transformer2DModel(
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
    autoencoder = AutoencoderKLFlux2(
        block_out_channels=(8, 8),
        down_block_types=("DownEncoderBlock2D",) * 2,
        up_block_types=("UpDecoderBlock2D",) * 2,
        layers_per_block=1,
        latent_channels=4,
        norm_num_groups=4,
        mid_block_add_attention=False,
        sample_size=32,
    )
    pipeline = Flux2KleinPipeline(
        FlowMatchEulerDiscreteScheduler(shift=2.0),
        autoencoder,
        _qwen(16),
        tokenizer,
        transformer,
        is_distilled=True,
    )
    pipeline.save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def unet_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_unet_pipeline(tmp_path_factory.mktemp("unet"))


@pytest.fixture(scope="session")
def transformer_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_transformer_pipeline(tmp_path_factory.mktemp("transformer"))


@pytest.fixture(scope="session")
def generator(unet_folder: Path) -> DiffusersGenerator:
    return DiffusersGenerator.load(unet_folder)

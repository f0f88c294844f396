"""Which generator runs, where, and what of its past answers is kept."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, Field, SecretStr, ValidationInfo, field_validator

from chopmark.kit import limits

__all__ = ["GenerationSettings"]


class GenerationSettings(BaseModel, frozen=True):
    """The generator and its memory."""

    model: str = Field(
        default="embedded",
        description="Generator: `embedded`, a folder with a diffusers pipeline, `hf:org/name`, or "
        "`remote:https://host/v1#model` for a server with OpenAI's Images API.",
    )
    quantization: Literal["auto", "none", "int8", "fp8", "int4", "nf4", "gguf", "svdquant"] = Field(
        default="auto", description="How the generator's weights are held in memory."
    )
    runtime: Literal["eager", "compile", "openvino"] = Field(
        default="eager",
        description="How the denoiser runs: at once, compiled (a server that stays), or OpenVINO.",
    )
    offload: Literal["auto", "none", "model", "sequential"] = Field(
        default="auto",
        description="What of the model lies on the card while it works: everything, one part at a "
        "time, or one layer; `auto`: the first that fits into its free memory.",
    )
    tiling: Literal["auto", "on", "off"] = Field(
        default="auto",
        description="Decode pictures by tiles, which takes less memory; `auto`: where the whole "
        "does not fit.",
    )
    attention: str = Field(
        default="auto",
        pattern=r"^[a-z0-9_]{1,40}$",
        description="Attention back end by diffusers' name (`native`, `flash`, `sage`, ...); "
        "`auto`: torch's own choice.",
    )
    step_cache: float = Field(
        default=0.0,
        ge=0.0,
        lt=1.0,
        description="Take steps over from the one before where the denoiser's first block changed "
        "by less than this share (first-block cache); 0: compute every step.",
    )
    loras: str = Field(
        default="", description="LoRA files or `hf:` ids, with commas between; `@0.8` is a scale."
    )
    remote_key: SecretStr = Field(
        default=SecretStr(""), description="Bearer token for a `remote:` generator."
    )
    remote_timeout_s: float = Field(
        default=120.0, gt=0, description="Seconds for one picture of a `remote:` generator."
    )
    remote_retries: int = Field(
        default=2,
        ge=0,
        le=10,
        description="How often a full `remote:` generator is asked again.",
    )
    remote_extras: bool = Field(
        default=True,
        description="Send `seed`, `steps` and the like, which are not OpenAI's, to it.",
    )
    remote_allow_plain_http: bool = Field(
        default=False, description="Let prompts and key cross a network to it unencrypted."
    )
    remote_size: str = Field(
        default="1024x1024",
        pattern=r"^[0-9]{2,4}x[0-9]{2,4}$",
        description="Size that a `remote:` generator is asked for when the caller names none.",
    )
    device: str = Field(
        default="auto",
        description="Where the model runs: `auto`, `cpu`, `cuda` or `cuda:1`; several with commas "
        "between for `chopmark serve` with workers, which then has a process for each.",
    )
    generator_threads: int = Field(
        default=0,
        ge=0,
        description="Threads that a generator in a process of its own computes with; 0: by cores.",
    )
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = Field(
        default="auto", description="Numbers that the model computes in; `auto`: float32 on a CPU."
    )
    max_batch: int = Field(
        default=8,
        ge=limits.BATCH.least,
        le=limits.BATCH.most,
        description="Pictures that share one call of the model; 1: none do.",
    )
    max_waiting: int = Field(
        default=256, ge=1, description="Pictures that may wait for the model before 503."
    )
    prompt_cache_mb: int = Field(
        default=64, ge=0, description="MiB of memory for prompts' embeddings; 0: none are kept."
    )
    memory_limit_mb: int = Field(
        default=0,
        ge=0,
        description="MiB that the process, or its share of a GPU, may take; 0: any.",
    )
    prompt_index: bool = Field(
        default=False,
        description="Keep embeddings of prompts, to find variations and repetitions: personal "
        "data, erasable.",
    )
    cached_answers: Literal["off", "exact", "reworded"] = Field(
        default="off",
        description="Answer a prompt that the same tenant had granted before with the same "
        "pictures: the very prompt (`exact`), or also with other case, articles and punctuation "
        "(`reworded`). Needs `CHOPMARK_PROMPT_INDEX`. See [generation.md](generation.md).",
    )
    cached_answers_mb: int = Field(
        default=256, ge=1, description="MiB of pictures that are kept for this, of each tenant."
    )
    cached_answers_hours: float = Field(
        default=168.0, gt=0, description="Hours after which such pictures are no answer any more."
    )
    warm_up: bool = Field(
        default=True, description="Whether `chopmark serve` makes a first picture as it starts."
    )
    output_format: Literal["png", "jpeg", "webp", "avif"] = Field(
        default="png", description="Format of the pictures when the caller does not say."
    )

    @field_validator("cached_answers")
    @classmethod
    def _needs_the_index(cls, value: str, info: ValidationInfo) -> str:
        if value != "off" and not info.data.get("prompt_index"):
            raise ValueError("needs CHOPMARK_PROMPT_INDEX=true, which finds the earlier prompts")
        return value

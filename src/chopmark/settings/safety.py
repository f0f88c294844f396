"""By which policy prompts and pictures are judged, and with which guards."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, Field

__all__ = ["SafetySettings"]


class SafetySettings(BaseModel, frozen=True):
    """The policy and the guards."""

    policy: str = Field(
        default="default", description="Safety policy: `default`, `strict` or a YAML file."
    )
    tenant_policies: Path | None = Field(
        default=None,
        description="Folder of overrides: `TENANT.yaml` changes the policy for that tenant; floors "
        "may only become stricter.",
    )
    shadow_policy: str | None = Field(
        default=None,
        description="A second policy that is judged beside the active one and only logged.",
    )
    on_review: Literal["release", "refuse"] = Field(
        default="release",
        description="What a `review` verdict does to a picture: released and logged as flagged, "
        "or refused.",
    )
    refusal_tells: Literal["nothing", "category", "words"] = Field(
        default="category",
        description="What a refused caller learns: nothing but the decision's id, the categories, "
        "or also the words and reasons, which teach how to evade. The desk sees all of it.",
    )
    held_pictures_mb: int = Field(
        default=512,
        ge=1,
        description="MiB of pictures, of each tenant, that are held for a reviewer to release "
        "where `CHOPMARK_ON_REVIEW=refuse`; the oldest go first.",
    )
    hash_lists: Path | None = Field(
        default=None, description="Folder with hash lists that outputs and inputs are matched with."
    )
    hma_url: str = Field(
        default="",
        description="Address of a Hasher-Matcher-Actioner service that is asked about every "
        "picture beside the lists.",
    )
    hma_key: str = Field(default="", repr=False, description="Its API key, sent as a bearer token.")
    guard_model: str | None = Field(
        default=None,
        description="A larger guard model that is asked about uncertain prompts: `hf:org/name` or "
        "a folder (Qwen3Guard, Llama Guard, ShieldGemma, Granite Guardian).",
    )
    guard_model_timeout_s: float = Field(
        default=5.0,
        gt=0,
        description="Longest that the larger guard model may take; then what was uncertain counts "
        "as harmful.",
    )
    image_guards: str = Field(
        default="",
        description="Larger picture models for the review band, with commas between: `nudenet`, "
        "`hf:org/name`.",
    )
    clip_backbone: str | None = Field(
        default=None,
        description="A CLIP model, `hf:org/name` or a folder, that compares doubtful pictures with "
        "words.",
    )
    picture_text: Literal["auto", "always", "never"] = Field(
        default="auto",
        description="Read and judge the text in pictures: where the prompt asks for writing or in "
        "doubt, if `chopmark[ocr]` is installed (`auto`); in every picture (`always`); or `never`.",
    )
    picture_heads: Literal["auto", "always", "never"] = Field(
        default="auto",
        description="Look for people and weapons in pictures: with the packages that carry the "
        "models, if they are installed (`auto`); refuse to work without them (`always`); or "
        "`never`. Hate symbols are looked for in any case.",
    )

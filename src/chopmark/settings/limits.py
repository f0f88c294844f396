"""How much one request may ask for, and how long each stage of it may take."""

from __future__ import annotations

from pydantic import BaseModel, Field

from chopmark.kit import limits

__all__ = ["LimitSettings"]


class LimitSettings(BaseModel, frozen=True):
    """Bounds of one request."""

    max_outputs: int = Field(
        default=10,
        ge=limits.N.least,
        le=limits.N.most,
        description="Most pictures in one request.",
    )
    max_prompt_chars: int = Field(
        default=32_000,
        ge=1,
        le=limits.TEXT.most,
        description="Longest prompt, in characters.",
    )
    max_image_bytes: int = Field(
        default=32 * 2**20, ge=1024, description="Largest input picture, in bytes."
    )
    max_image_pixels: int = Field(
        default=64_000_000, ge=4096, description="Largest input picture, in pixels after decoding."
    )
    max_references: int = Field(
        default=3,
        ge=limits.REFERENCES.least,
        le=limits.REFERENCES.most,
        description="Most further pictures of one edit, beside the one that is changed.",
    )
    guard_timeout_s: float = Field(
        default=30.0, gt=0, description="Longest that judging one prompt or picture may take."
    )
    generate_timeout_s: float = Field(
        default=600.0, gt=0, description="Longest that the generator may take for one request."
    )
    seal_timeout_s: float = Field(
        default=60.0, gt=0, description="Longest that marking or signing one picture may take."
    )
    log_timeout_s: float = Field(
        default=10.0, gt=0, description="Longest wait for the log to make a record durable."
    )
    look_timeout_s: float = Field(
        default=60.0,
        gt=0,
        description="Longest that telling what one picture is may take over HTTP, once it is its "
        "turn.",
    )
    max_queue: int = Field(
        default=128, ge=0, description="Requests that may wait for the generator before 503."
    )
    max_queue_s: float = Field(
        default=300.0,
        gt=0,
        description="Longest that a request may wait for its turn before 503; one that would wait "
        "longer at the pace of late is refused at once.",
    )
    max_pixels_in_flight: int = Field(
        default=64_000_000,
        ge=4096,
        description="Most pixels of pictures that are looked at over HTTP at the same time; one "
        "picture of `CHOPMARK_MAX_IMAGE_PIXELS` always fits.",
    )
    body_timeout_s: float = Field(
        default=120.0,
        ge=limits.BODY_S.least,
        le=limits.BODY_S.most,
        description="Longest that the body of a request may take to arrive.",
    )
    body_idle_s: float = Field(
        default=15.0,
        ge=limits.BODY_IDLE_S.least,
        le=limits.BODY_IDLE_S.most,
        description="Longest silence within the body of a request.",
    )
    max_body_bytes_held: int = Field(
        default=256 * 2**20,
        ge=2**20,
        description="Bytes of request bodies in memory at once, of all callers; one caller has at "
        "most half of them, and so have all who send no key together.",
    )
    max_connections: int = Field(
        default=512,
        ge=1,
        description="Connections at once; one more ends the one that has kept the server waiting "
        "longest.",
    )

"""The one model that a server runs, as clients of OpenAI's shape and of Gemini's read it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from chopmark.errors import ModelNotFound

if TYPE_CHECKING:
    from chopmark.generation import ModelInfo
    from chopmark.service.service import Service

__all__ = ["model_list", "model_of", "served_model"]


def model_list(service: Service) -> dict[str, Any]:
    """Return one body that both kinds of client read."""
    one = model_of(service.pipeline.parts.generator.info)
    return {"object": "list", "data": [one], "models": [one]}


def model_of(info: ModelInfo) -> dict[str, Any]:
    """Return what both kinds of client read of a model."""
    return {
        "id": info.id,
        "object": "model",
        "created": 0,  # weights carry a digest, not a date
        "owned_by": "chopmark",
        "digest": info.digest,
        "name": f"models/{info.id}",
        "displayName": info.id,
        "version": info.version,
        "maxImages": info.max_images,
        "ignores": sorted(info.ignores),
        "supportedGenerationMethods": ["generateContent", "streamGenerateContent"],
    }


def served_model(asked: str | None, service: Service) -> ModelInfo:
    """Return the model that a name stands for.

    Raises:
        ModelNotFound: It is neither ours nor one of ``Settings.model_aliases``.
    """
    pipeline = service.pipeline
    info = pipeline.parts.generator.info
    aliases = {name.strip() for name in pipeline.settings.model_aliases.split(",")}
    if asked and asked not in {info.id, *aliases}:
        raise ModelNotFound(
            f"model {asked[:200]!r} is not served here",
            hint=f"this server has {info.id}; CHOPMARK_MODEL_ALIASES adds names for it",
        )
    return info

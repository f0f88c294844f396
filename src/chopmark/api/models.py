"""The one model that a server runs, as clients of OpenAI's shape and of Gemini's read it."""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any, Final

from chopmark.errors import ModelNotFound

if TYPE_CHECKING:
    from chopmark.generation import ModelInfo
    from chopmark.service.service import Service
    from chopmark.settings import Settings

__all__ = ["model_list", "model_of", "served_model"]

# Picture models of the vendors, as their clients name them (openai 3.54.0, google-genai 3.4.0): a
# wildcard has no names to list, and people choose from a list.
_KNOWN: Final = (
    "chatgpt-image-latest",
    "dall-e-2",
    "dall-e-3",
    "gpt-image-1",
    "gpt-image-1-mini",
    "gpt-image-1.5",
    "gpt-image-2",
    "gpt-image-2-2026-04-21",
    "gpt-image-2.5-flare",
    "gpt-image-2.5-flare-2026-09-08",
    "gpt-image-2.5-sunburst",
    "gpt-image-2.5-sunburst-2026-09-08",
    "gpt-image-2.6-flare",
    "gpt-image-2.6-sunburst",
    "gemini-2.5-flash-image",
    "gemini-3-pro-image",
    "gemini-3.1-flash-image",
    "gemini-3.1-flash-lite-image",
    "imagen-3.0-capability-001",
    "imagen-3.0-generate-002",
    "imagen-4.0-fast-generate-001",
    "imagen-4.0-generate-001",
    "imagen-4.0-ultra-generate-001",
)


def model_list(service: Service) -> dict[str, Any]:
    """Return one body that both kinds of client read: the model, then its other names."""
    info = service.pipeline.parts.generator.info
    names = [info.id, *(name for name in _names(service.pipeline.settings) if name != info.id)]
    entries = [model_of(info, name) for name in names]
    return {"object": "list", "data": entries, "models": entries}


def model_of(info: ModelInfo, name: str | None = None) -> dict[str, Any]:
    """Return what both kinds of client read of a model, under its own name or another."""
    name = name or info.id
    return {
        "id": name,
        "object": "model",
        "created": 0,  # weights carry a digest, not a date
        "owned_by": "chopmark",
        "root": info.id,
        "digest": info.digest,
        "name": f"models/{name}",
        "displayName": name,
        "version": info.version,
        "maxImages": info.max_images,
        "maxSize": info.max_size,
        "ignores": sorted(info.ignores),
        "supportedGenerationMethods": ["generateContent", "streamGenerateContent", "predict"],
    }


def served_model(asked: str | None, service: Service) -> ModelInfo:
    """Return the model that a name stands for.

    Raises:
        ModelNotFound: It is neither ours nor one of ``Settings.model_aliases``.
    """
    pipeline = service.pipeline
    info = pipeline.parts.generator.info
    patterns = _patterns(pipeline.settings)
    known = not asked or asked == info.id
    if asked and not known and not any(fnmatchcase(asked, one) for one in patterns):
        raise ModelNotFound(
            f"model {asked[:200]!r} is not served here",
            hint=f"this server has {info.id}; CHOPMARK_MODEL_ALIASES adds names for it",
        )
    return info


def _patterns(settings: Settings) -> list[str]:
    return [name.strip() for name in settings.model_aliases.split(",") if name.strip()]


def _names(settings: Settings) -> list[str]:
    """Return the other names, those of a wildcard as far as they are known."""
    names: list[str] = []
    for pattern in _patterns(settings):
        wild = set("*?[") & set(pattern)
        names += [one for one in _KNOWN if fnmatchcase(one, pattern)] if wild else [pattern]
    return list(dict.fromkeys(names))

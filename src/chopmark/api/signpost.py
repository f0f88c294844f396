"""``/.well-known/ai-content-detector.json``: where others find our detector, resolver and keys.

No registry of such documents is known; the name and the members are ours, of version 1. Whoever has
a picture and the name of its maker's site finds from here whom to ask about it, what is answered,
and how an answer is checked without believing us.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from fastapi import APIRouter

from chopmark.pipeline.steps import in_thread
from chopmark.service.deployment import TheService

if TYPE_CHECKING:
    from chopmark.pipeline.parts import Parts
    from chopmark.settings import Settings

__all__ = ["PATH", "router"]

PATH: Final = "/.well-known/ai-content-detector.json"
_TECHNIQUES: Final = ("c2pa", "watermark", "fingerprint", "log", "metadata")
router = APIRouter(tags=["public"])


@router.get(PATH)
async def signpost(service: TheService) -> dict[str, Any]:
    """Tell where detector, resolver, trust lists and log are, and who may ask."""
    return await in_thread(lambda: _signpost(service.pipeline.parts))


def _signpost(parts: Parts) -> dict[str, Any]:
    settings = parts.settings
    limit = settings.public_verify_per_minute or settings.requests_per_minute
    # Asking about us must not make a log or keys that were not there.
    key = parts.log.public_key if parts.exists("request_log") else None
    return {
        "version": 1,
        "provider": settings.aigc_producer or None,
        "public": settings.public_verify,
        "requests_per_minute": (limit or None) if settings.public_verify else None,
        "detector": {
            "page": _at(settings, "/verify"),
            "api": _at(settings, "/api/v1/verify"),
            "method": "POST",
            "field": "image",
            "techniques": list(_TECHNIQUES),
            "keeps_pictures": False,
        },
        "resolver": _at(settings, "/.well-known/c2pa-soft-binding-resolution"),
        "keys": _at(settings, "/api/v1/keys"),
        "log": {
            "origin": settings.log_origin,
            "verifier_key": key,
            "checkpoint": _at(settings, "/log/checkpoint"),
        },
        "trust_lists": [
            {"name": one.name, "date": one.date or None, "sequence": one.sequence}
            for one in parts.anchors.lists
            if one.kind != "own"
        ],
    }


def _at(settings: Settings, path: str) -> str:
    """Return an address; a path alone where the deployer did not say what this server is called.

    The caller's ``Host`` is not used: whoever asks could put any name into a document that is
    cached for others.
    """
    return settings.public_url.rstrip("/") + path

"""The OpenAPI document: FastAPI's own, with the one error body that every route really has."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fastapi import FastAPI

__all__ = ["describe"]

_PROBLEM: dict[str, Any] = {
    "type": "object",
    "description": "RFC 9457 members, and the error object that OpenAI's clients read",
    "required": ["type", "title", "status", "detail", "error"],
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "error": {
            "type": "object",
            "required": ["message", "type", "param", "code"],
            "properties": {
                "message": {"type": "string"},
                "type": {"type": "string"},
                "param": {"type": ["string", "null"]},
                "code": {"type": "string"},
            },
        },
    },
}
_GOOGLE: dict[str, Any] = {
    "type": "object",
    "description": "The error object that Google's clients read (AIP-193)",
    "required": ["error"],
    "properties": {
        "error": {
            "type": "object",
            "required": ["code", "message", "status"],
            "properties": {
                "code": {
                    "type": ["integer", "string"],
                    "description": "The HTTP status; of interactions a URI",
                },
                "message": {"type": "string"},
                "status": {"type": "string"},
                "details": {"type": "array"},
            },
        },
    },
}
# A server without keys asks for none, and answers its own machine only.
_KEYS: dict[str, Any] = {
    "bearer": {"type": "http", "scheme": "bearer"},
    "google": {"type": "apiKey", "in": "header", "name": "x-goog-api-key"},
}


def describe(app: FastAPI) -> None:
    """Make ``app.openapi`` tell of our error body instead of FastAPI's."""
    made = app.openapi

    def openapi() -> dict[str, Any]:
        document = made()
        schemas = document.setdefault("components", {}).setdefault("schemas", {})
        schemas |= {"Problem": _PROBLEM, "GoogleError": _GOOGLE}
        document["components"]["securitySchemes"] = _KEYS
        document["security"] = [*({name: []} for name in _KEYS), {}]
        for unused in ("HTTPValidationError", "ValidationError"):
            schemas.pop(unused, None)
        return document

    app.openapi = openapi  # type: ignore[method-assign]

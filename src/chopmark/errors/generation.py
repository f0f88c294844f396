"""The generator: missing, not loading, or giving no picture."""

from __future__ import annotations

from chopmark.errors.base import ChopmarkError

__all__ = ["GenerationFailed", "ModelError", "ModelLoadError", "ModelNotFound"]


class ModelError(ChopmarkError):
    """Something about the generator."""

    code = "model_error"


class ModelNotFound(ModelError):
    """No model of this id is to be had here."""

    code = "model_not_found"
    status = 404


class ModelLoadError(ModelError):
    """The model is there and does not load."""

    code = "model_load_error"
    status = 503


class GenerationFailed(ModelError):
    """The generator ran and gave no usable picture."""

    code = "generation_failed"

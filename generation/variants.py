"""The faces of one loaded pipeline: text to image, edit and inpaint, sharing the same weights."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from chopmark.generation.interface import Operation


class Variants:
    """A pipeline and those that diffusers' AutoPipelines derive from it, on the same weights."""

    def __init__(self, pipeline: Any) -> None:
        from diffusers import AutoPipelineForImage2Image, AutoPipelineForInpainting

        self._pipelines: dict[Operation, Any] = {}
        parameters = inspect.signature(pipeline.__call__).parameters
        image = parameters.get("image")
        if image is None or image.default is None:
            self._pipelines["generate"] = pipeline
        if image is not None and "mask_image" not in parameters:
            self._pipelines["edit"] = pipeline
        if "mask_image" in parameters:
            self._pipelines["inpaint"] = pipeline
        families: tuple[tuple[Operation, Any], ...] = (
            ("edit", AutoPipelineForImage2Image),
            ("inpaint", AutoPipelineForInpainting),
        )
        for operation, family in families:
            if operation not in self._pipelines:
                self._derive(operation, family, pipeline)
        if "inpaint" not in self._pipelines and type(pipeline).__name__ == "Flux2KleinPipeline":
            # A family that AutoPipelineForInpainting does not list (diffusers 0.42).
            from diffusers import Flux2KleinInpaintPipeline

            self._derive("inpaint", Flux2KleinInpaintPipeline, pipeline)
        #: Whether inpainting is an edit with :class:`~chopmark.generation.masking.KeepOutside`.
        self.inpaints_by_edit = "inpaint" not in self._pipelines and self._can_blend()
        if self.inpaints_by_edit:
            self._pipelines["inpaint"] = self._pipelines["edit"]

    def _derive(self, operation: Operation, family: Any, pipeline: Any) -> None:
        try:
            derived = _derived(family, pipeline)
        except (ValueError, AttributeError, TypeError):
            # from_pipe has no one way to say that a family lacks a variant; the operation stays
            # unsupported.
            return
        if operation == "inpaint" and not _inpaints(derived):
            return
        derived.set_progress_bar_config(disable=True)
        self._pipelines[operation] = derived

    def _can_blend(self) -> bool:
        edit = self._pipelines.get("edit")
        if edit is None or "strength" not in inspect.signature(edit.__call__).parameters:
            return False
        return all(hasattr(edit, name) for name in ("vae", "image_processor", "scheduler"))

    @property
    def supports(self) -> frozenset[Operation]:
        """The operations that there is a pipeline for."""
        return frozenset(self._pipelines)

    @property
    def all(self) -> list[Any]:
        """Every pipeline once."""
        return list({id(one): one for one in self._pipelines.values()}.values())

    def pipeline(self, operation: Operation) -> Any:
        """Return the pipeline for ``operation``, which must be one of :attr:`supports`."""
        return self._pipelines[operation]

    def class_name(self, operation: Operation) -> str:
        """Return the name of the pipeline's class."""
        return type(self._pipelines[operation]).__name__


def _derived(family: Any, pipeline: Any) -> Any:
    from diffusers import DiffusionPipeline

    if not issubclass(family, DiffusionPipeline):
        return family.from_pipe(pipeline)
    # An AutoPipeline takes the parts as they are; a pipeline's own `from_pipe` would cast shared
    # weights to float32 (diffusers 0.42), whatever they were loaded as.
    takes = inspect.signature(family.__init__).parameters
    values = {**pipeline.config, **pipeline.components}
    return family(**{name: value for name, value in values.items() if name in takes})


def _inpaints(pipeline: Any) -> bool:
    # The UNet families take 4 latent channels, or 9 with the masked picture, and else refuse.
    unet = getattr(pipeline, "unet", None)
    return unet is None or unet.config.in_channels in {4, 9}

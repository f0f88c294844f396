"""The faces of one loaded pipeline: text to image, edit and inpaint, sharing the same weights."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

    from chopmark.generation.interface import Operation, Option

#: Pipelines that join several pictures, and how many their makers say are of use.
_IMAGES: Final = {
    # docs.bfl.ai, "Editing overview": klein up to 4, dev at most 6 recommended.
    "Flux2KleinPipeline": 4,
    "Flux2KleinInpaintPipeline": 2,  # `image_reference` is one picture
    "Flux2Pipeline": 6,
    # Model card of Qwen-Image-Edit-2509: 1 to 3.
    "QwenImageEditPlusPipeline": 3,
}


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
        #: Whether inpainting is an edit with :class:`~chopmark.generation.mask.KeepOutside`.
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

    def max_images(self, operation: Operation) -> int:
        """Return how many pictures the pipeline for ``operation`` joins; 1 where it is unknown."""
        return _IMAGES.get(type(self._pipelines.get(operation)).__name__, 1)

    @property
    def ignores(self) -> frozenset[Option]:
        """The options that these pipelines have no use for."""
        pipeline = self._pipelines.get("generate") or next(iter(self._pipelines.values()))
        takes = inspect.signature(pipeline.__call__).parameters
        qwen = type(pipeline).__name__.startswith("QwenImage")
        # FLUX.1 heeds it only beside a `true_cfg_scale`, which is no guidance of the model's own.
        heeds_negative = "negative_prompt" in takes and (qwen or "true_cfg_scale" not in takes)
        found: set[Option] = set() if heeds_negative else {"negative_prompt"}
        if not _heeds_guidance(pipeline, takes):
            found.add("guidance")
        edit = self._pipelines.get("edit")
        if edit is None or "strength" not in inspect.signature(edit.__call__).parameters:
            found.add("strength")
        return frozenset(found)


def _heeds_guidance(pipeline: Any, takes: Mapping[str, Any]) -> bool:
    if "guidance_scale" not in takes and "true_cfg_scale" not in takes:
        return False
    if getattr(pipeline.config, "is_distilled", False):
        return False
    # FLUX.1 tells the denoiser the guidance, and schnell's was not made to hear it.
    denoiser = getattr(pipeline, "transformer", None)
    hears = getattr(getattr(denoiser, "config", None), "guidance_embeds", None)
    name = type(pipeline).__name__
    return hears is not False or not name.startswith("Flux") or name.startswith("Flux2")


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

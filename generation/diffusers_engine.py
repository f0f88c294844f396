"""Any diffusers pipeline as a generator: the embedded one, a local folder or a hub model."""

from __future__ import annotations

import inspect
import math
import threading
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image, ImageOps

from chopmark.errors import Cancelled, ChopmarkError, GenerationFailed, InvalidRequest
from chopmark.generation.folders import find_folder
from chopmark.generation.masking import KeepOutside
from chopmark.generation.quantize import quantize
from chopmark.generation.variants import Variants

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from chopmark.generation.interface import GenerationJob, ModelInfo, Quantization

#: Pipelines that take several pictures at once and join them.
_SEVERAL_IMAGES = frozenset({"Flux2KleinPipeline", "Flux2Pipeline", "QwenImageEditPlusPipeline"})
#: How far an edit goes when nobody says: enough to change what is shown, not where.
_EDIT_STRENGTH = 0.6
#: Inside a mask the new picture starts afresh.
_INPAINT_STRENGTH = 1.0


class DiffusersGenerator:
    """A diffusers pipeline that answers :class:`~chopmark.generation.GenerationJob`.

    Each picture of a job is made alone with its own seed: on a CPU a batch is hardly faster, and
    its pictures would differ in the last bit from those made one by one.

    Made by :meth:`load`; safe to call from several threads, one job at a time.
    """

    def __init__(
        self, variants: Variants, info: ModelInfo, *, default_guidance: float | None
    ) -> None:
        self._variants = variants
        self._info = info
        self._default_guidance = default_guidance
        self._lock = threading.Lock()

    @classmethod
    def load(
        cls,
        model: str | Path,
        *,
        name: str | None = None,
        device: str = "cpu",
        dtype: str = "float32",
        quantization: Quantization = "auto",
    ) -> DiffusersGenerator:
        """Load a pipeline with ``DiffusionPipeline.from_pretrained``.

        Weights are read from safetensors only, never from pickles. A model that is on this disk is
        loaded without any call to the network.

        Args:
            model: folder that diffusers wrote, or ``hf:org/name``.
            name: what ``info.id`` says; the default is ``model``.
            device: torch device, ``cpu`` or ``cuda``.
            dtype: ``float32``, ``bfloat16`` or ``float16``; on CPUs without native support for the
                short formats float32 is the fastest.
            quantization: ``int8`` runs linear layers with 8-bit weights and activations quantized
                on the fly, on the CPU; ``auto`` does so for denoisers that are transformers and
                leaves convolutional ones alone, because there it was measured to gain nothing;
                ``none`` never does.

        Raises:
            ModelNotFound: there is no such folder, or the hub cannot be reached and holds no copy
                here.
            ModelLoadError: the files are not a pipeline that can be loaded.
            InvalidRequest: ``dtype`` or ``quantization`` is unknown, or int8 is asked for on a GPU.
        """
        folder = find_folder(model)
        pipeline = folder.load_pipeline(device=device, dtype=dtype)
        applied = quantize(pipeline, quantization, device=device)
        variants = Variants(pipeline)
        info = folder.describe(
            pipeline, name=name or str(model), quantization=applied, supports=variants.supports
        )
        return cls(variants, info, default_guidance=folder.default_guidance)

    @property
    def info(self) -> ModelInfo:
        """What is known about the model."""
        return self._info

    def generate(
        self,
        job: GenerationJob,
        *,
        progress: Callable[[int, int], None] | None = None,
        cancelled: Callable[[], bool] | None = None,
    ) -> list[Image.Image]:
        """Make the pictures of ``job``; see :meth:`chopmark.generation.Generator.generate`."""
        self._check(job)
        call = _Call(job, self._info, self._variants, self._default_guidance)
        watch = _Watch(progress, cancelled, steps=call.steps, pictures=job.n)
        pictures = []
        with self._lock:
            for seed in job.seeds:
                watch.ask()
                pictures.append(call.finish(call.run(seed, watch)))
        return pictures

    def _check(self, job: GenerationJob) -> None:
        info = self._info
        if job.operation not in info.supports:
            raise InvalidRequest(
                f"the model {info.id} cannot {job.operation}",
                hint=f"it can {', '.join(sorted(info.supports))}",
            )
        if max(job.width, job.height) > info.max_size:
            raise InvalidRequest(
                f"{job.width}x{job.height} is over the model's largest side, {info.max_size} pixels"
            )
        if len(job.images) > 1 and self._variants.class_name(job.operation) not in _SEVERAL_IMAGES:
            raise InvalidRequest(
                f"the model {info.id} edits one picture at a time, {len(job.images)} were given"
            )


class _Watch:
    """Counts the steps of a job and ends it when asked to."""

    def __init__(
        self,
        progress: Callable[[int, int], None] | None,
        cancelled: Callable[[], bool] | None,
        *,
        steps: int,
        pictures: int,
    ) -> None:
        self._progress = progress
        self._cancelled = cancelled
        self._done = 0
        self._steps = steps
        self._pictures = pictures

    def ask(self) -> None:
        if self._cancelled is not None and self._cancelled():
            raise Cancelled("the generation was cancelled")

    def step(self, pipeline: Any) -> None:
        """Count one step of ``pipeline``, which knows how many it takes once it runs."""
        steps = int(getattr(pipeline, "num_timesteps", None) or self._steps)
        self._done += 1
        total = max(steps * self._pictures, self._done)
        if self._progress is not None:
            self._progress(self._done, total)
        if self._done < total:
            self.ask()


class _Call:
    """The arguments of one job's pipeline calls, and what becomes of their output."""

    def __init__(
        self, job: GenerationJob, info: ModelInfo, variants: Variants, guidance: float | None
    ) -> None:
        self._job = job
        self._pipeline = pipeline = variants.pipeline(job.operation)
        self._blends = job.mask is not None and variants.inpaints_by_edit
        self._takes = frozenset(inspect.signature(pipeline.__call__).parameters)
        self._size = render_size(job.width, job.height, info.native_size, pipeline)
        steps = job.steps or info.default_steps
        usual = _EDIT_STRENGTH if job.mask is None else _INPAINT_STRENGTH
        strength = usual if job.strength is None else job.strength
        if job.images and "strength" in self._takes:
            # Such a pipeline walks the last ``strength`` of the steps; less than one is an error.
            while int(steps * strength) < 1:
                steps += 1
        self.steps = steps
        values: dict[str, Any] = {
            "prompt": job.prompt,
            "negative_prompt": job.negative_prompt or None,
            "width": self._size[0],
            "height": self._size[1],
            "num_inference_steps": steps,
            "guidance_scale": job.guidance if job.guidance is not None else guidance,
            "strength": strength,
        }
        self._arguments: dict[str, Any] = {
            key: value for key, value in values.items() if key in self._takes and value is not None
        }
        if job.images:
            fitted = [
                ImageOps.fit(image.convert("RGB"), self._size, Image.Resampling.LANCZOS)
                for image in job.images
            ]
            self._arguments["image"] = fitted if len(fitted) > 1 else fitted[0]
        if job.mask is not None and not self._blends:
            self._arguments["mask_image"] = self._mask(self._size)

    def _mask(self, size: tuple[int, int]) -> Image.Image:
        if self._job.mask is None:
            raise InvalidRequest("inpainting needs a mask")
        return ImageOps.fit(self._job.mask.convert("L"), size, Image.Resampling.BILINEAR)

    def run(self, seed: int, watch: _Watch) -> np.ndarray[Any, np.dtype[np.float32]]:
        """Return one picture (height, width, 3) in 0 to 1 as the pipeline gives it."""
        import torch

        arguments: dict[str, Any] = {**self._arguments, "output_type": "np"}
        try:
            # A generator on the CPU gives the same noise whatever device the model runs on.
            generator = torch.Generator("cpu").manual_seed(seed)
            with torch.inference_mode():
                if "callback_on_step_end" in self._takes:
                    arguments["callback_on_step_end"] = self._after_step(watch, seed)
                output = self._pipeline(**arguments, generator=generator)
            picture = np.asarray(output.images[0], dtype=np.float32)
        except ChopmarkError:
            raise
        except Exception as error:  # whatever a foreign pipeline raises
            raise GenerationFailed(
                f"the model failed: {type(error).__name__}: {error}",
                hint="try other steps, size or guidance",
            ) from error
        if picture.ndim != 3 or picture.shape[2] != 3 or not np.isfinite(picture).all():
            raise GenerationFailed(
                "the model gave numbers that are no picture", hint="try another dtype"
            )
        return picture

    def _after_step(self, watch: _Watch, seed: int) -> Callable[..., dict[str, Any]]:
        keep = None
        if self._blends:
            picture = self._arguments["image"]
            keep = KeepOutside(self._pipeline, picture, self._mask(self._size), seed=seed)

        def after_step(
            pipeline: Any, _index: int, time: Any, tensors: dict[str, Any]
        ) -> dict[str, Any]:
            # What this raises ends the pipeline at once.
            watch.step(pipeline)
            if keep is not None and "latents" in tensors:
                return {**tensors, "latents": keep(pipeline, time, tensors["latents"])}
            return tensors

        return after_step

    def finish(self, picture: np.ndarray[Any, np.dtype[np.float32]]) -> Image.Image:
        """Return the RGB picture at the asked size; outside a mask it is the input, untouched."""
        size = (self._job.width, self._job.height)
        rendered = Image.fromarray((picture.clip(0.0, 1.0) * 255.0 + 0.5).astype(np.uint8))
        if rendered.size != size:
            rendered = rendered.resize(size, Image.Resampling.LANCZOS)
        if self._job.mask is None:
            return rendered
        original = ImageOps.fit(self._job.images[0].convert("RGB"), size, Image.Resampling.LANCZOS)
        return Image.composite(rendered, original, self._mask(size))


def render_size(width: int, height: int, native: int, pipeline: Any) -> tuple[int, int]:
    """Return the size at which the denoiser works for a picture of ``width`` by ``height`` pixels.

    It has about ``native * native`` pixels, for which the model was trained, and the asked
    proportions up to 2 to 1 (beyond, the model would see sizes unlike any it learned); both sides
    are multiples of what the denoiser halves.
    """
    ratio = min(2.0, max(0.5, width / height))
    multiple = side_multiple(pipeline)
    return (
        max(multiple, round(native * math.sqrt(ratio) / multiple) * multiple),
        max(multiple, round(native / math.sqrt(ratio) / multiple) * multiple),
    )


def side_multiple(pipeline: Any) -> int:
    """Return the number of pixels that each side must be a multiple of."""
    factor = int(getattr(pipeline, "vae_scale_factor", 8) or 8)
    unet = getattr(pipeline, "unet", None)
    if unet is not None:
        return factor * int(2 ** (len(unet.config.block_out_channels) - 1))
    return factor * 2

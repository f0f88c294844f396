"""Any diffusers pipeline as a generator: the embedded one, a local folder or a hub model."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

from chopmark.errors import InvalidRequest, TooManyImages
from chopmark.generation import memory
from chopmark.generation.calls import Call, Slot
from chopmark.generation.fit import settle
from chopmark.generation.folders import find_folder
from chopmark.generation.interface import GenerationJob
from chopmark.generation.lora import add_loras, parse_lora
from chopmark.generation.options import LoadOptions
from chopmark.generation.placement import place, tile
from chopmark.generation.prompt_cache import PromptCache
from chopmark.generation.quantize import make_plan
from chopmark.generation.step_counter import StepCounter
from chopmark.generation.step_savings import speed_up
from chopmark.generation.variants import Variants

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from PIL import Image

    from chopmark.generation.doubler import Doubler
    from chopmark.generation.interface import Draft, ModelInfo


class DiffusersGenerator:
    """A diffusers pipeline that answers :class:`~chopmark.generation.GenerationJob`.

    Each picture of a job is made alone with its own seed, so that it can be made again alone, bit
    for bit. :class:`~chopmark.generation.batches.BatchingGenerator` joins pictures to batches.

    Made by :meth:`load`; safe to call from several threads, one picture at a time.

    Attributes:
        variants: The pipelines of diffusers that do its work, by operation.
    """

    def __init__(
        self,
        variants: Variants,
        info: ModelInfo,
        *,
        default_guidance: float | None = None,
        arguments: Mapping[str, Any] | None = None,
        options: LoadOptions | None = None,
        doubler: Doubler | None = None,
    ) -> None:
        self.variants = variants
        self._info = info
        self._default_guidance = default_guidance
        self._arguments = arguments
        self._doubler = doubler
        self._options = options or LoadOptions()
        self._lock = threading.Lock()
        #: Embeddings of earlier prompts.
        self.prompt_cache = PromptCache(self._options.prompt_cache_mb)
        for pipeline in variants.all:
            self.prompt_cache.attach(pipeline)

    @classmethod
    def load(
        cls, model: str | Path, *, name: str | None = None, options: LoadOptions | None = None
    ) -> DiffusersGenerator:
        """Load a pipeline with ``DiffusionPipeline.from_pretrained``.

        Weights are read from safetensors only, never from pickles. A model that is on this disk is
        loaded without any call to the network.

        Args:
            model: folder that diffusers wrote, or ``hf:org/name``.
            name: what ``info.id`` says; the default is ``model``.
            options: device, dtype, quantization and limits.

        Raises:
            ModelNotFound: there is no such folder, or the hub cannot be reached and holds no copy
                here.
            ModelLoadError: the files are not a pipeline that can be loaded, or it would be over the
                memory limit.
            InvalidRequest: the device is unknown here, or the quantization cannot work on it.
        """
        from chopmark.generation.doubler import read_doubler  # it imports torch

        options = options or LoadOptions()
        device, dtype = options.torch_device, options.torch_dtype
        folder = find_folder(model)
        memory.check_before(folder.weights(), dtype=dtype, limit_mb=options.memory_limit_mb)
        settled = settle(folder, options)
        plan = make_plan(
            folder, settled.quantization, device=device, dtype=dtype, runtime=options.runtime
        )
        loras = [parse_lora(text) for text in options.loras]
        if loras and plan.replaced:
            raise InvalidRequest("a LoRA cannot be added to GGUF weights", hint="int8 or none")
        pipeline = folder.load_pipeline(device=device, dtype=dtype, plan=plan)
        added = add_loras(pipeline, loras)
        plan.finish(pipeline)
        if settled.tiled:
            tile(pipeline)
        speed_up(pipeline, attention=options.attention, step_cache=options.step_cache)
        place(pipeline, settled.offload, device=device)
        memory.check_after(device=device, limit_mb=options.memory_limit_mb)
        variants = Variants(pipeline)
        info = folder.describe(
            pipeline,
            name=name or str(model),
            quantization=plan.quantization,
            variants=variants,
            added=added,
        )
        return cls(
            variants,
            info,
            default_guidance=folder.default_guidance,
            arguments=folder.arguments,
            options=options,
            doubler=read_doubler(folder.path),
        )

    @property
    def max_batch(self) -> int:
        """How many pictures may share a call."""
        return self._options.max_batch

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
        draft: Callable[[Draft], None] | None = None,
    ) -> list[Image.Image]:
        """Make the pictures of ``job``; see :meth:`chopmark.generation.Generator.generate`."""
        self.check(job)
        watch = StepCounter(job.n, progress, cancelled)
        pictures = []
        for index in range(1, job.n + 1):
            watch.ask()
            slot = Slot(job=job, index=index, stepped=watch.step, drafted=draft)
            pictures += self.run([slot])
        return pictures

    def run(self, slots: Sequence[Slot]) -> list[Image.Image]:
        """Make one picture for each slot, all in one call of the pipeline.

        Args:
            slots: checked ones; several only where any two go
                :func:`~chopmark.generation.calls.together`.

        Raises:
            GenerationFailed: the model broke, or gave something that is no picture.
        """
        with self._lock:
            return self.call(slots).run()

    def call(self, slots: Sequence[Slot]) -> Call:
        """Return the call that :meth:`run` makes, with its arguments, not yet run."""
        return Call(
            slots,
            self._info,
            self.variants,
            self._default_guidance,
            self._arguments,
            self._doubler,
        )

    @property
    def first_job(self) -> GenerationJob | None:
        """A picture in one step, if the model makes pictures from words."""
        if "generate" not in self._info.supports:
            return None
        width, height = self._info.default_size
        return GenerationJob(prompt="warm-up", seed=0, width=width, height=height, steps=1)

    def warm_up(self) -> None:
        """Make a first picture: what is slow only once is done then."""
        if self.first_job is not None:
            self.generate(self.first_job)

    def check(self, job: GenerationJob) -> None:
        """Refuse a job that the model cannot do.

        Raises:
            InvalidRequest: What it cannot do, and what it can.
            TooManyImages: It joins fewer pictures.
        """
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
        most = min(info.max_images, self.variants.max_images(job.operation))
        if len(job.images) > most:
            takes = "one picture" if most == 1 else f"{most} pictures"
            way = " within a mask" if job.mask is not None else ""
            raise TooManyImages(
                f"the model {info.id} takes {takes} for an edit{way}, {len(job.images)} were given",
                hint="leave the others out, or choose a model that joins several",
            )

"""Any diffusers pipeline as a generator: the embedded one, a local folder or a hub model."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from chopmark.errors import Cancelled, InvalidRequest
from chopmark.generation.calls import Call, Slot
from chopmark.generation.folders import find_folder
from chopmark.generation.quantize import quantize
from chopmark.generation.variants import Variants

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from PIL import Image

    from chopmark.generation.interface import Draft, GenerationJob, ModelInfo, Quantization

#: Pipelines that take several pictures at once and join them.
_SEVERAL_IMAGES = frozenset({"Flux2KleinPipeline", "Flux2Pipeline", "QwenImageEditPlusPipeline"})


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
        draft: Callable[[Draft], None] | None = None,
    ) -> list[Image.Image]:
        """Make the pictures of ``job``; see :meth:`chopmark.generation.Generator.generate`."""
        self.check(job)
        watch = Watch(job.n, progress, cancelled)
        pictures = []
        for index in range(1, job.n + 1):
            watch.ask()
            slot = Slot(job=job, index=index, stepped=watch.step, drafted=draft)
            pictures += self.run([slot])
        return pictures

    def run(self, slots: Sequence[Slot]) -> list[Image.Image]:
        """Make one picture for each slot, all in one call of the pipeline.

        Args:
            slots: checked ones; several only where :func:`~chopmark.generation.calls.kind` is the
                same for all.

        Raises:
            GenerationFailed: the model broke, or gave something that is no picture.
        """
        with self._lock:
            return Call(slots, self._info, self._variants, self._default_guidance).run()

    def check(self, job: GenerationJob) -> None:
        """Refuse a job that the model cannot do.

        Raises:
            InvalidRequest: What it cannot do, and what it can.
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
        if len(job.images) > 1 and self._variants.class_name(job.operation) not in _SEVERAL_IMAGES:
            raise InvalidRequest(
                f"the model {info.id} edits one picture at a time, {len(job.images)} were given"
            )


class Watch:
    """Counts the steps of a job over all its pictures, and ends it when asked to."""

    def __init__(
        self,
        pictures: int,
        progress: Callable[[int, int], None] | None,
        cancelled: Callable[[], bool] | None,
    ) -> None:
        self._pictures = pictures
        self._progress = progress
        self._cancelled = cancelled
        self._done = 0

    def ask(self) -> None:
        """Raise Cancelled if the caller wants no more."""
        if self._cancelled is not None and self._cancelled():
            raise Cancelled("the generation was cancelled")

    def step(self, _done: int, steps: int) -> None:
        """Count one step of one picture, which takes ``steps`` in all."""
        self._done += 1
        total = max(steps * self._pictures, self._done)
        if self._progress is not None:
            self._progress(self._done, total)
        if self._done < total:
            self.ask()

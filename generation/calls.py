"""One call of a diffusers pipeline: its arguments, what happens after each step, its pictures."""

from __future__ import annotations

import contextlib
import inspect
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from PIL import Image, ImageOps

from chopmark.errors import ChopmarkError, GenerationFailed, InvalidRequest
from chopmark.generation import drafts
from chopmark.generation.interface import Draft, draft_steps
from chopmark.generation.mask import KeepOutside
from chopmark.generation.proportions import fit, framed, unframed

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from chopmark.generation.doubler import Doubler
    from chopmark.generation.interface import GenerationJob, ModelInfo
    from chopmark.generation.variants import Variants

#: How far an edit goes when nobody says: enough to change what is shown, not where.
_EDIT_STRENGTH: Final = 0.6
#: Native sides for which Sana and PixArt have tables of trained proportions.
_BINNED: Final = frozenset({512, 1024, 2048, 4096})
#: From so many times the rendered pixels on it is doubled first, where the model can.
_DOUBLED: Final = 2.0
#: Inside a mask the new picture starts afresh.
_INPAINT_STRENGTH: Final = 1.0


@dataclass(frozen=True, kw_only=True)
class Slot:
    """One picture of a job on its way.

    Attributes:
        job: the order that it belongs to.
        index: 1 to ``job.n``.
        stepped: told of the steps done and the steps in all of this picture, after each step; what
            it raises ends the whole call.
        drafted: takes the looks that the job wants; what it raises ends the whole call.
    """

    job: GenerationJob
    index: int
    stepped: Callable[[int, int], None]
    drafted: Callable[[Draft], None] | None = None

    @property
    def seed(self) -> int:
        """The seed of this picture."""
        return self.job.seed + self.index - 1

    def looked(self, done: int, steps: int) -> bool:
        """Tell whether nothing more is wanted of this picture after ``done`` of ``steps``."""
        job = self.job
        looks = draft_steps(steps, job.drafts) if job.looks_only and self.drafted else ()
        return bool(looks) and done >= max(looks)


class _LooksTaken(Exception):
    """Every look was taken, and nobody wants a finished picture."""


def together(one: GenerationJob, other: GenerationJob) -> bool:
    """Tell whether pictures of two jobs can be made in the same call."""
    return (
        not one.images
        and not other.images
        and (one.width, one.height, one.steps, one.guidance)
        == (other.width, other.height, other.steps, other.guidance)
    )


class Call:
    """A pipeline call that makes one picture for each slot.

    Args:
        slots: several only where any two go :func:`together`.
        info: facts about the model.
        variants: its pipelines.
        guidance: what to use where the job names none; ``None`` leaves it to the pipeline.
        always: further arguments that this model's pipeline needs.
        doubler: doubles what is rendered, where more is asked for.
    """

    def __init__(
        self,
        slots: Sequence[Slot],
        info: ModelInfo,
        variants: Variants,
        guidance: float | None,
        always: Mapping[str, Any] | None = None,
        doubler: Doubler | None = None,
    ) -> None:
        self._slots = slots
        self._doubler = doubler
        self._taught = info.taught
        self._job = job = slots[0].job
        self._pipeline = pipeline = variants.pipeline(job.operation)
        self._blends = job.mask is not None and variants.inpaints_by_edit
        self._extends = info.extends
        self._takes = frozenset(inspect.signature(pipeline.__call__).parameters)
        self._size = render_size(
            job.width, job.height, info.native_size, pipeline, max_ratio=info.max_ratio
        )
        steps = job.steps or info.default_steps
        usual = _EDIT_STRENGTH if job.mask is None else _INPAINT_STRENGTH
        strength = usual if job.strength is None else job.strength
        if job.images and "strength" in self._takes:
            # Such a pipeline walks the last ``strength`` of the steps; less than one is an error.
            while int(steps * strength) < 1:
                steps += 1
        self._steps = steps
        values: dict[str, Any] = {
            **(always or {}),
            "width": self._size[0],
            "height": self._size[1],
            "num_inference_steps": steps,
            "guidance_scale": job.guidance if job.guidance is not None else guidance,
            "strength": strength,
            # Bins are the sizes that such a model was trained at; others it does not know.
            "use_resolution_binning": info.native_size in _BINNED,
            **self._words(),
        }
        if "true_cfg_scale" in self._takes and type(pipeline).__name__.startswith("QwenImage"):
            # There guidance goes by another name, and is off without a negative prompt.
            values["true_cfg_scale"] = values.pop("guidance_scale")
            values["negative_prompt"] = values["negative_prompt"] or self._each(" ")
        self._arguments: dict[str, Any] = {
            key: value for key, value in values.items() if key in self._takes and value is not None
        }
        if job.images:
            fitted = [framed(image.convert("RGB"), self._size) for image in job.images[1:]]
            fitted.insert(0, framed(self._original(), self._size))
            if job.mask is not None and "image_reference" in self._takes:
                self._arguments["image"] = fitted[0]
                self._arguments["image_reference"] = fitted[1] if len(fitted) > 1 else None
            else:
                self._arguments["image"] = fitted if len(fitted) > 1 else fitted[0]
        if job.mask is not None and not self._blends:
            self._arguments["mask_image"] = self._mask(self._size)

    def _words(self) -> dict[str, Any]:
        prompts = [self._prompt(slot) for slot in self._slots]
        against = [slot.job.negative_prompt for slot in self._slots]
        if len(self._slots) == 1:
            return {"prompt": prompts[0], "negative_prompt": against[0] or None}
        return {"prompt": prompts, "negative_prompt": against if any(against) else None}

    def _prompt(self, slot: Slot) -> str:
        """What the model is told: where a sentence means one picture to it, the seed varies it."""
        if self._taught is None or slot.job.images:
            return slot.job.prompt
        return self._taught.varied(slot.job.prompt, slot.seed)

    def _each(self, text: str) -> str | list[str]:
        return text if len(self._slots) == 1 else [text] * len(self._slots)

    def _mask(self, size: tuple[int, int]) -> Image.Image:
        if self._job.mask is None:
            raise InvalidRequest("inpainting needs a mask")
        asked = (self._job.width, self._job.height)
        mask = ImageOps.fit(self._job.mask.convert("L"), asked, Image.Resampling.BILINEAR)
        return mask if size == asked else framed(mask, size, filter=Image.Resampling.BILINEAR)

    def _original(self) -> Image.Image:
        """The picture to edit, at the asked size."""
        asked = (self._job.width, self._job.height)
        return ImageOps.fit(self._job.images[0].convert("RGB"), asked, Image.Resampling.LANCZOS)

    def run(self) -> list[Image.Image]:
        """Return the finished picture of each slot; none where all wanted looks only.

        Raises:
            GenerationFailed: the model broke, or gave something that is no picture.
        """
        import torch

        arguments: dict[str, Any] = {**self._arguments, "output_type": "np"}
        # A generator on the CPU gives the same noise whatever device the model runs on.
        generators = [torch.Generator("cpu").manual_seed(slot.seed) for slot in self._slots]
        arguments["generator"] = generators if len(generators) > 1 else generators[0]
        wants_drafts = any(slot.drafted and slot.job.drafts for slot in self._slots)
        try:
            with contextlib.ExitStack() as stack:
                stack.enter_context(torch.inference_mode())
                guess = None
                if wants_drafts:
                    guess = stack.enter_context(drafts.watch_clean(self._pipeline.scheduler))
                arguments |= self._after_step(guess)
                output = self._pipeline(**arguments)
            pictures = np.asarray(output.images, dtype=np.float32)
        except ChopmarkError:
            raise
        except _LooksTaken:
            return []
        except Exception as error:  # whatever a foreign pipeline raises
            raise GenerationFailed(
                f"the model failed: {type(error).__name__}: {error}",
                hint="try other steps, size or guidance",
            ) from error
        expected = (len(self._slots), 3)
        if (
            pictures.ndim != 4
            or (pictures.shape[0], pictures.shape[3]) != expected
            or not np.isfinite(pictures).all()
        ):
            raise GenerationFailed(
                "the model gave numbers that are no picture", hint="try another dtype"
            )
        return [self._finish(picture) for picture in pictures]

    def _after_step(self, guess: drafts.CleanGuess | None) -> dict[str, Any]:
        """Return the argument by which this pipeline calls back after each step."""
        keep = None
        if self._blends:
            picture = self._arguments["image"]
            seed = self._slots[0].seed
            keep = KeepOutside(self._pipeline, picture, self._mask(self._size), seed=seed)
        done = 0

        def count() -> None:
            nonlocal done
            done += 1
            # The pipeline knows how many steps it takes once it runs.
            known = getattr(self._pipeline, "num_timesteps", None)
            steps = max(int(known or self._steps), done)
            if guess is not None:
                self._draft(guess, done, steps)
            for slot in self._slots:
                slot.stepped(done, steps)
            if guess is not None and all(slot.looked(done, steps) for slot in self._slots):
                raise _LooksTaken

        def after_step(
            pipeline: Any, _index: int, time: Any, tensors: dict[str, Any]
        ) -> dict[str, Any]:
            # What this raises ends the pipeline at once.
            count()
            if keep is not None and "latents" in tensors:
                return {**tensors, "latents": keep(pipeline, time, tensors["latents"])}
            return tensors

        if "callback_on_step_end" in self._takes:
            return {"callback_on_step_end": after_step}
        if "callback" in self._takes:  # the older form, as PixArt still has it
            return {"callback": lambda *_: count(), "callback_steps": 1}
        return {}

    def _draft(self, guess: drafts.CleanGuess, done: int, steps: int) -> None:
        rows = [
            row
            for row, slot in enumerate(self._slots)
            if slot.drafted is not None and done in draft_steps(steps, slot.job.drafts)
        ]
        if not rows or guess.latents is None:
            return
        for row, picture in zip(
            rows, drafts.decode(self._pipeline, guess.latents, rows, self._size), strict=True
        ):
            slot = self._slots[row]
            size = drafts.small(slot.job.width, slot.job.height)
            quick = Image.Resampling.BILINEAR
            shown = (
                unframed(picture, size, filter=quick)
                if slot.job.images
                else fit(picture, size, extends=self._extends, filter=quick)
            )
            if slot.drafted is not None:
                slot.drafted(Draft(index=slot.index, step=done, steps=steps, picture=shown))

    def _finish(self, picture: np.ndarray[Any, np.dtype[np.float32]]) -> Image.Image:
        """Return the RGB picture at the asked size; outside a mask it is the input, untouched."""
        size = (self._job.width, self._job.height)
        rendered = Image.fromarray((picture.clip(0.0, 1.0) * 255.0 + 0.5).astype(np.uint8))
        if self._doubler is not None and math.prod(size) >= _DOUBLED * math.prod(rendered.size):
            rendered = self._doubler.doubled(rendered)
        if not self._job.images:
            return fit(rendered, size, extends=self._extends)
        rendered = unframed(rendered, size)
        if self._job.mask is None:
            return rendered
        return Image.composite(rendered, self._original(), self._mask(size))


def render_size(
    width: int, height: int, native: int, pipeline: Any, *, max_ratio: float = 2.0
) -> tuple[int, int]:
    """Return the size at which the denoiser works for a picture of ``width`` by ``height`` pixels.

    It has about ``native * native`` pixels, for which the model was trained, and the asked
    proportions up to ``max_ratio`` to 1 (beyond, the model would see sizes unlike any it learned);
    both sides are multiples of what the denoiser halves.
    """
    ratio = min(max_ratio, max(1.0 / max_ratio, width / height))
    multiple = side_multiple(pipeline)
    return (
        max(multiple, round(native * math.sqrt(ratio) / multiple) * multiple),
        max(multiple, round(native / math.sqrt(ratio) / multiple) * multiple),
    )


def side_multiple(pipeline: Any) -> int:
    """Return the number of pixels that each side must be a multiple of."""
    if type(pipeline).__name__.startswith("Sana"):
        return 32
    factor = int(getattr(pipeline, "vae_scale_factor", 8) or 8)
    unet = getattr(pipeline, "unet", None)
    halvings = 1 if unet is None else len(unet.config.block_out_channels) - 1
    # Eight, because most pipelines ask for that whatever their own parts need.
    return math.lcm(8, factor * 2**halvings)

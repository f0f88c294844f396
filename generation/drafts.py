"""Looks at a picture that is not finished: what the model expects it to become.

After a step the latents are still half noise. What is worth showing is the clean picture that the
model guessed in that step, from which the scheduler took only a part of the way; every scheduler
computes it, and each hands it out in another way.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from PIL import Image

from chopmark.kit.limits import DRAFT_SIDE

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

#: Latents are averaged for a draft by one of these, as long as so many are left on the longer side.
_POOLS: Final = (4, 2)
_LEAST: Final = 16


class CleanGuess:
    """Holds the clean latents that the last step guessed; ``None`` before the first step."""

    def __init__(self) -> None:
        self.latents: Any = None


@contextmanager
def watch_clean(scheduler: Any) -> Iterator[CleanGuess]:
    """Note the clean guess of every step that ``scheduler`` takes inside the context."""
    guess, step = CleanGuess(), scheduler.step

    def watched(model_output: Any, time: Any, sample: Any, *args: Any, **kwargs: Any) -> Any:
        sigma = _flow_sigma(scheduler, time)
        result = step(model_output, time, sample, *args, **kwargs)
        guess.latents = _clean(scheduler, sigma, model_output, sample, result)
        return result

    scheduler.step = watched
    try:
        yield guess
    finally:
        del scheduler.step


def _flow_sigma(scheduler: Any, time: Any) -> Any:
    """Return how much of the sample is noise before a step of rectified flow, 0 to 1, or None."""
    if not type(scheduler).__name__.startswith("FlowMatch"):
        return None
    index = scheduler.step_index
    if index is None:  # it sets its index within the first step
        index = scheduler.begin_index
    if index is None:
        index = scheduler.index_for_timestep(time)
    return scheduler.sigmas[index]


def _clean(scheduler: Any, sigma: Any, output: Any, sample: Any, result: Any) -> Any:
    if sigma is not None:
        # The sample is (1 - sigma) clean + sigma noise, and the output is noise - clean.
        return sample - sigma.to(sample) * output
    config, name = scheduler.config, type(scheduler).__name__
    if "++" in str(config.get("algorithm_type")) or config.get("predict_x0"):
        # DPM-Solver++ and UniPC keep their outputs, converted to clean samples.
        return scheduler.model_outputs[-1]
    if isinstance(result, tuple) and len(result) > 1:
        # Euler, DDIM, LCM, TCD and SCM give it beside the next sample.
        return result[1] / config.sigma_data if name == "SCMScheduler" else result[1]
    # A scheduler that keeps its guess to itself (PNDM, DEIS): the sample, noise and all.
    return result[0]


def decode(
    pipeline: Any, latents: Any, rows: Sequence[int], size: tuple[int, int]
) -> list[Image.Image]:
    """Return small pictures of the chosen rows of ``latents``.

    The pipeline's own decoder makes them, of latents that were averaged over squares first: a
    quarter or a sixteenth of the pixels, at the like part of the time, which is more than that of a
    step for the whole picture.

    Args:
        pipeline: a diffusers pipeline with a ``vae``.
        latents: clean latents as its denoising loop holds them, packed or not.
        rows: which of the batch.
        size: width and height in pixels at which the pipeline renders.
    """
    import torch

    vae = pipeline.vae
    with torch.inference_mode():
        chosen = pooled(unpack(pipeline, latents[list(rows)], size))
        # Where it works, not where it lies: an offloaded part lies elsewhere.
        device = pipeline._execution_device  # noqa: SLF001 - has no public name
        decoded = vae.decode(chosen.to(device=device, dtype=vae.dtype), return_dict=False)[0]
        if decoded.ndim == 5:
            decoded = decoded[:, :, 0]
        arrays = decoded.float().clamp(-1.0, 1.0).add(1.0).mul(127.5).round().byte()
    return [
        Image.fromarray(np.ascontiguousarray(one.permute(1, 2, 0).cpu().numpy())) for one in arrays
    ]


def pooled(latents: Any) -> Any:
    """Return ``latents`` (..., height, width) averaged over squares of 4, 2 or 1 on a side."""
    import torch

    *lead, height, width = latents.shape
    by = next((by for by in _POOLS if max(height, width) // by >= _LEAST), 1)
    if by == 1:
        return latents
    size = max(1, height // by), max(1, width // by)
    flat = latents.reshape(-1, height, width)
    return torch.nn.functional.adaptive_avg_pool2d(flat, size).reshape(*lead, *size)


def small(width: int, height: int) -> tuple[int, int]:
    """Return the proportions of ``width`` by ``height`` pixels with no side over a draft's."""
    scale = min(1.0, DRAFT_SIDE.most / max(width, height))
    return max(1, round(width * scale)), max(1, round(height * scale))


def unpack(pipeline: Any, latents: Any, size: tuple[int, int]) -> Any:
    """Return ``latents`` as the decoder takes them: each family packs and scales in its own way."""
    import torch

    vae, config = pipeline.vae, pipeline.vae.config
    width, height = size
    if latents.ndim == 3 and hasattr(pipeline, "_unpatchify_latents"):
        # FLUX.2: a token is a pixel of patchified latents, normalised by the autoencoder's own
        # batch norm.
        side = int(pipeline.vae_scale_factor) * 2
        latents = latents.transpose(1, 2).unflatten(2, (height // side, width // side))
        mean, variance = (
            part.view(1, -1, 1, 1).to(latents) for part in (vae.bn.running_mean, vae.bn.running_var)
        )
        latents = latents * torch.sqrt(variance + config.batch_norm_eps) + mean
        return pipeline._unpatchify_latents(latents)  # noqa: SLF001 - has no public name
    if latents.ndim == 3:
        latents = pipeline._unpack_latents(  # noqa: SLF001 - FLUX.1 and Qwen-Image
            latents, height, width, pipeline.vae_scale_factor
        )
    mean, deviation = getattr(config, "latents_mean", None), getattr(config, "latents_std", None)
    if mean is not None and deviation is not None:
        shape = (1, -1, *(1,) * (latents.ndim - 2))
        mean, deviation = (latents.new_tensor(part).view(shape) for part in (mean, deviation))
        return latents * deviation / (getattr(config, "scaling_factor", None) or 1.0) + mean
    return latents / config.scaling_factor + (getattr(config, "shift_factor", None) or 0.0)

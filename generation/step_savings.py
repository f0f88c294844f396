"""Steps that cost less: another attention back end, and blocks whose result changes little."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from chopmark.errors import InvalidRequest
from chopmark.generation.plan import DENOISERS

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["speed_up"]

#: Denoisers whose blocks diffusers' hook takes for others' and fails in the first step (0.42.0).
_FAILS: Final = frozenset({"Flux2Transformer2DModel"})


def speed_up(pipeline: Any, *, attention: str, step_cache: float) -> None:
    """Set a loaded pipeline's attention back end and step cache.

    Where the first block's residual differs from that of the step before by less than
    ``step_cache``, measured as the mean of absolute values, the other blocks' residual is taken
    over (ParaAttention's first-block cache, after TeaCache, Liu et al. 2024, arXiv:2411.19108;
    diffusers' own hook). It is of use to models of many steps: four steps differ too much.

    Raises:
        InvalidRequest: the back end is unknown or not installed, or the denoiser has no such cache.
    """
    for denoiser in _denoisers(pipeline):
        if attention != "auto":
            _set_attention(denoiser, attention)
        if step_cache > 0.0:
            _cache_steps(denoiser, step_cache)


def _denoisers(pipeline: Any) -> Iterator[Any]:
    found = (getattr(pipeline, name, None) for name in DENOISERS)
    return (one for one in found if one is not None)


def _set_attention(denoiser: Any, name: str) -> None:
    if not hasattr(denoiser, "set_attention_backend"):
        raise InvalidRequest(
            f"{type(denoiser).__name__} has no choice of attention", hint="CHOPMARK_ATTENTION=auto"
        )
    try:
        denoiser.set_attention_backend(name)
    except (ValueError, RuntimeError, ImportError, AttributeError) as error:
        raise InvalidRequest(
            f"attention {name!r} cannot be had here: {error}",
            hint="native is always there; auto leaves it to torch",
        ) from error


def _cache_steps(denoiser: Any, threshold: float) -> None:
    from diffusers import FirstBlockCacheConfig

    if not hasattr(denoiser, "enable_cache") or type(denoiser).__name__ in _FAILS:
        raise InvalidRequest(
            f"{type(denoiser).__name__} has no step cache",
            hint="CHOPMARK_STEP_CACHE=0; only transformers of diffusers with a CacheMixin have one",
        )
    try:
        denoiser.enable_cache(FirstBlockCacheConfig(threshold=threshold))
    except (ValueError, RuntimeError, LookupError, AttributeError) as error:
        raise InvalidRequest(
            f"the step cache does not work with {type(denoiser).__name__}: {error}",
            hint="CHOPMARK_STEP_CACHE=0",
        ) from error

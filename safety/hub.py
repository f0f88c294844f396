"""Load a model of somebody else by its hub id, for the guards that are asked in doubt."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from chopmark.errors import GuardFailed
from chopmark.kit.pinned import hub_name

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["from_hub", "model_name"]

_HINT: Final[str] = (
    "fetch it once with `hf download ORG/NAME` on a machine with a network, or give the path of a "
    "folder that transformers wrote"
)


def from_hub(name: str, *loaders: Callable[..., Any]) -> tuple[Any, ...]:
    """Return what each loader's ``from_pretrained`` makes of a model.

    Args:
        name: ``hf:org/name@REVISION`` (from the local cache, or the hub where that can be reached;
            without a revision whatever its owner puts there), or a folder. Weights must be
            safetensors, and code that comes with a model is never run.
        loaders: ``from_pretrained`` of a tokenizer, a processor, a model.

    Raises:
        GuardFailed: Not there, or it does not load.
    """
    where, pin = str(Path(name).expanduser()), {}
    if name.startswith("hf:"):
        where, revision = hub_name(name)
        pin = {} if revision is None else {"revision": revision}
    try:
        return tuple(load(where, trust_remote_code=False, **pin) for load in loaders)
    except Exception as error:
        first = str(error).partition("\n")[0][:300]
        raise GuardFailed(
            f"the guard model {name} does not load: {type(error).__name__}: {first}", hint=_HINT
        ) from error


def model_name(name: str, model: Any) -> str:
    """Return ``id@digest`` of a loaded model: of its configuration and its smallest weights.

    A digest of all weights of an 8 B model would take a minute; the hub's revision stands in the
    configuration, and the norms and biases change with any fine-tuning.
    """
    digest = hashlib.sha256(model.config.to_json_string(use_diff=False).encode())
    for key, value in sorted(model.named_parameters(), key=lambda item: item[0]):
        if value.ndim == 1:
            digest.update(key.encode())
            digest.update(value.detach().float().cpu().numpy().tobytes())
    return f"{name}@{digest.hexdigest()[:16]}"

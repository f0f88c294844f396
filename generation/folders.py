"""Where a model lies on the disk, and what its files say about it."""

from __future__ import annotations

import hashlib
import inspect
import json
import os
import re
import warnings
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from chopmark.errors import ModelLoadError, ModelNotFound
from chopmark.generation.interface import ModelInfo
from chopmark.generation.known_models import Defaults, known_defaults
from chopmark.generation.memory import numbers_in
from chopmark.generation.taught import read_taught
from chopmark.kit.pinned import hub_name

if TYPE_CHECKING:
    from collections.abc import Iterator

    from chopmark.generation.plan import Plan
    from chopmark.generation.variants import Variants

#: Our own facts about a model, beside diffusers' ``model_index.json``; folders of others do without
#: it.
FACTS_NAME: Final = "chopmark.json"
_MAX_SIZE: Final = 4096


@dataclass(frozen=True)
class Folder:
    """A folder that holds a diffusers pipeline."""

    path: Path
    facts: dict[str, Any] = field(default_factory=dict)
    known: Defaults | None = None

    @property
    def default_guidance(self) -> float | None:
        """Guidance to use when the caller names none; ``None`` leaves it to the pipeline."""
        value = self.facts.get("default_guidance")
        if value is None and self.known is not None:
            return self.known.guidance
        return None if value is None else float(value)

    @property
    def arguments(self) -> dict[str, Any]:
        """Arguments that every call of this model's pipeline takes beside the job's own."""
        value = self.facts.get("arguments", {})
        return dict(value) if isinstance(value, dict) else {}

    @property
    def parts(self) -> dict[str, str]:
        """Class names of the pipeline's parts, by name; what it does without is not there."""
        index = json.loads((self.path / "model_index.json").read_text("utf-8"))
        return {
            name: str(entry[1])
            for name, entry in index.items()
            if isinstance(entry, list) and len(entry) == 2 and entry[1]
        }

    def numbers(self) -> int:
        """How many weights there are, as the files' headers say."""
        return sum(numbers_in(file) for file in self.weights())

    def weights(self) -> list[Path]:
        """The safetensors files of the parts, one precision of each."""
        files = sorted(self.path.rglob("*.safetensors"))
        # `model.fp16.safetensors` beside `model.safetensors` is a variant that is not loaded.
        return [file for file in files if len(file.suffixes) == 1]

    def load_pipeline(self, *, device: str, dtype: str, plan: Plan) -> Any:
        """Load the pipeline into main memory, without its safety checker: our guards judge.

        Args:
            device: where it will work.
            dtype: torch dtype.
            plan: how it is quantized while it loads.

        Raises:
            ModelLoadError: diffusers cannot load it.
        """
        be_quiet()
        import torch
        from diffusers import DiffusionPipeline

        index = json.loads((self.path / "model_index.json").read_text("utf-8"))
        chosen: dict[str, Any] = dict(plan.replaced or {})
        if "safety_checker" in index:
            chosen |= {"safety_checker": None, "requires_safety_checker": False}
        if plan.config is not None:
            chosen["quantization_config"] = plan.config
        if not self.weights() and list(self.path.rglob("*.fp16.safetensors")):
            chosen["variant"] = "fp16"
        try:
            with quiet():
                pipeline = DiffusionPipeline.from_pretrained(
                    str(self.path),
                    # Called deprecated, but `dtype` is not passed on to every part (0.42.0).
                    torch_dtype=getattr(torch, dtype),
                    use_safetensors=True,
                    local_files_only=True,
                    **chosen,
                )
        except Exception as error:  # whatever a foreign model makes the loader raise
            raise ModelLoadError(
                f"the model in {self.path} does not load: {type(error).__name__}: {error}",
                hint="it must be a diffusers folder with safetensors weights",
            ) from error
        pipeline.set_progress_bar_config(disable=True)
        if device == "cpu":  # what works there lies there already
            _channels_last(getattr(pipeline, "vae", None))
        return pipeline

    def describe(
        self,
        pipeline: Any,
        *,
        name: str,
        quantization: str,
        variants: Variants,
        added: str = "",
    ) -> ModelInfo:
        """Return what the folder and the loaded pipeline tell.

        Args:
            pipeline: as loaded.
            name: what ``info.id`` will say.
            quantization: as loaded.
            variants: what it can do, with how many pictures and by which options.
            added: digest of adapters, which make it another model.
        """
        digest = str(self.facts.get("digest", "")) or digest_of(self.path)
        if added:
            digest = hashlib.sha256(f"{digest}+{added}".encode()).hexdigest()
        known = self.known
        native = int(self.facts.get("native_size", 0)) or (known.size if known else 0)
        native = native or _native_size(pipeline)
        steps = int(self.facts.get("default_steps", 0)) or (known.steps if known else 0)
        side = int(self.facts.get("default_size", native))
        return ModelInfo(
            id=name,
            version=str(self.facts.get("version", "")),
            digest=digest,
            licence=str(self.facts.get("licence", "")) or _licence(self.path),
            native_size=native,
            default_size=(side, side),
            # What is rendered is scaled to what is asked: a model may give out more, never less.
            max_size=max(int(self.facts.get("max_size", 0)), _MAX_SIZE, side),
            default_steps=steps or _default_steps(pipeline),
            quantization=quantization,
            supports=variants.supports,
            max_images=int(self.facts.get("max_images", 0)) or variants.max_images("edit"),
            ignores=variants.ignores,
            max_ratio=float(self.facts.get("max_ratio", 0.0)) or _max_ratio(pipeline, native),
            extends=bool(self.facts.get("extends", False)),
            taught=read_taught(self.path),
        )


def find_folder(model: str | Path) -> Folder:
    """Return the folder of a local path, or of ``hf:org/name`` from the cache or the hub.

    ``hf:org/name@REVISION`` is that revision; without one it is what the owner has there now.

    Raises:
        ModelNotFound: no such folder, or the hub cannot be reached and holds no copy here.
    """
    text, plain = str(model), str(model)
    if text.startswith("hf:"):
        plain = f"hf:{hub_name(text)[0]}"
    path = (
        _from_hub(text.removeprefix("hf:")) if text.startswith("hf:") else Path(text).expanduser()
    )
    if not (path / "model_index.json").is_file():
        raise ModelNotFound(
            f"{path} is no diffusers model: it has no model_index.json",
            hint="give 'embedded', the path of a diffusers folder, or hf:org/name",
        )
    facts_file = path / FACTS_NAME
    try:
        facts = json.loads(facts_file.read_text("utf-8")) if facts_file.is_file() else {}
    except ValueError as error:
        raise ModelLoadError(f"{facts_file} is not JSON: {error}") from error
    return Folder(path, facts, known_defaults(plain))


def _from_hub(repository: str) -> Path:
    name, revision = hub_name(repository)
    if not re.fullmatch(r"[\w.-]+/[\w.-]+", name):
        raise ModelNotFound(
            f"hf:{repository} is no model id", hint="write hf:org/name, or hf:org/name@REVISION"
        )
    be_quiet()
    from diffusers import DiffusionPipeline

    try:
        return Path(DiffusionPipeline.download(name, revision=revision, use_safetensors=True))
    except Exception as error:  # the hub client raises many kinds
        raise ModelNotFound(
            f"{repository} is not in the local cache and cannot be fetched: {type(error).__name__}",
            hint=(
                "the Hugging Face hub must be reachable, or HF_HOME must name a cache that holds "
                "the model, or give the path of a folder that holds it; gated models need HF_TOKEN"
            ),
        ) from error


def be_quiet() -> None:
    """Turn off the libraries' usage reports and remarks, unless the deployer set them.

    Before they are imported: diffusers remarks on packages that it misses while it is.
    """
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    os.environ.setdefault("DISABLE_TELEMETRY", "1")
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    os.environ.setdefault("DIFFUSERS_VERBOSITY", "error")


@contextmanager
def quiet() -> Iterator[None]:
    """Keep the libraries' progress bars and their remarks about unusual parts off stderr."""
    from diffusers.utils import logging as diffusers_logging
    from transformers.utils import logging as transformers_logging

    before = [
        (library, library.get_verbosity()) for library in (diffusers_logging, transformers_logging)
    ]
    for library, _ in before:
        library.set_verbosity_error()
        library.disable_progress_bar()
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "`torch_dtype` is deprecated", FutureWarning)
            yield
    finally:
        for library, verbosity in before:
            library.set_verbosity(verbosity)
            library.enable_progress_bar()


def digest_of(path: Path) -> str:
    """Return the SHA-256 (hex) over names and contents of the weight files under ``path``."""
    digest = hashlib.sha256()
    for file in sorted(path.rglob("*.safetensors")):
        with file.open("rb") as stream:
            digest.update(file.relative_to(path).as_posix().encode() + b"\0")
            digest.update(hashlib.file_digest(stream, "sha256").digest())
    return digest.hexdigest()


def _channels_last(part: Any) -> None:
    """Lay convolutions out as a CPU computes them: a quarter less time for an embedded picture's.

    The layout is of two dimensions; video autoencoders have three and stay.
    """
    import torch

    if part is not None and all(weight.ndim != 5 for weight in part.parameters()):
        part.to(memory_format=torch.channels_last)


def _licence(path: Path) -> str:
    card = path / "README.md"
    if card.is_file():
        # The model card of the hub opens with YAML; this one line of it is all that is wanted.
        found = re.search(
            r"^licen[sc]e:\s*(\S+)\s*$", card.read_text("utf-8", "replace")[:4096], re.MULTILINE
        )
        if found:
            return found.group(1)
    return "unknown"


def _native_size(pipeline: Any) -> int:
    factor = int(getattr(pipeline, "vae_scale_factor", 8) or 8)
    denoiser = getattr(pipeline, "transformer", None) or getattr(pipeline, "unet", None)
    size = getattr(pipeline, "default_sample_size", None)
    size = size or getattr(getattr(denoiser, "config", None), "sample_size", None) or 64
    return int(max(size) if isinstance(size, list | tuple) else size) * factor


def _max_ratio(pipeline: Any, native: int) -> float:
    if getattr(pipeline, "unet", None) is None:
        config = getattr(getattr(pipeline, "transformer", None), "config", None)
        most = getattr(config, "pos_embed_max_size", None)
        if config is None or not most:
            return 8.0
        # SD3 has positions for so many tokens along a side. The longer side of a picture with the
        # native number of pixels is the square root of its proportions times the native side.
        tokens = native / (int(pipeline.vae_scale_factor) * int(config.patch_size))
        return float(max(1.0, min(8.0, (int(most) / tokens) ** 2 * 0.97)))
    # UNets of the first family saw squares only; SDXL was trained on proportions up to 4 to 1.
    return 4.0 if getattr(pipeline, "text_encoder_2", None) is not None else 2.0


def _default_steps(pipeline: Any) -> int:
    if getattr(pipeline.config, "is_distilled", False):
        return 4
    parameter = inspect.signature(pipeline.__call__).parameters.get("num_inference_steps")
    return (
        int(parameter.default)
        if parameter is not None and isinstance(parameter.default, int)
        else 20
    )

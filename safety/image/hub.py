"""Larger picture models for the review band: by hub id, CLIP by words, NudeNet where installed.

None of these is needed and none is a dependency. ``CHOPMARK_IMAGE_GUARDS`` names them, with commas
between: ``nudenet`` (AGPL-3.0, ``pip install nudenet`` is the deployer's choice), ``hf:org/name``
of a ShieldGemma 2 or of any image classifier. ``CHOPMARK_CLIP_BACKBONE`` names a CLIP model. Where
this was written there was no hub: the code was run on tiny models with the same interface.
"""

from __future__ import annotations

import re
import threading
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from chopmark.errors import GuardFailed
from chopmark.safety.hub import from_hub, model_name
from chopmark.safety.image.guard import PictureModel, Seen
from chopmark.safety.verdict import Evidence

if TYPE_CHECKING:
    from PIL.Image import Image

__all__ = ["Classifier", "ClipByWords", "NudeNet", "ShieldGemma2", "load_picture_models"]

#: Labels of image classifiers on the hub, and what they are to us.
_LABELS: Final[tuple[tuple[str, str], ...]] = (
    (r"\b(?:nsfw|porn\w*|hentai|sexual\w*|explicit|nud\w*)\b", "sexual"),
    (r"\b(?:gore|gory|bloody?|graphic)\b", "violence/graphic"),
    (r"\bviolen\w*\b", "violence"),
    (r"\b(?:hate\w*|racis\w*)\b", "hate"),
    (r"\bself.?harm\b", "self-harm"),
    (r"\b(?:weapons?|drugs?)\b", "illicit"),
)
_GEMMA: Final[dict[str, str]] = {
    "dangerous": "illicit",
    "sexual": "sexual",
    "violence": "violence/graphic",
}
#: What CLIP compares a picture with: harmful and harmless words of each category, our own.
_WORDS: Final[dict[str, tuple[tuple[str, ...], tuple[str, ...]]]] = {
    "sexual": (
        ("a pornographic photo", "a photo of naked people having sex", "explicit hentai"),
        (
            "a photo of people with clothes on",
            "a photo of a swimmer",
            "a painting",
            "a photo of a thing",
        ),
    ),
    "violence/graphic": (
        ("a photo of a mutilated body", "a gory photo with blood and wounds", "a corpse"),
        ("a photo of a healthy person", "a photo of red paint", "a film poster", "a photo of food"),
    ),
    "hate": (
        ("a nazi flag with a swastika", "a racist caricature", "a ku klux klan rally"),
        ("a flag", "a friendly cartoon", "a temple", "a crowd of people"),
    ),
    "self-harm": (
        ("a photo of cut wrists", "a person hanging from a rope"),
        ("a photo of hands", "a person on a swing", "a bandaged knee"),
    ),
}
_EXPOSED: Final = re.compile(r"(?:GENITALIA|ANUS|BUTTOCKS|FEMALE_BREAST)_EXPOSED$")


class Classifier:
    """Any image classifier of transformers whose labels name what we look for."""

    def __init__(self, name: str) -> None:
        """Load it.

        Raises:
            GuardFailed: It does not load, or no label means one of our categories.
        """
        from transformers import AutoImageProcessor, AutoModelForImageClassification

        self._processor, model = from_hub(
            name,
            AutoImageProcessor.from_pretrained,
            lambda where, **options: AutoModelForImageClassification.from_pretrained(
                where, use_safetensors=True, **options
            ),
        )
        self._model = model.eval()
        self._labels: dict[int, str] = {}
        for number, label in model.config.id2label.items():
            for pattern, ours in _LABELS:
                plain = re.sub(r"[_-]+", " ", str(label).lower())
                if re.search(pattern, plain) and not re.match(r"(?:not|non|no|un)\b", plain):
                    self._labels[int(number)] = ours
                    break
        if not self._labels:
            raise GuardFailed(
                f"{name} has no label that means one of our categories",
                hint=", ".join(map(str, model.config.id2label.values()))[:200],
            )
        self.evaluates = tuple(dict.fromkeys(self._labels.values()))
        self.model = model_name(name, model)

    def look(self, image: Image, /) -> Seen:
        """Return the shares of the labels, added up by category."""
        import torch

        with torch.inference_mode():
            logits = self._model(**self._processor(images=image, return_tensors="pt")).logits
        shares = torch.softmax(logits[0].float(), dim=0).tolist()
        found = dict.fromkeys(self.evaluates, 0.0)
        for number, ours in self._labels.items():
            found[ours] += shares[number]
        return Seen(scores=_whole(found, self.model))


class ShieldGemma2:
    """Google's ShieldGemma 2: one yes or no for each of its three policies."""

    evaluates: tuple[str, ...] = tuple(_GEMMA.values())

    def __init__(self, name: str) -> None:
        """Load it.

        Raises:
            GuardFailed: It does not load.
        """
        from transformers import AutoProcessor, ShieldGemma2ForImageClassification

        self._processor, model = from_hub(
            name,
            AutoProcessor.from_pretrained,
            lambda where, **options: ShieldGemma2ForImageClassification.from_pretrained(
                where, use_safetensors=True, dtype="auto", **options
            ),
        )
        self._model = model.eval()
        self.model = model_name(name, model)

    def look(self, image: Image, /) -> Seen:
        """Return the probability that each policy is violated."""
        import torch

        inputs = self._processor(images=[image], policies=list(_GEMMA), return_tensors="pt")
        with torch.inference_mode():
            probabilities = self._model(**inputs).probabilities
        # Column 0 is "Yes": the picture violates the policy.
        found = {ours: float(probabilities[row, 0]) for row, ours in enumerate(_GEMMA.values())}
        return Seen(scores=_whole(found, self.model))


class ClipByWords:
    """A CLIP model that compares the picture with harmful and harmless words."""

    evaluates: tuple[str, ...] = tuple(_WORDS)

    def __init__(self, name: str) -> None:
        """Load the model and encode the words once.

        Raises:
            GuardFailed: It does not load.
        """
        import torch
        from transformers import AutoModel, AutoProcessor

        self._processor, model = from_hub(
            name,
            AutoProcessor.from_pretrained,
            lambda where, **options: AutoModel.from_pretrained(
                where, use_safetensors=True, **options
            ),
        )
        self._model = model.eval()
        self._vectors: dict[str, tuple[Any, int]] = {}
        for category, (harmful, harmless) in _WORDS.items():
            inputs = self._processor(
                text=[*harmful, *harmless], return_tensors="pt", padding=True, truncation=True
            )
            with torch.inference_mode():
                vectors = _pooled(self._model.get_text_features(**inputs))
            self._vectors[category] = vectors / vectors.norm(dim=1, keepdim=True), len(harmful)
        self.model = model_name(name, model)

    def look(self, image: Image, /) -> Seen:
        """Return the share of the harmful words in a softmax over all words of a category."""
        import torch

        inputs = self._processor(images=image, return_tensors="pt")
        with torch.inference_mode():
            vector = _pooled(self._model.get_image_features(**inputs))[0]
        vector = vector / vector.norm()
        scale = float(self._model.logit_scale.detach().exp())
        found = {}
        for category, (vectors, harmful) in self._vectors.items():
            shares = torch.softmax(scale * (vectors @ vector), dim=0)
            found[category] = float(shares[:harmful].sum())
        return Seen(scores=_whole(found, self.model))


class NudeNet:
    """The detector of the package nudenet, if the deployer has chosen to install it (AGPL-3.0)."""

    evaluates: tuple[str, ...] = ("sexual",)

    def __init__(self) -> None:
        """Load it.

        Raises:
            GuardFailed: The package is not installed or does not load.
        """
        try:
            from nudenet import NudeDetector

            self._detector: Any = NudeDetector()
        except ImportError as error:
            raise GuardFailed(
                "the package nudenet is not installed",
                hint="it is AGPL-3.0: read what that asks of a service, then pip install nudenet",
            ) from error
        except Exception as error:
            raise GuardFailed(f"nudenet does not load: {type(error).__name__}: {error}") from error
        self._lock = threading.Lock()
        self.model = "nudenet"

    def look(self, image: Image, /) -> Seen:
        """Return the surest exposed part, and a box for each."""
        with self._lock:
            parts = self._detector.detect(np.asarray(image)[:, :, ::-1])  # it takes BGR
        shown = [part for part in parts if _EXPOSED.search(str(part["class"]))]
        boxes = []
        for part in shown:
            left, top, width, height = (int(side) for side in part["box"])
            boxes.append(
                Evidence(
                    category="sexual",
                    kind="image",
                    detail=f"nudenet {str(part['class']).lower()} {float(part['score']):.2f}",
                    box=(left, top, left + width, top + height),
                )
            )
        score = max((float(part["score"]) for part in shown), default=0.0)
        return Seen(scores=_whole({"sexual": score}, self.model), evidence=tuple(boxes))


def load_picture_models(names: str, *, clip_backbone: str | None = None) -> list[PictureModel]:
    """Load the models that a setting names.

    Args:
        names: ``nudenet``, ``hf:org/name`` or folders, with commas between; may be empty.
        clip_backbone: A CLIP model, by hub id or folder.

    Raises:
        GuardFailed: One of them does not load: a guard that was asked for is never left out.
    """
    models: list[PictureModel] = []
    for name in filter(None, (part.strip() for part in names.split(","))):
        if name == "nudenet":
            models.append(NudeNet())
        elif "shieldgemma" in name.lower():
            models.append(ShieldGemma2(name))
        else:
            models.append(Classifier(name))
    if clip_backbone:
        models.append(ClipByWords(clip_backbone))
    return models


def _pooled(output: Any) -> Any:
    """Return the features; newer versions of transformers wrap them."""
    pooled = getattr(output, "pooler_output", None)
    return output if pooled is None else pooled


def _whole(found: dict[str, float], model: str) -> dict[str, float]:
    for name, score in found.items():
        if not 0.0 <= score <= 1.0 + 1e-4:  # also true for NaN
            raise GuardFailed(f"{model} gave {score} for {name}, which is no share of one")
    return {name: min(1.0, score) for name, score in found.items()}
